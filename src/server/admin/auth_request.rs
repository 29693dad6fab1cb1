//! The permissions that an admin command requires (Java: server/admin/AuthRequest.java).

/// Permissions on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AuthRequest {
    /// The required permission bits. All of them are needed.
    pub permission: i32,
    /// The node.
    pub path: &'static str,
}
