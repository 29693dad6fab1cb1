//! The names of operations in the audit log (Java: audit/AuditConstants.java).

/// The server started, or failed to start.
pub(crate) const OP_START: &str = "serverStart";
/// The server was told to stop.
pub(crate) const OP_STOP: &str = "serverStop";
/// A node of any kind was created.
pub(crate) const OP_CREATE: &str = "create";
/// A node was deleted.
pub(crate) const OP_DELETE: &str = "delete";
/// The data of a node was set.
pub(crate) const OP_SETDATA: &str = "setData";
/// The ACL of a node was set.
pub(crate) const OP_SETACL: &str = "setAcl";
/// A `multi` failed. A `multi` that succeeds is logged as one line for each of its operations.
pub(crate) const OP_MULTI_OP: &str = "multiOperation";
/// The membership of the ensemble changed.
pub(crate) const OP_RECONFIG: &str = "reconfig";
/// An ephemeral node was deleted because its session ended.
pub(crate) const OP_DEL_EZNODE_EXP: &str = "ephemeralZNodeDeletionOnSessionCloseOrExpire";
