//! The interface of providers that need the server (Java: server/auth/ServerAuthenticationProvider.java,
//! WrappedAuthenticationProvider.java).
//!
//! The server uses all providers through this interface. The impl below adapts a plain
//! [`AuthenticationProvider`]; in Java a wrapper class does that. Unlike in Java, matching gets neither the
//! server nor the connection, because no provider of Java's uses them there.

use std::fmt;

use super::authentication_provider::{
    AuthConnection, AuthOutcome, AuthenticationProvider, HttpAuthRequest,
};
use crate::data::{ACL, Id};
use crate::keeper_exception::KeeperError;

/// The view of the server that providers use (Java: ZooKeeperServer).
pub trait AuthServer {
    /// The data of a node; `None` if the node does not exist or has no data.
    fn node_data(&self, path: &str) -> Option<Vec<u8>>;

    /// Reports how a packet of the scheme `ensemble` was answered, for the metrics `ensemble_auth_*`.
    fn ensemble_auth(&self, result: EnsembleAuth);
}

/// The result of a packet of the scheme `ensemble`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnsembleAuth {
    /// The client or the server has no name to compare.
    Skip,
    /// The names agree.
    Success,
    /// The names differ.
    Fail,
}

/// The server and the connection that received the credentials (Java: ServerObjs).
#[derive(Clone, Copy)]
pub struct ServerObjs<'a> {
    /// The server.
    pub server: &'a dyn AuthServer,
    /// The connection.
    pub cnxn: &'a dyn AuthConnection,
}

/// The values that a provider matches (Java: MatchValues).
#[derive(Clone, Copy, Debug)]
pub struct MatchValues<'a> {
    /// The node of the operation, if there is one.
    pub path: Option<&'a str>,
    /// An id of the client.
    pub id: &'a str,
    /// The id of the ACL entry.
    pub acl_expr: &'a str,
    /// The requested permission.
    pub perm: i32,
    /// The ACL that the operation sets, if it sets one.
    pub set_acls: Option<&'a [ACL]>,
}

/// An authentication scheme, as the server uses it.
pub trait ServerAuthenticationProvider: Send + Sync + fmt::Debug {
    /// As [`AuthenticationProvider::scheme`].
    fn scheme(&self) -> &'static str;

    /// As [`AuthenticationProvider::handle_authentication`].
    fn handle_authentication(
        &self,
        server_objs: ServerObjs<'_>,
        auth_data: Option<&[u8]>,
    ) -> AuthOutcome;

    /// As [`AuthenticationProvider::handle_http_authentication`].
    ///
    /// # Errors
    /// As for [`AuthenticationProvider::handle_http_authentication`].
    fn handle_http_authentication(
        &self,
        _request: &HttpAuthRequest<'_>,
        _auth_data: Option<&[u8]>,
    ) -> Result<Vec<Id>, KeeperError> {
        Err(KeeperError::AuthFailed)
    }

    /// Whether the id matches the ACL entry.
    fn matches(&self, match_values: &MatchValues<'_>) -> bool;

    /// As [`AuthenticationProvider::matches_equals`].
    fn matches_equals(&self) -> bool {
        false
    }

    /// As [`AuthenticationProvider::is_authenticated`].
    fn is_authenticated(&self) -> bool;

    /// As [`AuthenticationProvider::is_valid`].
    fn is_valid(&self, id: &str) -> bool;

    /// As [`AuthenticationProvider::user_name`].
    fn user_name<'a>(&self, id: &'a str) -> &'a str {
        id
    }
}

impl<T: AuthenticationProvider> ServerAuthenticationProvider for T {
    fn scheme(&self) -> &'static str {
        AuthenticationProvider::scheme(self)
    }

    fn handle_authentication(
        &self,
        server_objs: ServerObjs<'_>,
        auth_data: Option<&[u8]>,
    ) -> AuthOutcome {
        AuthenticationProvider::handle_authentication(self, server_objs.cnxn, auth_data)
    }

    fn handle_http_authentication(
        &self,
        request: &HttpAuthRequest<'_>,
        auth_data: Option<&[u8]>,
    ) -> Result<Vec<Id>, KeeperError> {
        AuthenticationProvider::handle_http_authentication(self, request, auth_data)
    }

    fn matches(&self, match_values: &MatchValues<'_>) -> bool {
        AuthenticationProvider::matches(self, match_values.id, match_values.acl_expr)
    }

    fn matches_equals(&self) -> bool {
        AuthenticationProvider::matches_equals(self)
    }

    fn is_authenticated(&self) -> bool {
        AuthenticationProvider::is_authenticated(self)
    }

    fn is_valid(&self, id: &str) -> bool {
        AuthenticationProvider::is_valid(self, id)
    }

    fn user_name<'a>(&self, id: &'a str) -> &'a str {
        AuthenticationProvider::user_name(self, id)
    }
}

/// A fake connection and server for tests of providers.
#[cfg(test)]
pub(crate) mod fakes {
    use std::cell::{Cell, RefCell};
    use std::net::IpAddr;

    use super::{AuthConnection, AuthServer, EnsembleAuth, ServerObjs};
    use crate::data::Id;
    use crate::ids::SessionId;

    /// Records what a provider does.
    #[derive(Default)]
    pub(in crate::server) struct Fake {
        pub(in crate::server) key: Option<Vec<u8>>,
        pub(in crate::server) ids: RefCell<Vec<Id>>,
        pub(in crate::server) ensemble: Cell<Option<EnsembleAuth>>,
    }

    impl Fake {
        pub(in crate::server) fn objs(&self) -> ServerObjs<'_> {
            ServerObjs { server: self, cnxn: self }
        }

        /// The ids as `scheme:id`.
        pub(in crate::server) fn texts(&self) -> Vec<String> {
            self.ids.borrow().iter().map(|id| format!("{}:{}", id.scheme, id.id)).collect()
        }
    }

    impl AuthConnection for Fake {
        fn remote_ip(&self) -> Option<IpAddr> {
            Some([10, 1, 2, 3].into())
        }
        fn session_id(&self) -> SessionId {
            SessionId(5)
        }
        fn add_auth_info(&self, id: Id) {
            self.ids.borrow_mut().push(id);
        }
    }

    impl AuthServer for Fake {
        fn node_data(&self, path: &str) -> Option<Vec<u8>> {
            self.key.clone().filter(|_| path == "/key")
        }
        fn ensemble_auth(&self, result: EnsembleAuth) {
            self.ensemble.set(Some(result));
        }
    }
}
