//! Scheme `key`: Java's sample of a provider that reads the data tree
//! (Java: server/auth/KeyAuthenticationProvider.java).
//!
//! The credentials must be a multiple of the number in the node `/key`. While that node does not exist, any
//! credentials are accepted, so that the node can be created. This protects nothing of value.

use log::{debug, error};

use super::authentication_provider::AuthOutcome;
use super::server_authentication_provider::{
    MatchValues, ServerAuthenticationProvider, ServerObjs,
};
use crate::data::Id;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.auth.KeyAuthenticationProvider";

/// The scheme for keys.
pub(crate) const SCHEME: &str = "key";

/// The node that holds the number.
const KEY_NODE: &str = "/key";

/// The provider of the scheme `key`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KeyAuthenticationProvider;

/// Whether `auth` is a multiple of `key`. Both are decimal numbers.
fn validate(key: &[u8], auth: &[u8]) -> bool {
    let number = |bytes| String::from_utf8_lossy(bytes).parse::<i32>();
    match (number(key), number(auth)) {
        // The smallest int divided by -1 overflows in Rust; in Java the remainder is 0.
        (Ok(key), Ok(auth)) => key == 0 || auth.wrapping_rem(key) == 0,
        (Err(bad), _) | (_, Err(bad)) => {
            error!(target: LOG, "bad formatting: {bad}");
            false
        }
    }
}

impl ServerAuthenticationProvider for KeyAuthenticationProvider {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    fn handle_authentication(
        &self,
        server_objs: ServerObjs<'_>,
        auth_data: Option<&[u8]>,
    ) -> AuthOutcome {
        let Some(auth_data) = auth_data else { return AuthOutcome::Refused };
        if let Some(key) = server_objs.server.node_data(KEY_NODE)
            && !validate(&key, auth_data)
        {
            debug!(target: LOG, "KeyAuthenticationProvider handleAuthentication -> FAIL");
            return AuthOutcome::Refused;
        }
        debug!(target: LOG, "KeyAuthenticationProvider handleAuthentication -> OK");
        // The id is empty, as in Java. Otherwise the key itself would end up in ACLs.
        server_objs.cnxn.add_auth_info(Id { scheme: SCHEME.into(), id: String::new() });
        AuthOutcome::Accepted
    }

    fn matches(&self, match_values: &MatchValues<'_>) -> bool {
        match_values.id == match_values.acl_expr
    }

    fn is_authenticated(&self) -> bool {
        true
    }

    fn is_valid(&self, _id: &str) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::server_authentication_provider::fakes::Fake;
    use super::*;

    #[test]
    fn credentials_must_be_a_multiple_of_the_key() {
        for (key, auth, accepted) in [
            (None, Some("anything"), true),
            (None, None, false),
            (Some("25"), Some("50"), true),
            (Some("25"), Some("51"), false),
            (Some("0"), Some("51"), true),
            (Some("x"), Some("51"), false),
            (Some("25"), Some("x"), false),
            (Some("-1"), Some("-2147483648"), true),
        ] {
            let fake = Fake { key: key.map(|key| key.into()), ..Fake::default() };
            let outcome = KeyAuthenticationProvider
                .handle_authentication(fake.objs(), auth.map(str::as_bytes));
            assert_eq!(outcome == AuthOutcome::Accepted, accepted, "{key:?} {auth:?}");
            assert_eq!(fake.texts(), if accepted { vec!["key:"] } else { vec![] });
        }
    }
}
