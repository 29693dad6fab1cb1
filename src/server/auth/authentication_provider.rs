//! What a scheme of authentication can do (Java: server/auth/AuthenticationProvider.java).
//!
//! Threads: called by connections' threads and by the request processors; a provider is shared and guards its own state.
//! Locks: a provider that looks into the tree takes the tree's lock for as long as it copies what it needs.

use std::fmt;
use std::net::IpAddr;

use crate::data::Id;
use crate::ids::SessionId;
use crate::keeper_exception::KeeperError;

/// What a provider sees of a connection (Java: ServerCnxn).
pub trait AuthConnection {
    /// The client's address.
    fn remote_ip(&self) -> Option<IpAddr>;

    /// The session, 0 before there is one.
    fn session_id(&self) -> SessionId;

    /// Gives the connection another id; one that it has already is not added again.
    fn add_auth_info(&self, id: Id);
}

/// What a provider sees of a request to the admin server (Java: HttpServletRequest).
#[derive(Clone, Copy, Debug)]
pub struct HttpAuthRequest<'a> {
    /// The address of whoever has connected.
    pub remote_ip: IpAddr,
    /// The header `X-Forwarded-For`, when the request has one.
    pub x_forwarded_for: Option<&'a str>,
}

/// How an attempt to authenticate ended (Java: KeeperException.Code, of which only these mean different things).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthOutcome {
    /// The credentials are good.
    Accepted,
    /// They are not: the client is told so, and the connection is closed.
    Refused,
    /// The client has come to the wrong place: the connection is closed without a word, so that the client tries another
    /// server. An answer would end the client's session.
    WrongEnsemble,
}

/// One scheme.
pub trait AuthenticationProvider: Send + Sync + fmt::Debug {
    /// The scheme's name, as in [`Id::scheme`].
    fn scheme(&self) -> &'static str;

    /// Looks at the credentials of an auth packet and gives the connection the ids that they prove. `None` is jute's
    /// null.
    fn handle_authentication(
        &self,
        cnxn: &dyn AuthConnection,
        auth_data: Option<&[u8]>,
    ) -> AuthOutcome;

    /// The ids that the credentials of an admin command prove.
    ///
    /// # Errors
    /// [`KeeperError::AuthFailed`] when they prove nothing, and for schemes that know no admin commands.
    fn handle_http_authentication(
        &self,
        _request: &HttpAuthRequest<'_>,
        _auth_data: Option<&[u8]>,
    ) -> Result<Vec<Id>, KeeperError> {
        Err(KeeperError::AuthFailed)
    }

    /// Whether an ACL entry means this id.
    fn matches(&self, id: &str, acl_expr: &str) -> bool;

    /// Whether ids of this scheme say who has created a node: they stand in for `auth` in an ACL. An address does not.
    fn is_authenticated(&self) -> bool;

    /// Whether an ACL entry may have this id.
    fn is_valid(&self, id: &str) -> bool;

    /// The part of an id that is no secret, for logs and `whoAmI`.
    fn user_name<'a>(&self, id: &'a str) -> &'a str {
        id
    }
}
