//! The rules of this repository that a machine can check (no Java twin).
//!
//! Each rule is a function that returns what is wrong with a source file. Each is tested with a bad sample. Code that
//! must break a rule gives a reason on the same line or the line above: `// tidy: <rule>: <reason>`.

#![allow(clippy::unwrap_used, reason = "helpers of tests, too")]

#[path = "tidy/circles.rs"]
mod circles;
#[path = "tidy/documents.rs"]
mod documents;
#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/lexer.rs"]
mod lexer;
#[path = "tidy/methods.rs"]
mod methods;
#[path = "tidy/modules.rs"]
mod modules;
#[path = "tidy/side_by_side.rs"]
mod side_by_side;

use std::fs;
use std::path::{Path, PathBuf};

use lexer::Source;

const MAX_LINES: usize = 800;
const MAX_FUNCTION_LINES: usize = 70;
const MAX_WIDTH: usize = 100;

/// What is wrong: the line, counted from 1, and the reason.
type Faults = Vec<(usize, String)>;

type Rule = fn(&Source) -> Faults;

/// The name of each rule, as in `// tidy: <name>: <reason>`, and the rule.
const RUST_RULES: &[(&str, Rule)] = &[
    ("header", header),
    ("file length", file_length),
    ("function length", function_length),
    ("file name", file_name),
    ("direction", modules::direction),
    ("layer", layers::layer),
    ("quorum", modules::server_never_says_quorum),
    ("threads", threads),
    ("sleep", sleep),
    ("ignore", ignore),
];

/// The first lines must name the Java class, or say that there is none. In a test file they say what it tests.
fn header(source: &Source) -> Faults {
    let head: String =
        source.text.lines().take_while(|line| line.starts_with("//!")).collect::<Vec<_>>().join(
            " \
            ",
        );
    let said = ["Java: ", "Java's ", "no Java twin"].iter().any(|words| head.contains(words));
    match (head.is_empty(), said || source.is_test_file()) {
        (true, _) => vec![(1, "the file does not open with //! lines".into())],
        (_, false) => {
            vec![(1, "the header names no Java class and does not say \"no Java twin\"".into())]
        }
        _ => Vec::new(),
    }
}

fn file_length(source: &Source) -> Faults {
    let lines = source.text.lines().count();
    if lines > MAX_LINES {
        return vec![(1, format!("{lines} lines; {MAX_LINES} are allowed: split the file"))];
    }
    Vec::new()
}

fn function_length(source: &Source) -> Faults {
    let functions = source.functions().into_iter();
    let long = functions.filter(|function| function.lines() > MAX_FUNCTION_LINES);
    long.map(|function| {
        let (name, lines) = (&function.name, function.lines());
        (
            function.first_line,
            format!(
                "fn {name} has {lines} lines; {MAX_FUNCTION_LINES} are \
            allowed"
            ),
        )
    })
    .collect()
}

fn width(source: &Source) -> Faults {
    let lines = source.text.lines().enumerate().map(|(at, line)| (at + 1, line.chars().count()));
    let wide = lines.filter(|(_, width)| *width > MAX_WIDTH);
    wide.map(|(line, width)| {
        (
            line,
            format!(
                "{width} characters; {MAX_WIDTH} are \
        allowed"
            ),
        )
    })
    .collect()
}

/// File names are in snake case, and "zookeeper" is one word.
fn file_name(source: &Source) -> Faults {
    let name = source.path.file_stem().unwrap_or_default().to_string_lossy();
    let snake = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if !snake {
        return vec![(1, format!("the file's name {name} is not in snake case"))];
    }
    if name.contains("zoo_keeper") {
        return vec![(1, "zookeeper is one word in the names of files".into())];
    }
    Vec::new()
}

/// Every thread has an owner and a name, because only two helpers start threads.
fn threads(source: &Source) -> Faults {
    let helpers = ["src/server/zookeeper_thread.rs", "src/server/zookeeper_critical_thread.rs"];
    if source.is_test_file() || helpers.iter().any(|helper| source.path == Path::new(helper)) {
        return Vec::new();
    }
    let ways = ["thread::Builder", "thread::spawn", "thread::scope"];
    source.find_in_product_code(
        &ways,
        "threads start through zookeeper_thread::spawn or \
        zookeeper_critical_thread::spawn",
    )
}

/// Code waits for a condition, and never for time to pass.
fn sleep(source: &Source) -> Faults {
    source.find(
        &["thread::sleep"],
        "wait for a condition with a deadline, not for time \
        to pass",
    )
}

/// A test that does not run must say why.
fn ignore(source: &Source) -> Faults {
    let line_of = |(at, line): (usize, &str)| {
        let line = line.trim();
        let silent = line.starts_with("#[ignore]") || line.starts_with("#[ignore = \"\"");
        silent.then(|| (at + 1, "#[ignore] needs a reason: #[ignore = \"needs ..\"]".to_owned()))
    };
    source.text.lines().enumerate().filter_map(line_of).collect()
}

/// No file contains a path of the machine on which it was written.
fn private_paths(text: &str) -> Faults {
    let private = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];
    let mut faults = Vec::new();
    for (at, line) in text.lines().enumerate() {
        // Only at the start of a word: with `$PEERS_DIR` or more in front, it is another path.
        let mut words = line.split(|c: char| c.is_whitespace() || "\"'`(=:,".contains(c));
        if words.any(|word| private.iter().any(|path| word.starts_with(path))) {
            faults.push((at + 1, "a path of one machine".to_owned()));
        }
    }
    faults
}

/// The faults for which the source gives no reason.
fn without_reasons(rule: &str, text: &str, faults: Faults) -> Faults {
    let marker = format!("// tidy: {rule}: ");
    let lines: Vec<&str> = text.lines().collect();
    let has_reason = |line: usize| {
        let marked = |at: usize| lines.get(at).is_some_and(|text| text.contains(&marker));
        // Attributes and doc comments may stand between the reason and a function.
        let above = (0..line.saturating_sub(1)).rev().take_while(|at| {
            let text = lines.get(*at).map_or("", |text| text.trim());
            text.starts_with("//") || text.starts_with("#[")
        });
        marked(line - 1) || above.into_iter().any(marked)
    };
    faults.into_iter().filter(|(line, _)| !has_reason(*line)).collect()
}

fn check(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, rule) in RUST_RULES {
        for (line, fault) in without_reasons(name, &source.text, rule(source)) {
            complaints.push(format!("{}:{line}: {name}: {fault}", source.path.display()));
        }
    }
    complaints
}

/// The files of the project below a directory, except what was built or downloaded.
fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(directory).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with('.') || ["target", "logs", "__pycache__"].contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn project() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    files(root, &mut found);
    let text = |path: PathBuf| {
        let text = fs::read(&path).ok().and_then(|bytes| String::from_utf8(bytes).ok())?;
        Some((path.strip_prefix(root).unwrap().to_owned(), text))
    };
    found.into_iter().filter_map(text).collect()
}

#[test]
fn the_house_is_tidy() {
    let mut complaints = Vec::new();
    for (path, text) in project() {
        for (line, fault) in private_paths(&text) {
            complaints.push(format!("{}:{line}: {fault}", path.display()));
        }
        if path.extension().is_some_and(|extension| extension == "rs") {
            complaints.extend(check(&Source::new(&path, text)));
        }
    }
    assert!(complaints.is_empty(), "{} faults:\n{}", complaints.len(), complaints.join("\n"));
}

mod samples {
    use super::*;

    /// The names of the rules that the text breaks. Repeated names are removed.
    pub(super) fn broken(path: &str, text: &str) -> Vec<String> {
        let source = Source::new(Path::new(path), text.to_owned());
        let mut names: Vec<String> = check(&source)
            .iter()
            .map(|complaint| complaint.split(": ").nth(1).unwrap().to_owned())
            .collect();
        names.dedup();
        names
    }

    const HEAD: &str = "//! A file (no Java twin).\n\n";

    fn broken_below_head(path: &str, text: &str) -> Vec<String> {
        broken(path, &format!("{HEAD}{text}"))
    }

    #[test]
    fn a_good_file_breaks_nothing() {
        let text = "//! One session (Java: server/SessionTracker.java).\nuse \
            crate::jute::Record;\n";
        assert_eq!(broken("src/server/session_tracker.rs", text), [""; 0]);
    }

    #[test]
    fn a_header_must_name_its_twin() {
        assert_eq!(broken("src/a.rs", "use std::fs;\n"), ["header"]);
        assert_eq!(broken("src/a.rs", "//! This module contains things.\n"), ["header"]);
        assert_eq!(broken("tests/a.rs", "//! Sessions.\n"), [""; 0]);
        assert_eq!(broken("tests/a.rs", "use std::fs;\n"), ["header"]);
    }

    #[test]
    fn long_files_and_functions_and_lines_are_found() {
        assert_eq!(broken_below_head("src/a.rs", &"\n".repeat(800)), ["file length"]);
        let body = "    let brace = '{'; // }\n".repeat(70);
        let long = format!("fn a() {{\n{body}}}\n");
        assert_eq!(broken_below_head("src/a.rs", &long), ["function length"]);
        let excused = format!("// tidy: function length: one arm an operation\n#[inline]\n{long}");
        assert_eq!(broken_below_head("src/a.rs", &excused), [""; 0]);
        let short = format!("fn a() {{\n{}}}\n", "    let brace = \"{\";\n".repeat(68));
        assert_eq!(broken_below_head("src/a.rs", &short.repeat(3)), [""; 0]);
        for (letters, faults) in [(98, 1), (97, 0)] {
            let text = format!("// {}\n", "ä".repeat(letters));
            assert_eq!(width(&Source::new(Path::new("src/a.rs"), text)).len(), faults);
        }
    }

    #[test]
    fn names_of_files_are_in_snake_case() {
        for path in ["src/DataTree.rs", "src/zoo_keeper_server.rs", "src/data-tree.rs"] {
            assert_eq!(broken_below_head(path, ""), ["file name"], "{path}");
        }
    }

    #[test]
    fn threads_start_through_the_helpers() {
        let text = "fn a() {\n    thread::Builder::new();\n}\n";
        assert_eq!(broken_below_head("src/a.rs", text), ["threads"]);
        let in_test = format!("#[cfg(test)]\nmod tests {{\n{text}}}\n");
        assert_eq!(broken_below_head("src/a.rs", &in_test), [""; 0]);
        assert_eq!(broken_below_head("tests/a.rs", text), [""; 0]);
        assert_eq!(broken_below_head("src/a.rs", "// thread::spawn\n"), [""; 0]);
    }

    #[test]
    fn nobody_sleeps_and_no_test_is_left_out_without_a_reason() {
        let text = "#[test]\nfn a() {\n    std::thread::sleep(TICK);\n}\n";
        assert_eq!(broken_below_head("tests/a.rs", text), ["sleep"]);
        assert_eq!(broken_below_head("tests/a.rs", "    #[ignore]\n"), ["ignore"]);
        assert_eq!(broken_below_head("tests/a.rs", "#[ignore = \"\"]\n"), ["ignore"]);
        assert_eq!(broken_below_head("tests/a.rs", "#[ignore = \"needs Java\"]\n"), [""; 0]);
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        assert_eq!(private_paths(concat!("a\nb /ho", "me/me/zoo.cfg")).len(), 1);
        assert_eq!(private_paths(concat!("/etc $PEERS/wo", "rk/a and target/wo", "rk/b")).len(), 0);
    }

    #[test]
    fn modules_know_only_what_lies_below_them() {
        for (path, text) in [
            ("src/jute/record.rs", "use crate::txn::TxnHeader;"),
            ("src/txn.rs", "use crate::server::request::Request;"),
            ("src/common/time.rs", "fn a() { crate::server::request::b(); }"),
            ("src/server/persistence/file_snap.rs", "use crate::server::zookeeper_server::State;"),
            ("src/server/data_tree.rs", "use super::{data_node, request};"),
            ("src/server/persistence/util.rs", "use super::super::request::Request;"),
            ("src/server/zk_database.rs", "use crate::zookeeper_main::run;"),
            ("src/server/zk_database.rs", "use crate::{common::{time, zk_config}, bench};"),
        ] {
            assert_eq!(broken_below_head(path, text), ["direction"], "{path}: {text}");
        }
        for (path, text) in [
            ("src/txn.rs", "use crate::jute::Record;\nuse super::data::Stat;"),
            ("src/server/request.rs", "use super::{data_tree::DataTree, persistence};"),
            ("src/server/data_tree/digest.rs", "use super::super::data_node::DataNode;"),
            ("src/main.rs", "use zookeeper_server::server::quorum::quorum_peer_main;"),
            ("src/common/a.rs", "#[cfg(test)]\nmod tests {\n    use crate::server::request::A;\n}"),
        ] {
            assert_eq!(broken_below_head(path, text), [""; 0], "{path}: {text}");
        }
    }

    #[test]
    fn modules_of_the_server_and_the_ensemble_know_only_lower_layers() {
        for (path, text) in [
            ("src/server/quorum/vote.rs", "use super::quorum_peer::QuorumPeer;"),
            (
                "src/server/quorum/leader/broadcast.rs",
                "use crate::server::quorum::learner::Learner;",
            ),
            ("src/server/quorum/leader_link.rs", "use super::{quorum_peer_config::A, vote};"),
            ("src/server/quorum/quorum_peer/run.rs", "use crate::server::quorum::new::New;"),
            ("src/server/quorum/new.rs", ""),
            (
                "src/server/server_cnxn/output.rs",
                "use crate::server::zookeeper_server::ZooKeeperServer;",
            ),
            ("src/server/util/rate_limiter.rs", "use super::auth_util::AuthUtil;"),
            ("src/server/new.rs", ""),
        ] {
            assert_eq!(broken_below_head(path, text), ["layer"], "{path}: {text}");
        }
        for (path, text) in [
            ("src/server/quorum/follower.rs", "use super::learner::Learner;"),
            ("src/server/quorum/leader.rs", "use super::leader_zookeeper_server::Running;"),
            (
                "src/server/quorum/quorum_peer/run.rs",
                "use crate::server::quorum::{follower::Follower, leader::Leader, observer::Observer};",
            ),
            ("src/server/quorum/vote.rs", "use crate::server::zookeeper_server::State;"),
            ("src/server/quorum/mod.rs", "pub mod new;"),
            (
                "src/server/quorum/vote.rs",
                "// tidy: layer: as in Java\nuse super::quorum_peer::QuorumPeer;",
            ),
            ("src/server/admin/json_outputter.rs", "use super::command_response::Response;"),
            ("src/server/auth/ip.rs", "use crate::server::util::auth_util::AuthUtil;"),
            ("src/server/command/test_context.rs", "use crate::server::auth::ip::Ip;"),
        ] {
            assert_eq!(broken_below_head(path, text), [""; 0], "{path}: {text}");
        }
    }

    #[test]
    fn the_server_never_says_quorum_in_code() {
        let text = "fn a(quorum: u8) {}\n";
        assert_eq!(broken_below_head("src/server/request.rs", text), ["quorum"]);
        assert_eq!(broken_below_head("src/server/quorum/leader.rs", text), [""; 0]);
        let spoken = "// the quorum\nconst A: &str = \"quorum\";\n";
        assert_eq!(broken_below_head("src/server/request.rs", spoken), [""; 0]);
    }
}
