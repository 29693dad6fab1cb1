//! Why a configuration is refused (Java: org/apache/zookeeper/common/ConfigException.java, and the
//! IllegalArgumentException of the classes that read settings).
//!
//! Java ends with [`ExitCode::InvalidInvocation`](crate::server::exit_code::ExitCode) for each of
//! them.

use std::fmt;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// The file and the line of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file as it was named.
    pub file: PathBuf,
    /// The line, counted from 1; 0 when no line can be named.
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

/// Why a configuration is refused: where, what, and what would be right.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A file that must be there cannot be read.
    #[error("Error processing {}: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file that must be there is not.
    #[error("Error processing {}: file is missing; name an existing file", file.display())]
    Missing {
        /// The file.
        file: PathBuf,
    },
    /// A value that its key does not take.
    #[error("Error processing {place}: {key}={value}: {accepted}")]
    BadValue {
        /// Where it stands.
        place: Place,
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// What the key takes.
        accepted: String,
    },
    /// A key that must be set is not, or two keys do not go together.
    #[error("Error processing {place}: {what}")]
    Rule {
        /// The file, and the line if one of the lines is to blame.
        place: Place,
        /// What is wrong and the way out.
        what: String,
    },
    /// Settings that Java knows and this server does not serve yet.
    #[error("Error processing {}", items.join("; "))]
    NotSupported {
        /// For each: where, what, and the way out.
        items: Vec<String>,
    },
    /// Arguments of a command line that cannot be understood; the usage line helps.
    #[error("{0}")]
    Arguments(String),
}

impl ConfigError {
    /// Whether the command line is wrong, not a file: Java prints its usage then.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        matches!(self, Self::Arguments(_))
    }
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
