//! Reads the section names of the file that `java.security.auth.login.config` (JAAS) names (no Java twin: the
//! JDK's sun.security.provider.ConfigFile).
//!
//! The server supports no SASL login. A file with a section for the server asks for SASL and must be refused; a
//! file without such a section is harmless.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::zk_config::SystemProperties;

/// The property that names the file.
pub(crate) const LOGIN_CONFIG: &str = "java.security.auth.login.config";

/// Why the sections of the file are not known.
#[derive(Debug, Error)]
pub(crate) enum JaasError {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// The file is not of the form `Section { module flag option=value; };`.
    #[error("line {0}: not of the form 'Section {{ module flag option=value; }};'")]
    Malformed(usize),
}

/// The section names of the file that the properties name; `None` if they name no file.
///
/// # Errors
/// [`JaasError`].
pub(crate) fn sections_of(properties: &SystemProperties) -> Option<Result<Vec<String>, JaasError>> {
    let value = properties.get(LOGIN_CONFIG)?;
    Some(read_sections(&path_of(value)))
}

/// The section names of a file.
///
/// # Errors
/// [`JaasError`].
pub(crate) fn read_sections(file: &Path) -> Result<Vec<String>, JaasError> {
    sections(&String::from_utf8_lossy(&fs::read(file)?))
}

/// The path in the property's value, which is a path or a `file:` URL. A second `=` (`-D...==file`) tells a JVM
/// to use only this file; it is skipped here.
fn path_of(value: &str) -> PathBuf {
    let value = value.strip_prefix('=').unwrap_or(value);
    let path = value.strip_prefix("file:").unwrap_or(value);
    path.strip_prefix("//").filter(|path| path.starts_with('/')).unwrap_or(path).into()
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Mark(char),
}

fn sections(text: &str) -> Result<Vec<String>, JaasError> {
    let tokens = tokens(text)?;
    let mut tokens = tokens.into_iter();
    let mut names = Vec::new();
    while let Some((token, line)) = tokens.next() {
        let Token::Word(name) = token else { return Err(JaasError::Malformed(line)) };
        let mut expect = |mark| match tokens.next() {
            Some((token, _)) if token == Token::Mark(mark) => Ok(()),
            other => Err(JaasError::Malformed(other.map_or(line, |(_, line)| line))),
        };
        expect('{')?;
        loop {
            match tokens.next() {
                Some((Token::Mark('}'), _)) => break,
                Some((Token::Mark('{'), line)) => return Err(JaasError::Malformed(line)),
                Some(_) => {}
                None => return Err(JaasError::Malformed(line)),
            }
        }
        match tokens.next() {
            Some((Token::Mark(';'), _)) => names.push(name),
            other => return Err(JaasError::Malformed(other.map_or(line, |(_, line)| line))),
        }
    }
    Ok(names)
}

/// Splits the text into words, quoted texts and punctuation, each with its line. Comments (`//`, `/* */`) are
/// skipped.
fn tokens(text: &str) -> Result<Vec<(Token, usize)>, JaasError> {
    let mut found = Vec::new();
    let mut line = 1;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").ok_or(JaasError::Malformed(line))? + 2
        } else if first == '"' {
            let length = rest[1..].find('"').ok_or(JaasError::Malformed(line))?;
            found.push((Token::Word(rest[1..=length].to_owned()), line));
            length + 2
        } else if matches!(first, '{' | '}' | ';' | '=') {
            found.push((Token::Mark(first), line));
            1
        } else if first.is_whitespace() {
            first.len_utf8()
        } else {
            let ends = |at: char| at.is_whitespace() || matches!(at, '{' | '}' | ';' | '=' | '"');
            let length = rest.find(ends).unwrap_or(rest.len());
            found.push((Token::Word(rest[..length].to_owned()), line));
            length
        };
        line += rest[..end].matches('\n').count();
        rest = &rest[end..];
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sections_of_a_file_are_found_whatever_stands_in_them() {
        for (text, names) in [
            ("", &[][..]),
            ("// Server { a required; };\n/* Server { } */\n", &[]),
            (
                "Server {\n  org.apache.zookeeper.server.auth.DigestLoginModule required\n  user_super=\"}; Client {\";\n};\n",
                &["Server"],
            ),
            (
                "Client{m required a=b;m2 optional;};QuorumServer { x sufficient; };",
                &["Client", "QuorumServer"],
            ),
            ("\"my Server\" { };", &["my Server"]),
            ("// nothing follows", &[]),
        ] {
            assert_eq!(sections(text).unwrap(), names, "{text}");
        }
    }

    #[test]
    fn what_has_another_form_is_named_by_its_line() {
        for (text, line) in [
            ("Server", 1),
            ("\nServer {", 2),
            ("Server { a required; }", 1),
            ("Server { a required; }\nClient { };", 2),
            ("{ a required; };", 1),
            ("a { b { }; };", 1),
            ("\n\n\"Server { };", 3),
            ("/* Server", 1),
            ("= {};", 1),
        ] {
            match sections(text) {
                Err(JaasError::Malformed(found)) => assert_eq!(found, line, "{text:?}"),
                other => panic!("{text:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn the_file_is_a_path_or_a_url() {
        for value in
            ["/etc/jaas.conf", "=/etc/jaas.conf", "file:/etc/jaas.conf", "file:///etc/jaas.conf"]
        {
            assert_eq!(path_of(value), PathBuf::from("/etc/jaas.conf"), "{value}");
        }
        assert_eq!(path_of("jaas.conf"), PathBuf::from("jaas.conf"));
        let properties = SystemProperties::from_pairs([(LOGIN_CONFIG, "/no/such/file")]);
        let error = sections_of(&properties).unwrap().unwrap_err().to_string();
        assert!(error.starts_with("cannot be read: "), "{error}");
        assert!(sections_of(&SystemProperties::new()).is_none());
    }
}
