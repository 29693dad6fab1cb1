//! Why a configuration is refused (Java: org/apache/zookeeper/common/ConfigException.java, and the
//! IllegalArgumentException of the classes that read settings).
//!
//! Java exits with [`ExitCode::InvalidInvocation`](crate::server::exit_code::ExitCode) for each of these
//! errors.

use std::fmt;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// The most that an error shows of a text that comes from another server, in characters.
const LONGEST_EXCERPT: usize = 160;

/// The file and the line of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, as the command line or setting named it.
    pub file: PathBuf,
    /// The line, counted from 1; 0 if no single line is at fault.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => self.file.display().fmt(f),
            line => write!(f, "{}:{line}", self.file.display()),
        }
    }
}

/// Why a configuration is refused: where the fault is, what it is, and what would be accepted.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A required file cannot be read.
    #[error("Error processing {}: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A required file does not exist.
    #[error("Error processing {}: file is missing; name an existing file", file.display())]
    Missing {
        /// The file.
        file: PathBuf,
    },
    /// The key does not accept this value.
    #[error("Error processing {place}: {key}={value}: {accepted}")]
    BadValue {
        /// The file and line of the setting.
        place: Place,
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// The values that the key accepts.
        accepted: String,
    },
    /// A required key is missing, or two keys contradict each other.
    #[error("Error processing {place}: {what}")]
    Rule {
        /// The file, and the line if a single line is at fault.
        place: Place,
        /// What is wrong and how to fix it.
        what: String,
    },
    /// Settings that Java supports and this server does not.
    #[error("Error processing {}", items.join("; "))]
    NotSupported {
        /// For each setting: where it is, what it is, and what to do instead.
        items: Vec<String>,
    },
    /// The command line arguments are invalid.
    #[error("{0}")]
    Arguments(String),
}

impl ConfigError {
    /// Whether the command line is wrong rather than a file. Java then prints its usage.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        matches!(self, Self::Arguments(_))
    }

    /// The same error about a text that comes from another server: it fits into one line of the log, and nothing in it
    /// can look like another line.
    #[must_use]
    pub(crate) fn about_foreign_text(self) -> Self {
        match self {
            Self::BadValue { place, key, value, accepted } => Self::BadValue {
                place,
                key: excerpt(&key),
                value: excerpt(&value),
                accepted: excerpt(&accepted),
            },
            Self::Rule { place, what } => Self::Rule { place, what: excerpt(&what) },
            other => other,
        }
    }
}

/// The beginning of a text, without control characters.
fn excerpt(text: &str) -> String {
    let mut excerpt = String::new();
    for char in text.chars().take(LONGEST_EXCERPT) {
        if char.is_control() {
            excerpt.extend(char.escape_default());
        } else {
            excerpt.push(char);
        }
    }
    if text.chars().nth(LONGEST_EXCERPT).is_some() {
        excerpt.push_str("...");
    }
    excerpt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_names_file_line_key_and_accepted_values() {
        let error = ConfigError::BadValue {
            place: Place { file: "conf/zoo.cfg".into(), line: 7 },
            key: "tickTime".into(),
            value: "2s".into(),
            accepted: "a whole number is needed".into(),
        };
        assert_eq!(
            error.to_string(),
            "Error processing conf/zoo.cfg:7: tickTime=2s: a whole number is needed"
        );
        assert!(!error.is_usage());
    }
}
