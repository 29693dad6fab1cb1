//! Clients that must authenticate before anything else (Java: server/AuthenticationHelper.java).
//!
//! This module only decides. The owner of the connection sends the answer and closes the connection.

use log::{error, info};

use crate::common::zk_config::SystemProperties;
use crate::data::Id;
use crate::keeper_exception::KeeperError;
use crate::server::auth::provider_registry::{AuthConfigError, ProviderRegistry};

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.AuthenticationHelper";

const ENFORCE_AUTH_ENABLED: &str = "zookeeper.enforce.auth.enabled";
const ENFORCE_AUTH_SCHEMES: &str = "zookeeper.enforce.auth.schemes";
const SESSION_REQUIRE_CLIENT_SASL_AUTH: &str = "zookeeper.sessionRequireClientSASLAuth";
const SASL_AUTH_SCHEME: &str = "sasl";

/// The schemes of which a client must have used one, if authentication is enforced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthenticationHelper {
    enforced: bool,
    schemes: Vec<String>,
}

impl AuthenticationHelper {
    /// Reads the settings `zookeeper.enforce.auth.*` and `zookeeper.sessionRequireClientSASLAuth`.
    ///
    /// # Errors
    /// When authentication is enforced but no scheme is configured, or a configured scheme has no provider.
    pub fn from_properties(
        properties: &SystemProperties,
        registry: &ProviderRegistry,
    ) -> Result<Self, AuthConfigError> {
        let sasl_required = properties.bool(SESSION_REQUIRE_CLIENT_SASL_AUTH);
        let (key, enforced, schemes) = if sasl_required {
            (SESSION_REQUIRE_CLIENT_SASL_AUTH, true, vec![SASL_AUTH_SCHEME.to_owned()])
        } else {
            let list = properties.get(ENFORCE_AUTH_SCHEMES);
            let schemes = list
                .map(|list| list.split(',').map(|scheme| scheme.trim().to_owned()).collect())
                .unwrap_or_default();
            (ENFORCE_AUTH_SCHEMES, properties.bool(ENFORCE_AUTH_ENABLED), schemes)
        };
        info!(target: LOG, "{ENFORCE_AUTH_ENABLED} = {enforced}");
        info!(target: LOG, "{ENFORCE_AUTH_SCHEMES} = [{}]", schemes.join(", "));
        if enforced && schemes.is_empty() {
            return Err(AuthConfigError::NoEnforcedScheme {
                enabled: ENFORCE_AUTH_ENABLED,
                schemes: ENFORCE_AUTH_SCHEMES,
            });
        }
        let missing = schemes.iter().find(|scheme| registry.server_provider(scheme).is_none());
        if let (true, Some(scheme)) = (enforced, missing) {
            return Err(AuthConfigError::EnforcedSchemeMissing {
                key,
                scheme: scheme.clone(),
                available: registry.list_providers().trim_end().to_owned(),
            });
        }
        Ok(Self { enforced, schemes })
    }

    /// Whether any scheme is enforced.
    #[must_use]
    pub const fn is_enforce_auth_enabled(&self) -> bool {
        self.enforced
    }

    /// Whether SASL is enforced.
    #[must_use]
    pub fn is_sasl_auth_required(&self) -> bool {
        self.enforced && self.schemes.iter().any(|scheme| scheme == SASL_AUTH_SCHEME)
    }

    /// Checks that a client with these ids has used an enforced scheme (Java: enforceAuthentication).
    ///
    /// # Errors
    /// [`KeeperError::SessionClosedRequireSaslAuth`], which is the answer. The caller closes the connection after
    /// it.
    pub fn enforce_authentication(&self, auth_info: &[Id]) -> Result<(), KeeperError> {
        if !self.enforced || auth_info.iter().any(|id| self.schemes.contains(&id.scheme)) {
            return Ok(());
        }
        let has: Vec<&str> = auth_info.iter().map(|id| id.scheme.as_str()).collect();
        error!(
            target: LOG,
            "Client authentication scheme(s) [{}] does not match with any of the expected authentication scheme \
             [{}], closing session.",
            has.join(", "),
            self.schemes.join(", ")
        );
        Err(KeeperError::SessionClosedRequireSaslAuth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn helper<const N: usize>(
        pairs: [(&str, &str); N],
    ) -> Result<AuthenticationHelper, AuthConfigError> {
        let properties = SystemProperties::from_pairs(pairs);
        AuthenticationHelper::from_properties(&properties, &ProviderRegistry::default())
    }

    fn ids(schemes: &[&str]) -> Vec<Id> {
        schemes.iter().map(|scheme| Id { scheme: (*scheme).into(), id: "x".into() }).collect()
    }

    #[test]
    fn nobody_is_asked_unless_it_is_switched_on() {
        let off = helper([(ENFORCE_AUTH_SCHEMES, "nonsense")]).unwrap();
        assert!(!off.is_enforce_auth_enabled());
        assert_eq!(off.enforce_authentication(&[]), Ok(()));
    }

    #[test]
    fn one_of_the_schemes_is_enough() {
        let on = helper([(ENFORCE_AUTH_ENABLED, "true"), (ENFORCE_AUTH_SCHEMES, "digest , ip")]);
        let on = on.unwrap();
        assert!(!on.is_sasl_auth_required());
        assert_eq!(on.enforce_authentication(&ids(&["ip"])), Ok(()));
        assert_eq!(
            on.enforce_authentication(&ids(&["super", "x509"])),
            Err(KeeperError::SessionClosedRequireSaslAuth)
        );
    }

    #[test]
    fn enforcing_what_is_not_there_stops_the_start() {
        let error = helper([(ENFORCE_AUTH_ENABLED, "true")]).unwrap_err().to_string();
        assert!(error.contains(ENFORCE_AUTH_SCHEMES), "{error}");
        let error = helper([(ENFORCE_AUTH_ENABLED, "true"), (ENFORCE_AUTH_SCHEMES, "digest,odd")])
            .unwrap_err()
            .to_string();
        assert!(error.contains("Authentication scheme odd is not available"), "{error}");
        let error = helper([(SESSION_REQUIRE_CLIENT_SASL_AUTH, "true")]).unwrap_err().to_string();
        assert!(error.contains("sasl") && error.contains("digest ip"), "{error}");
    }
}
