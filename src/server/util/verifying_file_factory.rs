//! Checks paths in settings (Java: server/util/VerifyingFileFactory.java).

use std::path::{Path, PathBuf};

use log::warn;

use crate::common::config_exception::ConfigError;

/// Converts the text of a setting to a path and checks it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VerifyingFileFactory {
    log_target: &'static str,
    warn_for_relative_path: bool,
    fail_for_non_existing_path: bool,
}

impl VerifyingFileFactory {
    /// Creates a factory that accepts every path. Its warnings go to the logger `log_target`.
    #[must_use]
    pub(crate) const fn new(log_target: &'static str) -> Self {
        Self { log_target, warn_for_relative_path: false, fail_for_non_existing_path: false }
    }

    /// Logs a warning for a relative path that does not start with `./`, because it may depend on the working
    /// directory by accident.
    #[must_use]
    pub(crate) const fn warn_for_relative_path(mut self) -> Self {
        self.warn_for_relative_path = true;
        self
    }

    /// Refuses a path that does not exist.
    #[must_use]
    #[cfg(test)]
    pub(crate) const fn fail_for_non_existing_path(mut self) -> Self {
        self.fail_for_non_existing_path = true;
        self
    }

    /// Converts and checks a path (Java: create, with doWarnForRelativePath and doFailForNonExistingPath).
    ///
    /// # Errors
    /// [`ConfigError::Missing`] if the path does not exist and that is refused.
    pub(crate) fn create(&self, path: impl Into<PathBuf>) -> Result<PathBuf, ConfigError> {
        let path = path.into();
        if self.warn_for_relative_path && is_relative_by_accident(&path) {
            warn!(
                target: self.log_target,
                "{} is relative. Prepend ./ to indicate that you're sure!",
                path.display()
            );
        }
        if self.fail_for_non_existing_path && !path.exists() {
            return Err(ConfigError::Missing { file: path });
        }
        Ok(path)
    }
}

fn is_relative_by_accident(path: &Path) -> bool {
    path.is_relative() && !path.as_os_str().as_encoded_bytes().starts_with(b"./")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_path_that_says_so_is_relative_on_purpose() {
        for (path, by_accident) in [
            ("/data", false),
            ("./data", false),
            ("data", true),
            ("../data", true),
            ("", true),
            ("d", true),
        ] {
            assert_eq!(is_relative_by_accident(Path::new(path)), by_accident, "{path:?}");
        }
    }

    #[test]
    fn a_missing_file_is_refused_only_when_asked_for() {
        let factory = VerifyingFileFactory::new("test");
        assert!(factory.create("/no/such/file").is_ok());
        let error = factory.fail_for_non_existing_path().create("/no/such/file").unwrap_err();
        assert!(error.to_string().contains("/no/such/file: file is missing"), "{error}");
    }
}
