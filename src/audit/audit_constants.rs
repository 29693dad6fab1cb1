//! The operations as the audit log names them (Java: audit/AuditConstants.java).

/// The server starts, or cannot.
pub const OP_START: &str = "serverStart";
/// The server is told to stop.
pub const OP_STOP: &str = "serverStop";
/// A node is created, of whatever kind.
pub const OP_CREATE: &str = "create";
/// A node is deleted.
pub const OP_DELETE: &str = "delete";
/// A node's data is written.
pub const OP_SETDATA: &str = "setData";
/// A node's ACL is written.
pub const OP_SETACL: &str = "setAcl";
/// A `multi` failed; one that did not is a line for each of its parts.
pub const OP_MULTI_OP: &str = "multiOperation";
/// The ensemble's membership is changed.
pub const OP_RECONFIG: &str = "reconfig";
/// An ephemeral node goes with its session.
pub const OP_DEL_EZNODE_EXP: &str = "ephemeralZNodeDeletionOnSessionCloseOrExpire";
