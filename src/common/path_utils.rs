//! Rules for paths (Java: org/apache/zookeeper/common/PathUtils.java).

/// Why a text is not a valid path. The messages are Java's, with positions in UTF-16 units.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPath {
    /// The path is empty.
    #[error("Path length must be > 0")]
    Empty,
    /// The path is relative.
    #[error("Path must start with / character")]
    NotAbsolute,
    /// The path ends with a slash and is not the root.
    #[error("Path must not end with / character")]
    TrailingSlash,
    /// A character or a name inside the path is not allowed.
    #[error("Invalid path string \"{path}\" caused by {reason} @{at}")]
    Inside {
        /// The path.
        path: String,
        /// The reason.
        reason: &'static str,
        /// The position in the path.
        at: usize,
    },
}

/// Checks that the path is valid for a node (Java: validatePath).
///
/// # Errors
/// The first fault of the path.
pub fn validate_path(path: &str) -> Result<(), InvalidPath> {
    if path.is_empty() {
        return Err(InvalidPath::Empty);
    }
    if !path.starts_with('/') {
        return Err(InvalidPath::NotAbsolute);
    }
    if path.len() == 1 {
        return Ok(());
    }
    if path.ends_with('/') {
        return Err(InvalidPath::TrailingSlash);
    }
    match fault(path) {
        None => Ok(()),
        Some((reason, at)) => Err(InvalidPath::Inside { path: path.to_owned(), reason, at }),
    }
}

/// Checks that the path is valid once a sequence number is appended to it (Java: validatePath with
/// isSequential).
///
/// # Errors
/// The first fault of the path.
pub fn validate_sequential_path(path: &str) -> Result<(), InvalidPath> {
    validate_path(&format!("{path}1"))
}

/// The first fault of a path that starts with a slash and does not end with one.
fn fault(path: &str) -> Option<(&'static str, usize)> {
    let mut at = 1; // in UTF-16 units
    for (index, character) in path.char_indices().skip(1) {
        let (before, after) = (&path[..index], &path[index + character.len_utf8()..]);
        let ends_name = after.is_empty() || after.starts_with('/');
        match character {
            '\0' => return Some(("null character not allowed", at)),
            '/' if before.ends_with('/') => return Some(("empty node name specified", at)),
            '.' if ends_name && (before.ends_with('/') || before.ends_with("/.")) => {
                return Some(("relative paths not allowed", at));
            }
            '\u{1}'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{e000}'..='\u{f8ff}'
            // This range includes the supplementary characters, which are surrogates in Java.
            | '\u{fff0}'.. => return Some(("invalid character", at)),
            _ => {}
        }
        at += character.len_utf16();
    }
    None
}

/// The first name of a path, by which quotas and metrics are grouped (Java: getTopNamespace).
#[must_use]
pub fn top_namespace(path: &str) -> Option<&str> {
    let (_, rest) = path.split_once('/')?;
    // Java's split drops empty names at the end.
    if rest.trim_end_matches('/').is_empty() {
        return None;
    }
    rest.split('/').next()
}

/// Splits a path into the parent's path and the node's name: `("/a", "b")` for `/a/b`, `("", "a")` for `/a`.
/// `None` if there is no slash.
#[must_use]
pub fn split_last(path: &str) -> Option<(&str, &str)> {
    path.rsplit_once('/')
}

/// The length in UTF-16 units, as Java counts it.
#[must_use]
pub fn java_length(path: &str) -> usize {
    if path.is_ascii() { path.len() } else { path.chars().map(char::len_utf16).sum() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_and_we_agree_on_what_a_path_is() {
        for path in [
            "/",
            "/this is / a valid/path",
            "/name/with.period.",
            "/...",
            "/.a/..b/c..",
            "/test\u{20}",
            "/test\u{7e}",
            "/test\u{ffef}",
            "/\u{4e2d}\u{6587}",
            "/a/..../b",
        ] {
            assert_eq!(validate_path(path), Ok(()), "{path:?}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused_with_javas_reason_and_position() {
        for (path, message) in [
            ("", "Path length must be > 0"),
            ("not/valid", "Path must start with / character"),
            ("/ends/with/slash/", "Path must not end with / character"),
            ("/test\u{0}", "null character not allowed @5"),
            ("/double//slash", "empty node name specified @8"),
            ("/single/./period", "relative paths not allowed @8"),
            ("/double/../period", "relative paths not allowed @9"),
            ("/double/..", "relative paths not allowed @9"),
            ("/..", "relative paths not allowed @2"),
            ("/test\u{1f}", "invalid character @5"),
            ("/test\u{7f}", "invalid character @5"),
            ("/test\u{9f}a", "invalid character @5"),
            ("/test\u{e000}", "invalid character @5"),
            ("/test\u{f8ff}", "invalid character @5"),
            ("/test\u{fff0}", "invalid character @5"),
            ("/\u{4e2d}\u{1f600}", "invalid character @2"),
        ] {
            let error = validate_path(path).unwrap_err().to_string();
            assert!(error.ends_with(message), "{path:?}: {error}");
        }
    }

    #[test]
    fn a_sequential_path_may_end_with_a_slash_or_a_dot() {
        assert_eq!(validate_sequential_path("/a/"), Ok(()));
        assert_eq!(validate_sequential_path("/a/.."), Ok(()));
        assert!(validate_sequential_path("/a//").is_err());
        assert!(validate_sequential_path("").is_err());
    }

    #[test]
    fn the_top_namespace_is_the_first_name() {
        for (path, namespace) in [
            ("/", None),
            ("", None),
            ("//", None),
            ("a", None),
            ("/a", Some("a")),
            ("/a/", Some("a")),
            ("/a/b/c", Some("a")),
            ("//b", Some("")),
        ] {
            assert_eq!(top_namespace(path), namespace, "{path:?}");
        }
    }

    #[test]
    fn a_length_is_counted_in_javas_units() {
        assert_eq!(java_length("/abc"), 4);
        assert_eq!(java_length("/\u{e4}\u{4e2d}\u{1f600}"), 5);
        assert_eq!(split_last("/a/b"), Some(("/a", "b")));
        assert_eq!(split_last("/a"), Some(("", "a")));
        assert_eq!(split_last("a"), None);
    }
}
