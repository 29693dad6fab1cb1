//! One line of the audit log (Java: audit/AuditEvent.java).

use std::fmt;

/// A field of an audit line (Java: FieldName).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldName {
    /// The ids of the connection, or the user who runs the server.
    User,
    /// The operation.
    Operation,
    /// The client's address.
    Ip,
    /// The new ACL of the node.
    Acl,
    /// The path of the node.
    Znode,
    /// The session.
    Session,
    /// The kind of the created node.
    ZnodeType,
}

impl FieldName {
    /// The field's name in the audit line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Operation => "operation",
            Self::Ip => "ip",
            Self::Acl => "acl",
            Self::Znode => "znode",
            Self::Session => "session",
            Self::ZnodeType => "znode_type",
        }
    }
}

/// The result of an operation (Java: Result).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditResult {
    /// The operation succeeded.
    Success,
    /// The operation was refused.
    Failure,
    /// The operation was started; its result is not known.
    Invoked,
}

impl AuditResult {
    /// The result's name in the audit line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Invoked => "invoked",
        }
    }
}

/// An operation and its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    log_entries: Vec<(FieldName, String)>,
    result: AuditResult,
}

impl AuditEvent {
    /// Creates an event without entries.
    #[must_use]
    pub const fn new(result: AuditResult) -> Self {
        Self { log_entries: Vec::new(), result }
    }

    /// Appends an entry. A `None` value adds nothing.
    #[must_use]
    pub fn with(mut self, field: FieldName, value: Option<&str>) -> Self {
        if let Some(value) = value {
            self.log_entries.push((field, value.to_owned()));
        }
        self
    }

    /// The entries, in the order in which the line shows them.
    #[must_use]
    pub fn log_entries(&self) -> &[(FieldName, String)] {
        &self.log_entries
    }

    /// The value of one entry.
    #[must_use]
    pub fn value(&self, field: FieldName) -> Option<&str> {
        let entry = self.log_entries.iter().find(|(other, _)| *other == field);
        entry.map(|(_, value)| value.as_str())
    }

    /// The result of the operation.
    #[must_use]
    pub const fn result(&self) -> AuditResult {
        self.result
    }
}

/// One audit line: tab-separated `key=value` pairs, with the result last.
impl fmt::Display for AuditEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (field, value) in &self.log_entries {
            write!(f, "{}={value}\t", field.as_str())?;
        }
        write!(f, "result={}", self.result.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_what_is_known_and_the_result_last() {
        let event = AuditEvent::new(AuditResult::Success);
        assert_eq!(event.to_string(), "result=success");
        let event = AuditEvent::new(AuditResult::Invoked)
            .with(FieldName::User, Some("Value1"))
            .with(FieldName::Ip, None)
            .with(FieldName::Operation, Some("Value2"));
        assert_eq!(event.to_string(), "user=Value1\toperation=Value2\tresult=invoked");
        assert_eq!(event.value(FieldName::Operation), Some("Value2"));
        assert_eq!(event.value(FieldName::Ip), None);
    }
}
