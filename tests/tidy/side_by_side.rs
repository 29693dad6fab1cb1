//! docs/side-by-side.md names what is there, in Java's server and in this one (no Java twin).
//!
//! A row of a table is a step: Java's methods, then the files here, each with its functions, then
//! what happens.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::documents::{CLASSES, listed_classes, read, root};

/// The page that walks through both sources.
pub(super) const PAGE: &str = "docs/side-by-side.md";

/// The page shows at least so many steps.
const MIN_STEPS: usize = 45;

/// The classes that readers know best: the page shows each of them.
const SHOWN_CLASSES: [&str; 12] = [
    "QuorumPeer",
    "FastLeaderElection",
    "QuorumCnxManager",
    "Leader",
    "LearnerHandler",
    "Learner",
    "Follower",
    "CommitProcessor",
    "PrepRequestProcessor",
    "SyncRequestProcessor",
    "FinalRequestProcessor",
    "ZKDatabase",
];

/// One row.
pub(super) struct Step<'a> {
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) columns: usize,
    /// Java's methods, such as `Leader.propose`.
    pub(super) methods: Vec<&'a str>,
    /// The files here and their functions.
    pub(super) places: Vec<(&'a str, Vec<&'a str>)>,
}

/// What a cell has in backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// The steps of all tables. The two lines at the head of a table are no steps.
pub(super) fn steps(page: &str) -> Vec<Step<'_>> {
    let is_head = |line: &str| line.starts_with("| Java |") || line.starts_with("|---");
    let lines = page.lines().enumerate();
    let rows = lines.filter(|(_, line)| line.starts_with('|') && !is_head(line));
    rows.map(|(at, row)| {
        // There is nothing before the first bar and behind the last one.
        let columns = row.split('|').count().saturating_sub(2);
        let mut cells = row.split('|').skip(1);
        let methods = quoted(cells.next().unwrap_or_default());
        let places = places(cells.next().unwrap_or_default());
        Step { line: at + 1, columns, methods, places }
    })
    .collect()
}

/// A function belongs to the file before it. One without a file counts as a file, which is missing.
fn places(cell: &str) -> Vec<(&str, Vec<&str>)> {
    let mut places: Vec<(&str, Vec<&str>)> = Vec::new();
    for name in quoted(cell) {
        if name.ends_with(".rs") {
            places.push((name, Vec::new()));
        } else if let Some((_, functions)) = places.last_mut() {
            functions.push(name);
        } else {
            places.push((name, Vec::new()));
        }
    }
    places
}

/// The outer class, as docs/classes.md lists it.
fn class_of(method: &str) -> &str {
    method.split('.').next().unwrap_or(method)
}

/// The text of a file, and of those in the folder of the same name. None if the file is missing.
pub(super) fn texts_of(file: &str) -> Vec<String> {
    let path = root().join(file);
    if !path.is_file() {
        return Vec::new();
    }
    let mut paths = vec![path.clone()];
    if let Ok(entries) = fs::read_dir(path.with_extension("")) {
        let parts = entries.map(|entry| entry.unwrap().path());
        let is_rust = |path: &Path| path.extension().is_some_and(|extension| extension == "rs");
        paths.extend(parts.filter(|path| is_rust(path)));
    }
    paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// Whether a source has a function of that name, outside of its tests.
fn defines(text: &str, function: &str) -> bool {
    let product = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    ["(", "<"].iter().any(|after| product.contains(&format!("fn {function}{after}")))
}

/// What is wrong with a step.
fn faults(
    step: &Step<'_>,
    listed: &BTreeSet<String>,
    texts_of: &dyn Fn(&str) -> Vec<String>,
) -> Vec<String> {
    let mut faults = Vec::new();
    if step.columns != 3 {
        faults.push(format!("{} columns; a step has three", step.columns));
    }
    if step.methods.is_empty() || step.places.is_empty() {
        faults.push("a step names Java's methods and the files here".to_owned());
    }
    for method in &step.methods {
        let class = class_of(method);
        if !method.contains('.') {
            faults.push(format!("{method} is no method"));
        }
        if !listed.contains(class) {
            faults.push(format!("{CLASSES} does not list {class}"));
        }
    }
    for (file, functions) in &step.places {
        let texts = texts_of(file);
        if texts.is_empty() {
            faults.push(format!("there is no {file}"));
            continue;
        }
        if functions.is_empty() {
            faults.push(format!("a function of {file} must be named"));
        }
        let is_defined = |function: &str| texts.iter().any(|text| defines(text, function));
        let missing = functions.iter().filter(|function| !is_defined(function));
        faults.extend(missing.map(|function| format!("{file} has no fn {function}")));
    }
    faults.into_iter().map(|fault| format!("{}: {fault}", step.line)).collect()
}

/// The classes that no step shows.
fn missing_classes(steps: &[Step<'_>]) -> Vec<&'static str> {
    let methods = steps.iter().flat_map(|step| step.methods.iter());
    let shown: BTreeSet<&str> = methods.map(|method| class_of(method)).collect();
    SHOWN_CLASSES.into_iter().filter(|class| !shown.contains(class)).collect()
}

#[test]
fn the_page_names_what_is_there() {
    let page = read(PAGE);
    let steps = steps(&page);
    let listed = listed_classes(&read(CLASSES));
    let faults: Vec<String> =
        steps.iter().flat_map(|step| faults(step, &listed, &texts_of)).collect();
    assert!(faults.is_empty(), "faults of {PAGE}, by line:\n{}", faults.join("\n"));
}

#[test]
fn the_page_shows_enough() {
    let page = read(PAGE);
    let steps = steps(&page);
    assert!(steps.len() >= MIN_STEPS, "{PAGE} has {} steps; {MIN_STEPS} are needed", steps.len());
    let missing = missing_classes(&steps);
    assert!(missing.is_empty(), "{PAGE} does not show {missing:?}");
}

/// The faults of a page when there is a class `A` and a file `src/a.rs` with a folder.
fn faults_of_sample(page: &str) -> Vec<String> {
    let listed = BTreeSet::from(["A".to_owned()]);
    let texts_of = |file: &str| match file {
        "src/a.rs" => vec![
            "pub fn b() {}\n\n#[cfg(test)]\nmod tests {\n    fn in_tests() {}\n}\n".to_owned(),
            "impl A {\n    fn in_folder<T>(&self) {}\n}\n".to_owned(),
        ],
        _ => Vec::new(),
    };
    steps(page).iter().flat_map(|step| faults(step, &listed, &texts_of)).collect()
}

#[test]
fn a_good_step_has_no_faults() {
    let page = "| Java | here | what happens |\n|---|---|---|\n\
                | `A.b`, `A.C.d` | `src/a.rs` `b`, `in_folder` | It calls `no.rs`. |\n";
    assert_eq!(steps(page).len(), 1, "the head of the table is no step");
    assert_eq!(faults_of_sample(page), [""; 0]);
}

#[test]
fn what_is_missing_or_not_named_is_found() {
    for (row, fault) in [
        ("| `B.b` | `src/a.rs` `b` | x |", "1: docs/classes.md does not list B"),
        ("| `A` | `src/a.rs` `b` | x |", "1: A is no method"),
        ("| `A.b` | `src/no.rs` `b` | x |", "1: there is no src/no.rs"),
        ("| `A.b` | `b` | x |", "1: there is no b"),
        ("| `A.b` | `src/a.rs` | x |", "1: a function of src/a.rs must be named"),
        ("| `A.b` | `src/a.rs` `b`, `bb` | x |", "1: src/a.rs has no fn bb"),
        ("| `A.b` | `src/a.rs` `in_tests` | x |", "1: src/a.rs has no fn in_tests"),
        ("| A.b | `src/a.rs` `b` | x |", "1: a step names Java's methods and the files here"),
        ("| `A.b` | a.rs | x |", "1: a step names Java's methods and the files here"),
        ("| `A.b` | `src/a.rs` `b` |", "1: 2 columns; a step has three"),
    ] {
        assert_eq!(faults_of_sample(row), [fault], "{row}");
    }
}

#[test]
fn a_class_that_is_not_shown_is_found() {
    let page = "| `LearnerHandler.run` | x | y |\n| `Leader.lead`, `Follower.ping` | x | y |\n";
    let missing = missing_classes(&steps(page));
    assert_eq!(missing.len(), SHOWN_CLASSES.len() - 3);
    assert!(missing.contains(&"Learner"), "{missing:?}");
}
