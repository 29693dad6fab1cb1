//! One line of the audit log (Java: audit/AuditEvent.java).

use std::fmt;

/// What a part of the line is about (Java: FieldName).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldName {
    /// Who: the ids of the connection, or who runs the server.
    User,
    /// What was done.
    Operation,
    /// From where.
    Ip,
    /// The ACL that is set.
    Acl,
    /// The node.
    Znode,
    /// The session.
    Session,
    /// The kind of a node that is created.
    ZnodeType,
}

impl FieldName {
    /// The name in the line.
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

/// What became of it (Java: Result).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditResult {
    /// It was done.
    Success,
    /// It was refused.
    Failure,
    /// It was begun, and its end will not be seen.
    Invoked,
}

impl AuditResult {
    /// The word in the line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Invoked => "invoked",
        }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    log_entries: Vec<(FieldName, String)>,
    result: AuditResult,
}

impl AuditEvent {
    /// Without entries.
    #[must_use]
    pub const fn new(result: AuditResult) -> Self {
        Self { log_entries: Vec::new(), result }
    }

    /// Adds an entry behind the others; what is not known is left out.
    #[must_use]
    pub fn with(mut self, field: FieldName, value: Option<&str>) -> Self {
        if let Some(value) = value {
            self.log_entries.push((field, value.to_owned()));
        }
        self
    }

    /// The entries, in the order of the line.
    #[must_use]
    pub fn log_entries(&self) -> &[(FieldName, String)] {
        &self.log_entries
    }

    /// One of the entries.
    #[must_use]
    pub fn value(&self, field: FieldName) -> Option<&str> {
        let entry = self.log_entries.iter().find(|(other, _)| *other == field);
        entry.map(|(_, value)| value.as_str())
    }

    /// What became of it.
    #[must_use]
    pub const fn result(&self) -> AuditResult {
        self.result
    }
}

/// The line: `key=value`, separated by tabs, the result last.
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
