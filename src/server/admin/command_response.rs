//! The answer of an admin command (Java: server/admin/CommandResponse.java).

use std::borrow::Cow;
use std::fs::File;

use super::http_message::Status;
use super::json_outputter::Json;

/// The answer of a command.
#[derive(Debug)]
pub(crate) struct CommandResponse {
    command: String,
    error: Option<String>,
    data: Vec<(String, Json)>,
    headers: Vec<(String, String)>,
    status: Status,
    stream: Option<File>,
}

impl CommandResponse {
    /// An answer without values and without an error.
    #[must_use]
    pub(crate) fn new(command: &str) -> Self {
        Self {
            command: command.to_owned(),
            error: None,
            data: Vec::new(),
            headers: Vec::new(),
            status: Status::OK,
            stream: None,
        }
    }

    /// An answer with an error message and a status.
    #[must_use]
    pub(crate) fn error(command: &str, error: impl Into<String>, status: Status) -> Self {
        Self { error: Some(error.into()), status, ..Self::new(command) }
    }

    /// Sets the error message. The status stays as it is.
    pub(crate) fn set_error(&mut self, error: impl Into<String>) {
        self.error = Some(error.into());
    }

    /// Adds a value. A value of the same name is replaced and keeps its position.
    pub(crate) fn put(&mut self, name: &str, value: impl Into<Json>) {
        let value = value.into();
        match self.data.iter_mut().find(|(other, _)| other == name) {
            Some((_, old)) => *old = value,
            None => self.data.push((name.to_owned(), value)),
        }
    }

    /// Adds a header.
    pub(crate) fn add_header(&mut self, name: &str, value: impl Into<String>) {
        self.headers.push((name.to_owned(), value.into()));
    }

    /// The additional HTTP headers.
    #[must_use]
    pub(crate) fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// The HTTP status.
    #[must_use]
    pub(crate) const fn status(&self) -> Status {
        self.status
    }

    /// Sets the HTTP status.
    pub(crate) const fn set_status(&mut self, status: Status) {
        self.status = status;
    }

    /// Sends the bytes of a file instead of the values (Java: setInputStream).
    pub(crate) fn set_stream(&mut self, file: File) {
        self.stream = Some(file);
    }

    /// Takes the file that is sent instead of the values (Java: getInputStream).
    pub(crate) const fn take_stream(&mut self) -> Option<File> {
        self.stream.take()
    }

    /// The values, then `command` and `error`. If a value has one of these two names, it wins and keeps its
    /// position (Java: toMap).
    #[must_use]
    pub(crate) fn json_entries(&self) -> Vec<(&str, Cow<'_, Json>)> {
        let values = self.data.iter().map(|(name, value)| (name.as_str(), Cow::Borrowed(value)));
        let mut entries: Vec<_> = values.collect();
        let error = self.error.as_deref().map_or(Json::Null, Json::from);
        for (name, value) in [("command", self.command.as_str().into()), ("error", error)] {
            if entries.iter().all(|(other, _)| *other != name) {
                entries.push((name, Cow::Owned(value)));
            }
        }
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::admin::json_outputter;

    #[test]
    fn command_and_error_follow_the_values_unless_they_are_among_them() {
        let mut response = CommandResponse::new("leader");
        response.put("a", 1_i64);
        response.put("b", 2_i64);
        response.put("a", 3_i64);
        assert_eq!(
            json_outputter::output(&response.json_entries()).replace(['\n', ' '], ""),
            r#"{"a":3,"b":2,"command":"leader","error":null}"#
        );
        let mut response = CommandResponse::new("leader");
        response.put("error", "server is not initialized");
        assert_eq!(
            json_outputter::output(&response.json_entries()),
            "{\n  \"error\" : \"server is not initialized\",\n  \"command\" : \"leader\"\n}"
        );
    }
}
