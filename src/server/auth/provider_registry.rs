//! The available authentication schemes (Java: server/auth/ProviderRegistry.java).
//!
//! The registry is fixed at start. Java loads the class that `authProvider.N` names, and only warns if that
//! fails. This server knows the names of Java's own classes, and any other name is an error: without the scheme
//! that the operator relies on, the server would grant or deny access unexpectedly.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::digest_authentication_provider::{DigestAuthenticationProvider, UnknownDigestAlgorithm};
use super::ensemble_authentication_provider::EnsembleAuthenticationProvider;
use super::ip_authentication_provider::IpAuthenticationProvider;
use super::key_authentication_provider::KeyAuthenticationProvider;
use super::server_authentication_provider::ServerAuthenticationProvider;
use crate::common::time::Clock;
use crate::common::zk_config::SystemProperties;

/// The prefix of the properties that name a provider's class.
pub(crate) const AUTHPROVIDER_PROPERTY_PREFIX: &str = "zookeeper.authProvider.";

/// The package of Java's providers.
const PACKAGE: &str = "org.apache.zookeeper.server.auth.";

/// Why the configured schemes are not available.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthConfigError {
    /// This server has no provider of this class.
    #[error("{key}={class}: {why}")]
    NoProvider {
        /// The property.
        key: String,
        /// Its value.
        class: String,
        /// What the provider would need, or which providers exist.
        why: String,
    },
    /// The hash for passwords is unknown.
    #[error(transparent)]
    DigestAlgorithm(#[from] UnknownDigestAlgorithm),
    /// Authentication is enforced, but no scheme is configured for it.
    #[error("{enabled} is true, so {schemes} must be configured")]
    NoEnforcedScheme {
        /// The setting that enforces authentication.
        enabled: &'static str,
        /// The missing setting with the list of schemes.
        schemes: &'static str,
    },
    /// Authentication is enforced with a scheme that is not available.
    #[error("Authentication scheme {scheme} is not available ({key}); there are: {available}")]
    EnforcedSchemeMissing {
        /// The setting that names the scheme.
        key: &'static str,
        /// The scheme.
        scheme: String,
        /// The available schemes.
        available: String,
    },
}

/// The providers by scheme.
#[derive(Debug)]
pub struct ProviderRegistry {
    providers: BTreeMap<&'static str, Arc<dyn ServerAuthenticationProvider>>,
}

impl ProviderRegistry {
    /// Creates the registry: `ip`, `digest` unless it is disabled, and the providers that
    /// `zookeeper.authProvider.*` names.
    ///
    /// # Errors
    /// When a property names an unknown class, or a setting of a provider is invalid.
    pub fn from_properties(
        properties: &SystemProperties,
        clock: &Clock,
    ) -> Result<Self, AuthConfigError> {
        let mut registry = Self { providers: BTreeMap::new() };
        let digest = DigestAuthenticationProvider::from_properties(properties)?;
        registry.add(IpAuthenticationProvider::from_properties(properties));
        if DigestAuthenticationProvider::is_enabled(properties) {
            registry.add(digest.clone());
        }
        for (key, class) in properties.iter() {
            if !key.starts_with(AUTHPROVIDER_PROPERTY_PREFIX) {
                continue;
            }
            let class = class.trim();
            match class.strip_prefix(PACKAGE) {
                Some("DigestAuthenticationProvider") => registry.add(digest.clone()),
                Some("IPAuthenticationProvider") => {
                    registry.add(IpAuthenticationProvider::from_properties(properties));
                }
                Some("EnsembleAuthenticationProvider") => {
                    let clock = Arc::clone(clock);
                    registry
                        .add(EnsembleAuthenticationProvider::from_properties(properties, clock));
                }
                Some("KeyAuthenticationProvider") => registry.add(KeyAuthenticationProvider),
                _ => {
                    let why = refused_provider(class).unwrap_or_default();
                    let (key, class) = (key.into(), class.into());
                    return Err(AuthConfigError::NoProvider { key, class, why });
                }
            }
        }
        Ok(registry)
    }

    fn add(&mut self, provider: impl ServerAuthenticationProvider + 'static) {
        self.providers.insert(provider.scheme(), Arc::new(provider));
    }

    /// The provider of a scheme (Java: getServerProvider).
    #[must_use]
    pub fn server_provider(&self, scheme: &str) -> Option<&dyn ServerAuthenticationProvider> {
        self.providers.get(scheme).map(AsRef::as_ref)
    }

    /// The names of the schemes, each followed by a blank (Java: listProviders).
    #[must_use]
    pub fn list_providers(&self) -> String {
        self.providers.keys().flat_map(|scheme| [*scheme, " "]).collect()
    }
}

/// The Java classes that have a provider here.
const PROVIDERS: [&str; 4] = [
    "DigestAuthenticationProvider",
    "IPAuthenticationProvider",
    "EnsembleAuthenticationProvider",
    "KeyAuthenticationProvider",
];

/// Why a setting with this class is refused; `None` if it is accepted.
#[must_use]
pub(crate) fn refused_provider(class: &str) -> Option<String> {
    match class.trim().strip_prefix(PACKAGE) {
        Some(name) if PROVIDERS.contains(&name) => None,
        Some("X509AuthenticationProvider") => Some("it needs TLS connections of clients".into()),
        Some("SASLAuthenticationProvider") => Some("it needs SASL authentication".into()),
        _ => Some(format!(
            "no such authentication provider; classes cannot be loaded here, and the known ones are {PACKAGE}{{{}}}",
            PROVIDERS.join(", ")
        )),
    }
}

/// The registry with `ip` and `digest` and Java's defaults.
impl Default for ProviderRegistry {
    fn default() -> Self {
        let mut registry = Self { providers: BTreeMap::new() };
        registry.add(IpAuthenticationProvider::default());
        registry.add(DigestAuthenticationProvider::default());
        registry
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::time::SystemClock;

    fn registry<const N: usize>(
        pairs: [(&str, &str); N],
    ) -> Result<ProviderRegistry, AuthConfigError> {
        let properties = SystemProperties::from_pairs(pairs);
        ProviderRegistry::from_properties(&properties, &SystemClock::shared())
    }

    #[test]
    fn digest_is_there_unless_it_is_switched_off() {
        assert_eq!(registry([]).unwrap().list_providers(), "digest ip ");
        assert_eq!(ProviderRegistry::default().list_providers(), "digest ip ");
        let off = ("zookeeper.DigestAuthenticationProvider.enabled", "false");
        assert_eq!(registry([off]).unwrap().list_providers(), "ip ");
        let named = (
            "zookeeper.authProvider.x",
            "org.apache.zookeeper.server.auth.DigestAuthenticationProvider",
        );
        assert_eq!(registry([off, named]).unwrap().list_providers(), "digest ip ");
    }

    #[test]
    fn javas_own_classes_are_known_by_name() {
        let registry = registry([
            (
                "zookeeper.authProvider.1",
                "org.apache.zookeeper.server.auth.EnsembleAuthenticationProvider",
            ),
            (
                "zookeeper.authProvider.key",
                "org.apache.zookeeper.server.auth.KeyAuthenticationProvider",
            ),
            (
                "zookeeper.authProvider.3",
                "org.apache.zookeeper.server.auth.IPAuthenticationProvider",
            ),
        ])
        .unwrap();
        assert_eq!(registry.list_providers(), "digest ensemble ip key ");
        assert!(registry.server_provider("key").is_some());
        assert!(registry.server_provider("sasl").is_none());
    }

    #[test]
    fn a_class_that_is_not_here_stops_the_start_and_says_why() {
        for (class, words) in [
            ("com.example.Provider", "the known ones are"),
            ("org.apache.zookeeper.server.auth.X509AuthenticationProvider", "TLS"),
            ("org.apache.zookeeper.server.auth.SASLAuthenticationProvider", "SASL"),
        ] {
            let text = registry([("zookeeper.authProvider.7", class)]).unwrap_err().to_string();
            assert!(text.starts_with(&format!("zookeeper.authProvider.7={class}: ")), "{text}");
            assert!(text.contains(words), "{text}");
            assert!(text.ends_with(&refused_provider(class).unwrap()), "{text}");
        }
        for class in PROVIDERS {
            assert_eq!(refused_provider(&format!("{PACKAGE}{class}")), None);
            registry([("zookeeper.authProvider.7", &format!("{PACKAGE}{class}"))]).unwrap();
        }
    }
}
