//! docs/methods.md names what is there, in Java's server and in this one (no Java twin).
//!
//! A section is a class of Java's. A row of its table has methods of the class, then the files here, each with names that
//! occur in it, then how the work is done. A row without a file says why there is none.

use std::collections::BTreeSet;

use super::documents::{CLASSES, listed_classes, read};
use super::side_by_side::{Step, steps, texts_of};

/// The page.
const PAGE: &str = "docs/methods.md";

/// Whether the text has the name as a whole word.
fn has_word(text: &str, name: &str) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

/// What is wrong with a row.
fn faults(row: &Step<'_>, how: &str, texts_of: &dyn Fn(&str) -> Vec<String>) -> Vec<String> {
    let mut faults = Vec::new();
    if row.columns != 3 || row.methods.is_empty() {
        faults.push("a row has three columns, and methods in the first".to_owned());
    }
    if row.places.is_empty() && how.is_empty() {
        faults.push("a row without a file says why".to_owned());
    }
    for (file, names) in &row.places {
        let texts = texts_of(file);
        if texts.is_empty() {
            faults.push(format!("there is no {file}"));
        }
        let missing = names.iter().filter(|name| !texts.iter().any(|text| has_word(text, name)));
        faults.extend(missing.map(|name| format!("{file} has no {name}")));
    }
    faults.into_iter().map(|fault| format!("{}: {fault}", row.line)).collect()
}

/// The third cell of the row in this line, counted from 1.
fn how(page: &str, line: usize) -> &str {
    let row = page.lines().nth(line - 1).unwrap_or_default();
    row.split('|').nth(3).unwrap_or_default().trim()
}

fn faults_of(page: &str, texts_of: &dyn Fn(&str) -> Vec<String>) -> Vec<String> {
    steps(page).iter().flat_map(|row| faults(row, how(page, row.line), texts_of)).collect()
}

/// The sections whose class is not in the list of classes.
fn unlisted<'a>(page: &'a str, listed: &BTreeSet<String>) -> Vec<&'a str> {
    let sections = page.lines().filter_map(|line| line.strip_prefix("## "));
    let class = |section: &str| section.rsplit('/').next().unwrap_or_default().to_owned();
    sections.filter(|section| !listed.contains(&class(section))).collect()
}

#[test]
fn the_page_names_what_is_there() {
    let page = read(PAGE);
    let faults = faults_of(&page, &texts_of);
    assert!(faults.is_empty(), "faults of {PAGE}, by line:\n{}", faults.join("\n"));
    let unlisted = unlisted(&page, &listed_classes(&read(CLASSES)));
    assert!(unlisted.is_empty(), "{CLASSES} does not list {unlisted:?}");
}

#[test]
fn what_is_missing_is_found() {
    let texts_of = |file: &str| match file {
        "src/a.rs" => vec!["fn b() {}\nstruct In_folder;\n".to_owned()],
        _ => Vec::new(),
    };
    for (row, fault) in [
        ("| `x`, `y` | `src/a.rs` `b` | |", None),
        ("| `x` | | not here: nobody needs it |", None),
        ("| `x` | | |", Some("1: a row without a file says why")),
        ("| x | `src/a.rs` `b` | |", Some("1: a row has three columns, and methods in the first")),
        ("| `x` | `src/a.rs` `bb` | |", Some("1: src/a.rs has no bb")),
        ("| `x` | `src/a.rs` `folder` | |", Some("1: src/a.rs has no folder")),
        ("| `x` | `src/no.rs` | |", Some("1: there is no src/no.rs")),
    ] {
        assert_eq!(faults_of(row, &texts_of).first().map(String::as_str), fault, "{row}");
    }
    let listed = BTreeSet::from(["A".to_owned()]);
    assert_eq!(unlisted("## server/A\n## server/B\n", &listed), ["server/B"]);
}
