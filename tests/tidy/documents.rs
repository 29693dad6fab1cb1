//! ARCHITECTURE.md says what the sources say (no Java twin).

use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The files that a text names in backticks: `src/...rs`.
fn named_files(text: &str) -> Vec<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    let files = quoted.filter(|name| name.starts_with("src/") && name.ends_with(".rs"));
    files.filter(|name| !name.contains('*')).map(str::to_owned).collect()
}

/// The ranks in the table of locks, in its order.
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
fn the_map_names_only_files_that_exist() {
    let files = named_files(&read("ARCHITECTURE.md"));
    assert!(files.len() > 100, "only {} files found in the map", files.len());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let missing: Vec<_> = files.iter().filter(|file| !root.join(file).exists()).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md names {missing:?}");
}

#[test]
fn the_order_of_locks_is_written_down() {
    let ranks = ranks(&read("src/util/lock_rank.rs"));
    assert!(ranks.len() > 10, "{ranks:?}");
    assert_eq!(documented_ranks(&read("ARCHITECTURE.md")), ranks);
}

#[test]
fn files_and_ranks_are_found_in_texts() {
    let text = "`src/a.rs` and `src/b*.rs`, `a.rs`; `src/c/d.rs`";
    assert_eq!(named_files(text), ["src/a.rs", "src/c/d.rs"]);
    assert_eq!(
        documented_ranks("| rank | x |\n|---|---|\n| `A` | b |\n| `C` | d |\n\n"),
        ["A", "C"]
    );
    assert_eq!(ranks("pub enum Rank {\n    /// One,\n    A,\n    B,\n}\n"), ["A", "B"]);
}
