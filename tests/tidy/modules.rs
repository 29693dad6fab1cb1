//! Which modules may use which (no Java twin): jute < records < persistence and tree < server < quorum < the binary.
//! The layers inside the server and the quorum are in `layers`.

use std::path::Path;

use super::lexer::Source;

/// The modules of `server` that belong to storage and the tree. They know nothing of requests and connections.
const STORAGE: &[&str] = &[
    "persistence",
    "data_tree",
    "byte_store",
    "data_node",
    "node_hash_map",
    "digest_calculator",
    "ephemeral_type",
    "reference_counted_acl_cache",
    "watch",
    "util",
    "exit_code",
    "rate_logger",
    "server_watcher",
    "server_metrics",
    "zookeeper_thread",
    "zookeeper_critical_thread",
    "zookeeper_server_listener",
    "zoo_trace",
];

/// The modules of `server::util` that belong to the server and not to storage.
const SERVER_UTIL: &[&str] =
    &["auth_util", "quota_metrics_utils", "rate_limiter", "request_path_metrics_collector"];

/// The modules at the top, which may use everything.
const TOP: &[&str] = &[
    "main",
    "zookeeper_main",
    "cli",
    "bench",
    "lib",
    "admin",
    "client",
    "client_cnxn",
    "zookeeper",
    "internals",
];

/// The levels, lowest first. A module may use modules of its own level and below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Jute,
    Records,
    Storage,
    Server,
    Quorum,
    Top,
}

pub(super) fn level(module: &[String]) -> Level {
    let names: Vec<&str> = module.iter().map(String::as_str).collect();
    match names.as_slice() {
        ["jute", ..] => Level::Jute,
        ["server", "quorum", ..] => Level::Quorum,
        // Counters use nothing else. The providers in `metrics` publish them, as in Java.
        ["server", "metric", ..] => Level::Records,
        // Providers that serve metrics, or that know all providers, are above the server. In Java they are separate
        // packages.
        ["metrics", "prometheus", ..] | ["metrics", "impls", "metrics_provider_bootstrap", ..] => {
            Level::Server
        }
        ["server", "util", name, ..] if SERVER_UTIL.contains(name) => Level::Server,
        ["server", name, ..] if STORAGE.contains(name) => Level::Storage,
        ["server", _, ..] => Level::Server,
        // Alone, this is the package itself. Every module above names it in paths.
        ["server"] => Level::Records,
        [name, ..] if TOP.contains(name) => Level::Top,
        _ => Level::Records,
    }
}

/// The module of a file: `src/server/data_tree/digest.rs` is `server::data_tree::digest`.
pub(super) fn module_of(path: &Path) -> Option<Vec<String>> {
    let below = path.strip_prefix("src").ok()?.with_extension("");
    let mut names: Vec<String> =
        below.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    if names.last().is_some_and(|name| name == "mod") {
        names.pop();
    }
    Some(names)
}

pub(crate) fn direction(source: &Source) -> Vec<(usize, String)> {
    let Some(own) = module_of(&source.path) else { return Vec::new() };
    let own_level = level(&own);
    // This file only lists the modules of the crate or of a package.
    if own.is_empty() || own == ["lib"] || source.path.ends_with("mod.rs") {
        return Vec::new();
    }
    let mut faults = Vec::new();
    for (line, path) in paths(source.product_code()) {
        let Some(used) = resolve(&own, &path) else { continue };
        let used_level = level(&used);
        if used_level > own_level {
            let used = used.join("::");
            faults.push((line, format!("{own_level:?} uses {used}, which is {used_level:?}")));
        }
    }
    faults
}

/// The module or item, as a path from the crate's root.
pub(super) fn resolve(own: &[String], path: &[String]) -> Option<Vec<String>> {
    let mut base = own.to_vec();
    let mut rest = path;
    match path.first().map(String::as_str) {
        Some("crate") => {
            base.clear();
            rest = &path[1..];
        }
        Some("self") => rest = &path[1..],
        Some("super") => {
            while rest.first().is_some_and(|name| name == "super") {
                base.pop();
                rest = &rest[1..];
            }
        }
        _ => return None,
    }
    base.extend(rest.iter().cloned());
    Some(base)
}

/// All paths that begin with `crate`, `super` or `self`, with braces expanded, and their lines.
pub(super) fn paths(code: &str) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    let mut offset = 0;
    while let Some((at, word)) = ["crate::", "super::", "self::"]
        .iter()
        .filter_map(|word| code[offset..].find(word).map(|at| (offset + at, *word)))
        .min()
    {
        let starts_word = code[..at]
            .chars()
            .next_back()
            .is_none_or(|c| !(c.is_alphanumeric() || c == '_' || c == ':'));
        if !starts_word {
            offset = at + word.len();
            continue;
        }
        let line = code[..at].matches('\n').count() + 1;
        let mut expanded = Vec::new();
        let used = expand(&code[at..], &[], &mut expanded);
        found.extend(expanded.into_iter().map(|path| (line, path)));
        offset = at + used.max(word.len());
    }
    found
}

/// Expands one tree of a `use` into paths. Returns how many bytes of the text it used.
pub(super) fn expand(text: &str, prefix: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let mut path = prefix.to_vec();
    let mut at = 0;
    loop {
        let rest = &text[at..];
        let blanks = rest.len() - rest.trim_start().len();
        let rest = rest.trim_start();
        at += blanks;
        if rest.starts_with('{') {
            at += 1;
            loop {
                at += expand(&text[at..], &path, found);
                let Some(next) = text[at..].find([',', '}']) else { return text.len() };
                let closes = text[at + next..].starts_with('}');
                at += next + 1;
                if closes {
                    return at;
                }
            }
        }
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        at += name.len();
        if !name.is_empty() {
            path.push(name);
        }
        if text[at..].starts_with("::") {
            at += 2;
            continue;
        }
        if path.len() > prefix.len() {
            found.push(path);
        }
        return at;
    }
}

/// Files of the server with names that operators know from Java, and the commands that report on an ensemble.
const NAMES_OF_JAVA: [&str; 3] =
    ["src/server/exit_code.rs", "src/server/server_metrics.rs", "src/server/admin"];

/// Checks that the server does not mention quorums. Whatever differs by role enters the server through traits.
pub(crate) fn server_never_says_quorum(source: &Source) -> Vec<(usize, String)> {
    let is_server =
        source.path.starts_with("src/server") && !source.path.starts_with("src/server/quorum");
    if !is_server || NAMES_OF_JAVA.iter().any(|name| source.path.starts_with(name)) {
        return Vec::new();
    }
    let lines = source.code.lines().enumerate();
    let says = lines.filter(|(_, line)| {
        line.to_lowercase().contains("quorum") && line.trim() != "pub(crate) mod quorum;"
    });
    says.map(|(at, _)| (at + 1, "the server knows no ensemble".to_owned())).collect()
}

#[test]
fn the_modules_of_storage_exist() {
    let names = |package: &'static str, names: &'static [&str]| {
        names.iter().map(move |name| super::documents::root().join(package).join(name))
    };
    for file in names("src/server", STORAGE).chain(names("src/server/util", SERVER_UTIL)) {
        let exists = file.is_dir() || file.with_extension("rs").is_file();
        assert!(exists, "there is no {}", file.display());
    }
}
