//! The interface of an authentication scheme (Java: server/auth/AuthenticationProvider.java).
//!
//! Threads: connection threads and the request processors call a provider, which is shared and guards its own
//! state.
//! Locks: a provider that reads the data tree takes the tree's lock while it copies what it needs.

use std::fmt;
use std::net::IpAddr;

use crate::data::Id;
use crate::ids::SessionId;
use crate::keeper_exception::KeeperError;

/// The view of a connection that providers use (Java: ServerCnxn).
pub trait AuthConnection {
    /// The client's address.
    fn remote_ip(&self) -> Option<IpAddr>;

    /// The session; 0 before the session exists.
    fn session_id(&self) -> SessionId;

    /// Adds an id to the connection, unless it already has it.
    fn add_auth_info(&self, id: Id);
}

/// The view of an AdminServer request that providers use (Java: HttpServletRequest).
#[derive(Clone, Copy, Debug)]
pub struct HttpAuthRequest<'a> {
    /// The address of the HTTP client.
    pub remote_ip: IpAddr,
    /// The header `X-Forwarded-For`, if the request has one.
    pub x_forwarded_for: Option<&'a str>,
}

/// The result of an authentication attempt (Java: KeeperException.Code, of which only these values are
/// distinguished).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthOutcome {
    /// The credentials are valid.
    Accepted,
    /// The credentials are invalid. The client gets an error, and the connection is closed.
    Refused,
    /// The client wants another ensemble. The connection is closed without an answer, so that the client tries
    /// another server. An error would end the client's session.
    WrongEnsemble,
}

/// An authentication scheme.
pub trait AuthenticationProvider: Send + Sync + fmt::Debug {
    /// The scheme's name, as in [`Id::scheme`].
    fn scheme(&self) -> &'static str;

    /// Checks the credentials of an auth packet and adds the ids that they prove to the connection. `None` is
    /// jute's null.
    fn handle_authentication(
        &self,
        cnxn: &dyn AuthConnection,
        auth_data: Option<&[u8]>,
    ) -> AuthOutcome;

    /// The ids that the credentials of an admin command prove.
    ///
    /// # Errors
    /// [`KeeperError::AuthFailed`] when they prove nothing, or the scheme does not support admin commands.
    fn handle_http_authentication(
        &self,
        _request: &HttpAuthRequest<'_>,
        _auth_data: Option<&[u8]>,
    ) -> Result<Vec<Id>, KeeperError> {
        Err(KeeperError::AuthFailed)
    }

    /// Whether the id matches an ACL entry.
    fn matches(&self, id: &str, acl_expr: &str) -> bool;

    /// Whether an id matches the entry that equals it, and no other.
    fn matches_equals(&self) -> bool {
        false
    }

    /// Whether an id of this scheme identifies a user, so that it replaces `auth` in an ACL. An address does
    /// not.
    fn is_authenticated(&self) -> bool;

    /// Whether an ACL entry may contain this id.
    fn is_valid(&self, id: &str) -> bool;

    /// The part of an id that is not secret, for logs and `whoAmI`.
    fn user_name<'a>(&self, id: &'a str) -> &'a str {
        id
    }
}
