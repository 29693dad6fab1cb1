//! No module uses itself by a detour over other modules (no Java twin).
//!
//! A file and the files in the folder of its name are one module here, since a file and its parts always use each
//! other. A `mod.rs` only lists the modules of a package; what it shows of them under its own name counts as what it
//! is.

use std::collections::{BTreeMap, BTreeSet};

use super::lexer::Source;
use super::modules::{expand, module_of, paths, resolve};

/// The circles that are left, and why each stays.
const CIRCLES: &[(&[&str], &str)] = &[
    (
        &["jute::binary_output_archive", "jute::record"],
        "an archive writes records, and a record writes itself into an archive, as in Java",
    ),
    (
        &["server::quorum::learner_handler", "server::quorum::learner_master"],
        "a handler knows its master, and the master keeps its handlers, as in Java",
    ),
    (
        &[
            "server::admin::admin_context",
            "server::final_request_processor",
            "server::memory_account",
            "server::request",
            "server::request_processor",
            "server::server_cnxn",
            "server::server_cnxn_factory",
            "server::server_role",
            "server::server_settings",
            "server::sync_request_processor",
            "server::zk_database",
            "server::zookeeper_server",
        ],
        "a connection knows its server, its factory and the reads that it keeps, and all of these know connections; \
         as in Java",
    ),
];

/// The names of a module or an item, from the crate's root.
type Path = Vec<String>;

/// The sources of the crate.
struct Modules<'a> {
    files: BTreeMap<Path, &'a Source>,
    /// What a package shows of its modules: `jute::Record` is `jute::record::Record`.
    shown: BTreeMap<Path, Path>,
}

impl<'a> Modules<'a> {
    fn new(sources: &'a [Source]) -> Self {
        let own = |source: &'a Source| Some((module_of(&source.path)?, source));
        let files: BTreeMap<Path, &Source> = sources.iter().filter_map(own).collect();
        let mut shown = BTreeMap::new();
        for (package, source) in files.iter().filter(|(_, source)| is_package(source)) {
            for (at, show) in source.code.match_indices("pub use ") {
                let mut items = Vec::new();
                expand(&source.code[at + show.len()..], &[], &mut items);
                for item in items {
                    let Some(name) = item.last() else { continue };
                    let name = [package.as_slice(), std::slice::from_ref(name)].concat();
                    let bare = || [package.as_slice(), item.as_slice()].concat();
                    shown.insert(name, resolve(package, &item).unwrap_or_else(bare));
                }
            }
        }
        Self { files, shown }
    }

    /// The module that an item is in: the first file on the way to it that is no package.
    fn module_of_item(&self, item: &[String]) -> Option<Path> {
        let known = (1..=item.len()).map(|length| &item[..length]);
        let item = known.rev().find_map(|names| self.shown.get(names)).map_or(item, Vec::as_slice);
        let mut ways = (1..=item.len()).map(|length| &item[..length]);
        let is_file = |names: &&[String]| self.files.get(*names).is_some_and(|of| !is_package(of));
        ways.find(is_file).map(<[String]>::to_vec)
    }

    /// Which module uses which, and where first.
    fn uses(&self) -> BTreeMap<Path, BTreeMap<Path, String>> {
        let mut uses: BTreeMap<Path, BTreeMap<Path, String>> = BTreeMap::new();
        for (own, source) in &self.files {
            let Some(user) = self.module_of_item(own) else { continue };
            for (line, path) in paths(source.product_code()) {
                let item = resolve(own, &path);
                let used = item.and_then(|item| self.module_of_item(&item));
                if let Some(used) = used.filter(|used| *used != user) {
                    let place = || format!("{}:{line}", source.path.display());
                    uses.entry(user.clone()).or_default().entry(used).or_insert_with(place);
                }
            }
        }
        uses
    }
}

fn is_package(source: &Source) -> bool {
    source.path.ends_with("mod.rs") || source.path.ends_with("lib.rs")
}

/// Modules that use each other, each perhaps over others.
struct Circle {
    modules: Vec<String>,
    /// Who uses whom, and where.
    uses: Vec<String>,
}

fn circles(sources: &[Source]) -> Vec<Circle> {
    let uses = Modules::new(sources).uses();
    let reached: BTreeMap<&Path, BTreeSet<&Path>> =
        uses.keys().map(|from| (from, reached(from, &uses))).collect();
    let reaches =
        |from: &Path, to: &Path| reached.get(from).is_some_and(|reached| reached.contains(to));
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for from in uses.keys().filter(|from| reaches(from, from)) {
        if !seen.insert(from) {
            continue;
        }
        let circle: Vec<&Path> =
            uses.keys().filter(|to| reaches(from, to) && reaches(to, from)).collect();
        seen.extend(circle.iter());
        let places = circle.iter().flat_map(|user| {
            let used = uses[*user].iter().filter(|(used, _)| circle.contains(used));
            used.map(|(used, place)| format!("{place} uses {}", used.join("::")))
        });
        found.push(Circle {
            uses: places.collect(),
            modules: circle.iter().map(|names| names.join("::")).collect(),
        });
    }
    found
}

/// What a module uses, also over others.
fn reached<'a>(
    from: &Path,
    uses: &'a BTreeMap<Path, BTreeMap<Path, String>>,
) -> BTreeSet<&'a Path> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&Path> = uses.get(from).into_iter().flat_map(BTreeMap::keys).collect();
    while let Some(module) = next.pop() {
        if reached.insert(module) {
            next.extend(uses.get(module).into_iter().flat_map(BTreeMap::keys));
        }
    }
    reached
}

/// The circles that are not listed, and the listed ones that are gone.
fn faults(found: &[Circle], listed: &[(&[&str], &str)]) -> Vec<String> {
    let is_listed = |circle: &Circle| listed.iter().any(|(modules, _)| circle.modules == *modules);
    let new = found
        .iter()
        .filter(|circle| !is_listed(circle))
        .map(|circle| format!("a circle of {:?}:\n  {}", circle.modules, circle.uses.join("\n  ")));
    let is_gone = |modules: &[&str]| found.iter().all(|circle| circle.modules != modules);
    let gone = listed.iter().filter(|(modules, _)| is_gone(modules));
    new.chain(gone.map(|(modules, _)| format!("no circle of {modules:?}: take it off the list")))
        .collect()
}

#[test]
fn no_module_uses_itself_by_a_detour() {
    let sources: Vec<Source> = super::project()
        .into_iter()
        .filter(|(path, _)| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|(path, text)| Source::new(&path, text))
        .collect();
    let faults = faults(&circles(&sources), CIRCLES);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn circles_of(files: &[(&str, &str)]) -> Vec<Vec<String>> {
    let source =
        |(path, text): &(&str, &str)| Source::new(std::path::Path::new(path), (*text).to_owned());
    let sources: Vec<Source> = files.iter().map(source).collect();
    circles(&sources).into_iter().map(|circle| circle.modules).collect()
}

#[test]
fn modules_that_use_each_other_are_a_circle() {
    let two = [("src/a.rs", "use super::b::B;"), ("src/b.rs", "fn b() { crate::a::a(); }")];
    assert_eq!(circles_of(&two), [["a", "b"]]);
    let three = [
        ("src/p/a.rs", "use super::b::B;"),
        ("src/p/b.rs", "use crate::p::c::C;"),
        ("src/p/c.rs", "use super::{a::A, d::D};"),
        ("src/p/d.rs", ""),
    ];
    assert_eq!(circles_of(&three), [["p::a", "p::b", "p::c"]]);
    let part = [("src/a/part.rs", "use crate::b::B;"), ("src/a.rs", ""), two[1]];
    assert_eq!(circles_of(&part), [["a", "b"]]);
}

#[test]
fn what_a_package_shows_is_in_its_module() {
    let shown = [
        ("src/p/mod.rs", "pub mod a;\npub use a::{A, B};"),
        ("src/p/a.rs", "use crate::c::C;"),
        ("src/c.rs", "use crate::p::B;"),
    ];
    assert_eq!(circles_of(&shown), [["c", "p::a"]]);
}

#[test]
fn a_file_and_its_parts_and_tests_are_no_circle() {
    let parts = [("src/a.rs", "use self::part::P;"), ("src/a/part.rs", "use super::A;")];
    assert_eq!(circles_of(&parts), [[""; 0]; 0]);
    let tests = [
        ("src/a.rs", "use crate::b::B;"),
        ("src/b.rs", "#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}"),
    ];
    assert_eq!(circles_of(&tests), [[""; 0]; 0]);
    let chain = [("src/a.rs", "use crate::b::B;"), ("src/b.rs", "use crate::c::C;")];
    assert_eq!(circles_of(&chain), [[""; 0]; 0]);
}

#[test]
fn the_list_is_neither_too_short_nor_too_long() {
    let circle = || {
        let modules = vec!["a".to_owned(), "b".to_owned()];
        Circle { modules, uses: vec!["src/a.rs:1 uses b".into()] }
    };
    assert_eq!(faults(&[circle()], &[(&["a", "b"], "as in Java")]), [""; 0]);
    let found = faults(&[circle()], &[(&["a", "c"], "as in Java")]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("src/a.rs:1 uses b"), "{found:?}");
}
