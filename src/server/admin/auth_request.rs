//! What whoever runs a command must be allowed (Java: server/admin/AuthRequest.java).

/// Permissions on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthRequest {
    /// All of these bits.
    pub permission: i32,
    /// On this node.
    pub path: &'static str,
}
