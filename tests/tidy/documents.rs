//! Checks that ARCHITECTURE.md and docs/classes.md agree with the sources (no Java twin).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::side_by_side::PAGE as SIDE_BY_SIDE;

const ARCHITECTURE: &str = "ARCHITECTURE.md";

/// The page that maps Java's classes to files.
pub(super) const CLASSES: &str = "docs/classes.md";

pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(super) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The files that a text names in backticks: `src/...rs`.
fn named_files(text: &str) -> Vec<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    let files = quoted.filter(|name| name.starts_with("src/") && name.ends_with(".rs"));
    files.filter(|name| !name.contains('*')).map(str::to_owned).collect()
}

/// The files of this project to which a text links, as written.
fn linked_files(text: &str) -> Vec<String> {
    // Inline code may contain brackets.
    let text: String = text.split('`').step_by(2).collect();
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let files = targets.filter(|target| !target.starts_with('#') && !target.contains("://"));
    files.filter_map(|target| target.split('#').next()).map(str::to_owned).collect()
}

/// The files that a document names or links to and that do not exist below `directory`.
fn missing_files(directory: &Path, document: &str, text: &str) -> Vec<PathBuf> {
    let linked = linked_files(text).into_iter();
    let linked = linked.map(|file| Path::new(document).with_file_name(file));
    let files = named_files(text).into_iter().map(PathBuf::from).chain(linked);
    files.filter(|file| !directory.join(file).exists()).collect()
}

/// The classes that the page lists in the first column of a table, or before the colon of a list item. `version/Info`
/// counts as `Info`.
pub(super) fn listed_classes(text: &str) -> BTreeSet<String> {
    // A list item may continue on the next lines.
    let text = text.replace("\n  ", " ");
    let names = text.lines().filter_map(|line| {
        let row = line.strip_prefix("| ").and_then(|row| row.split_once(" |"));
        let item = line.strip_prefix("* ").and_then(|item| item.split_once(':'));
        row.or(item).map(|(names, _)| names)
    });
    names.flat_map(|names| names.split(", ")).map(without_package).collect()
}

/// The Java classes that the header of a source names: `server/DataTree.java` is `DataTree`.
fn classes_of_header(source: &str) -> BTreeSet<String> {
    let head: Vec<&str> = source.lines().map_while(|line| line.strip_prefix("//!")).collect();
    let head = head.join(" ");
    let words = head.split(|c: char| !(c.is_alphanumeric() || "/._".contains(c)));
    let classes = words.filter_map(|word| word.trim_end_matches('.').strip_suffix(".java"));
    classes.map(without_package).collect()
}

fn without_package(class: &str) -> String {
    class.rsplit('/').next().unwrap_or(class).to_owned()
}

/// The classes in a source's header that are missing in the list.
fn unlisted_classes(source: &str, listed: &BTreeSet<String>) -> Vec<String> {
    classes_of_header(source).difference(listed).cloned().collect()
}

/// The ranks in the table of locks, in their order.
fn documented_ranks(text: &str) -> Vec<String> {
    let table = text.lines().skip_while(|line| !line.starts_with("| rank |")).skip(2);
    let rows = table.take_while(|line| line.starts_with('|'));
    rows.filter_map(|row| row.split('`').nth(1)).map(str::to_owned).collect()
}

/// The variants of `enum Rank`, in their order.
fn ranks(source: &str) -> Vec<String> {
    let body = source.split("pub enum Rank {").nth(1).unwrap_or_default();
    let body = body.split('}').next().unwrap_or_default();
    let lines = body.lines().map(str::trim);
    let variants = lines.filter_map(|line| line.strip_suffix(','));
    variants.filter(|line| !line.starts_with("//")).map(str::to_owned).collect()
}

#[test]
fn the_documents_name_only_files_that_exist() {
    for (document, least) in [(ARCHITECTURE, 15), (CLASSES, 100), (SIDE_BY_SIDE, 100)] {
        let text = read(document);
        let files = named_files(&text);
        assert!(files.len() > least, "only {} files found in {document}", files.len());
        let missing = missing_files(root(), document, &text);
        assert!(missing.is_empty(), "{document} names {missing:?}");
    }
}

#[test]
fn every_java_class_that_a_source_names_is_listed() {
    let listed = listed_classes(&read(CLASSES));
    assert!(listed.len() > 300, "only {} classes found in {CLASSES}", listed.len());
    let mut named = 0;
    let mut unlisted = Vec::new();
    for (path, text) in super::project() {
        let is_rust = path.extension().is_some_and(|extension| extension == "rs");
        if is_rust && path.starts_with("src") {
            named += classes_of_header(&text).len();
            for class in unlisted_classes(&text, &listed) {
                unlisted.push(format!("{class} of {}", path.display()));
            }
        }
    }
    assert!(named > 200, "only {named} classes found in the sources");
    assert!(unlisted.is_empty(), "{CLASSES} does not list {unlisted:?}");
}

#[test]
fn the_architecture_links_to_the_classes() {
    let linked = linked_files(&read(ARCHITECTURE));
    assert!(linked.iter().any(|file| file == CLASSES), "{linked:?}");
}

#[test]
fn the_order_of_locks_is_written_down() {
    let ranks = ranks(&read("src/util/lock_rank.rs"));
    assert!(ranks.len() > 10, "{ranks:?}");
    assert_eq!(documented_ranks(&read(ARCHITECTURE)), ranks);
}

#[test]
fn files_and_ranks_are_found_in_texts() {
    let text = "`src/a.rs` and `src/b*.rs`, `a.rs`; `src/c/d.rs`";
    assert_eq!(named_files(text), ["src/a.rs", "src/c/d.rs"]);
    let text = "[a](a.md), [b](#b) and [c](https://c.example/), [`d`](../d.md#e), `x[i](y)`";
    assert_eq!(linked_files(text), ["a.md", "../d.md"]);
    assert_eq!(
        documented_ranks("| rank | x |\n|---|---|\n| `A` | b |\n| `C` | d |\n\n"),
        ["A", "C"]
    );
    assert_eq!(ranks("pub enum Rank {\n    /// One,\n    A,\n    B,\n}\n"), ["A", "B"]);
}

#[test]
fn a_file_that_is_missing_is_found() {
    let row = "| Lib | `src/lib.rs` |\n| No | `src/no.rs` |\n";
    assert_eq!(missing_files(root(), CLASSES, row), [Path::new("src/no.rs")]);
    let links = "[a](../ARCHITECTURE.md) [b](../no.md)";
    assert_eq!(missing_files(root(), CLASSES, links), [Path::new("docs/../no.md")]);
}

#[test]
fn a_class_that_is_not_listed_is_found() {
    let page = "| Java | here |\n|---|---|\n| A, version/B | `src/a.rs` |\n\n\
                * C, D,\n  E: not yet: comes with F, G.\n";
    let listed = listed_classes(page);
    let names: Vec<&str> = listed.iter().map(String::as_str).collect();
    assert_eq!(names, ["A", "B", "C", "D", "E", "Java"]);
    let source = "//! A part (Java: server/A.java, and what\n//! version/B.java and Z.java.\n//! \
                  do).\n\n/// Not of the header: Y.java.\n";
    assert_eq!(unlisted_classes(source, &listed), ["Z"]);
    assert_eq!(unlisted_classes("//! E (Java: E.java).\n", &listed), [""; 0]);
}
