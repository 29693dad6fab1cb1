//! Scheme `digest`: a user and a password (Java: server/auth/DigestAuthenticationProvider.java).
//!
//! The id is the user, a colon, and the base64 form of the hash of `user:password`. The credentials in an auth
//! packet are read as UTF-8, like Java 18 and later. Older versions of Java used the platform's character set. Not
//! here: base64Encode; the crate `base64` does it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use log::info;
use sha1::Digest as _;

use super::authentication_provider::{
    AuthConnection, AuthOutcome, AuthenticationProvider, HttpAuthRequest,
};
use crate::common::zk_config::SystemProperties;
use crate::data::Id;
use crate::keeper_exception::KeeperError;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.auth.DigestAuthenticationProvider";

/// The scheme for passwords.
pub(crate) const SCHEME: &str = "digest";

/// The scheme of ids that bypass all ACLs.
pub(crate) const SUPER_SCHEME: &str = "super";

const DIGEST_ALGORITHM: &str = "zookeeper.DigestAuthenticationProvider.digestAlg";
const SUPER_DIGEST: &str = "zookeeper.DigestAuthenticationProvider.superDigest";
const ENABLED: &str = "zookeeper.DigestAuthenticationProvider.enabled";

/// The hash of passwords. The names are those of Java's MessageDigest, ignoring case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DigestAlgorithm {
    /// `SHA1`, `SHA-1` and `SHA`.
    #[default]
    Sha1,
    /// `SHA-224`.
    Sha224,
    /// `SHA-256`.
    Sha256,
    /// `SHA-384`.
    Sha384,
    /// `SHA-512`.
    Sha512,
    /// `SHA-512/224`.
    Sha512Of224,
    /// `SHA-512/256`.
    Sha512Of256,
    /// `SHA3-224`.
    Sha3Of224,
    /// `SHA3-256`.
    Sha3Of256,
    /// `SHA3-384`.
    Sha3Of384,
    /// `SHA3-512`.
    Sha3Of512,
}

/// The accepted names, for the error message.
const ALGORITHM_NAMES: &str = "SHA1, SHA-224, SHA-256, SHA-384, SHA-512, SHA-512/224, SHA-512/256, \
                               SHA3-224, SHA3-256, SHA3-384, SHA3-512";

/// A hash that this server does not support.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "don't support this ACL digest algorithm: {0} ({DIGEST_ALGORITHM}); it can be one of \
     {ALGORITHM_NAMES}"
)]
pub struct UnknownDigestAlgorithm(
    /// The name in the setting.
    pub String,
);

impl DigestAlgorithm {
    /// The algorithm with this Java name.
    ///
    /// # Errors
    /// When the name is not listed above.
    pub fn from_name(name: &str) -> Result<Self, UnknownDigestAlgorithm> {
        Ok(match name.to_ascii_uppercase().as_str() {
            "SHA1" | "SHA-1" | "SHA" => Self::Sha1,
            "SHA-224" | "SHA224" => Self::Sha224,
            "SHA-256" | "SHA256" => Self::Sha256,
            "SHA-384" | "SHA384" => Self::Sha384,
            "SHA-512" | "SHA512" => Self::Sha512,
            "SHA-512/224" | "SHA512/224" => Self::Sha512Of224,
            "SHA-512/256" | "SHA512/256" => Self::Sha512Of256,
            "SHA3-224" => Self::Sha3Of224,
            "SHA3-256" => Self::Sha3Of256,
            "SHA3-384" => Self::Sha3Of384,
            "SHA3-512" => Self::Sha3Of512,
            _ => return Err(UnknownDigestAlgorithm(name.to_owned())),
        })
    }

    fn hash(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => sha1::Sha1::digest(bytes).to_vec(),
            Self::Sha224 => sha2::Sha224::digest(bytes).to_vec(),
            Self::Sha256 => sha2::Sha256::digest(bytes).to_vec(),
            Self::Sha384 => sha2::Sha384::digest(bytes).to_vec(),
            Self::Sha512 => sha2::Sha512::digest(bytes).to_vec(),
            Self::Sha512Of224 => sha2::Sha512_224::digest(bytes).to_vec(),
            Self::Sha512Of256 => sha2::Sha512_256::digest(bytes).to_vec(),
            Self::Sha3Of224 => sha3::Sha3_224::digest(bytes).to_vec(),
            Self::Sha3Of256 => sha3::Sha3_256::digest(bytes).to_vec(),
            Self::Sha3Of384 => sha3::Sha3_384::digest(bytes).to_vec(),
            Self::Sha3Of512 => sha3::Sha3_512::digest(bytes).to_vec(),
        }
    }

    /// The id for `user:password` (Java: generateDigest).
    #[must_use]
    pub fn generate_digest(self, id_password: &str) -> String {
        let user = id_password.split(':').next().unwrap_or_default();
        let hash = STANDARD.encode(self.hash(id_password.as_bytes()));
        format!("{user}:{hash}")
    }
}

/// The provider of the scheme `digest`.
#[derive(Clone, Default)]
pub struct DigestAuthenticationProvider {
    algorithm: DigestAlgorithm,
    super_digest: Option<String>,
}

impl DigestAuthenticationProvider {
    /// Creates a provider that hashes with `algorithm`. A client that proves the id `super_digest` becomes the
    /// super user.
    #[must_use]
    pub fn new(algorithm: DigestAlgorithm, super_digest: Option<String>) -> Self {
        Self { algorithm, super_digest }
    }

    /// Creates the provider from the settings `zookeeper.DigestAuthenticationProvider.*`.
    ///
    /// # Errors
    /// When the setting names an unknown hash.
    pub fn from_properties(properties: &SystemProperties) -> Result<Self, UnknownDigestAlgorithm> {
        let name = properties.get(DIGEST_ALGORITHM).unwrap_or("SHA1");
        let algorithm = DigestAlgorithm::from_name(name)?;
        info!(target: LOG, "ACL digest algorithm is: {name}");
        Ok(Self::new(algorithm, properties.get(SUPER_DIGEST).map(str::to_owned)))
    }

    /// Whether the scheme is enabled. It is enabled by default (Java: isEnabled).
    #[must_use]
    pub fn is_enabled(properties: &SystemProperties) -> bool {
        let enabled = properties.bool_or(ENABLED, true);
        info!(target: LOG, "{ENABLED} = {enabled}");
        enabled
    }

    /// The hash algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> DigestAlgorithm {
        self.algorithm
    }

    fn ids(&self, auth_data: &[u8]) -> Vec<Id> {
        let digest = self.algorithm.generate_digest(&String::from_utf8_lossy(auth_data));
        let mut ids = Vec::with_capacity(2);
        if self.super_digest.as_ref() == Some(&digest) {
            ids.push(Id { scheme: SUPER_SCHEME.into(), id: String::new() });
        }
        ids.push(Id { scheme: SCHEME.into(), id: digest });
        ids
    }
}

/// Omits the super user's digest, which is a secret.
impl fmt::Debug for DigestAuthenticationProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DigestAuthenticationProvider")
            .field("algorithm", &self.algorithm)
            .field("has_super_digest", &self.super_digest.is_some())
            .finish()
    }
}

impl AuthenticationProvider for DigestAuthenticationProvider {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    fn handle_authentication(
        &self,
        cnxn: &dyn AuthConnection,
        auth_data: Option<&[u8]>,
    ) -> AuthOutcome {
        let Some(auth_data) = auth_data else { return AuthOutcome::Refused };
        for id in self.ids(auth_data) {
            cnxn.add_auth_info(id);
        }
        AuthOutcome::Accepted
    }

    fn handle_http_authentication(
        &self,
        _request: &HttpAuthRequest<'_>,
        auth_data: Option<&[u8]>,
    ) -> Result<Vec<Id>, KeeperError> {
        Ok(self.ids(auth_data.ok_or(KeeperError::AuthFailed)?))
    }

    fn matches(&self, id: &str, acl_expr: &str) -> bool {
        id == acl_expr
    }

    fn matches_equals(&self) -> bool {
        true
    }

    fn is_authenticated(&self) -> bool {
        true
    }

    /// A valid id is a user and a hash. Colons at the end do not count, because Java's `split` drops empty
    /// parts there.
    fn is_valid(&self, id: &str) -> bool {
        let parts = id.trim_end_matches(':').split(':').count();
        parts == 2
    }

    fn user_name<'a>(&self, id: &'a str) -> &'a str {
        id.split(':').next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::server_authentication_provider::fakes::Fake;
    use super::*;

    /// The digests come from Java's DigestAuthenticationProvider.main.
    #[test]
    fn digests_are_those_of_java() {
        for (algorithm, id_password, digest) in [
            ("SHA1", "super:test", "super:D/InIHSb7yEEbrWz8b9l71RjZJU="),
            ("sha-1", "bob:pa:ss", "bob:ZLnpyJBWh1VZxyRoQkI2cRg/9PM="),
            ("SHA1", "no colon", "no colon:Nal3InMs8gh39HRpq2pZ/hkCa+A="),
            ("SHA1", "z\u{fc}rich:\u{1f600}", "z\u{fc}rich:RFbM+91zxeZo/0l/5+DofQIaJKI="),
            ("SHA-256", "super:test", "super:wjySwxg860UATFtciuZ1lpzrCHrPeov6SPu/ZD56uig="),
            ("SHA-512/256", "super:test", "super:GV6U44a5U7SXgFZS9GkWgmwq2+im64wGlYXjCHia3mo="),
            ("SHA-224", "super:test", "super:opwh3FU/0WUpM+8JAOS98bsQFC+823kv438mIg=="),
            (
                "SHA-384",
                "super:test",
                "super:FA/2SgoedA21NnGcUl5C1HBsMwuibAPXlAq/FqXTuUQPExUJgxpf8gWeD4eOupjP",
            ),
            (
                "SHA-512",
                "super:test",
                "super:cMAGk13FCMtJkaVQImGEKhjqoGELCiVjYdIhiD8stB1FnIpdGeFvKwAHh5mf4tUYmBR2ZY9181\
                 dZTXEHMlkVhg==",
            ),
            ("SHA-512/224", "super:test", "super:Jbob8j2c9tikAuLuqxcIJr3TG4aS6fcELZsiHw=="),
            ("SHA3-256", "super:test", "super:cRy/KPYuDpW/dtsepniTMpuiuupnWgdU9txltIfv3hA="),
            (
                "SHA3-512",
                "super:test",
                "super:AdTSPtJYC1bEo1Z0UG5z1VXkw2AEUReEjF0RV0jap6VKcDva8ZPEO/WxrOy888alfiJyM5cm5B\
                 KhrI4X/YFcTg==",
            ),
        ] {
            let algorithm = DigestAlgorithm::from_name(algorithm).unwrap();
            assert_eq!(algorithm.generate_digest(id_password), digest, "{algorithm:?}");
        }
    }

    #[test]
    fn an_unknown_algorithm_stops_the_start_and_names_the_known_ones() {
        let properties = SystemProperties::from_pairs([(DIGEST_ALGORITHM, "MD2")]);
        let error = DigestAuthenticationProvider::from_properties(&properties).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("don't support this ACL digest algorithm: MD2"), "{text}");
        assert!(text.contains("SHA-256"), "{text}");
    }

    #[test]
    fn the_super_users_password_gives_a_second_id() {
        let provider = DigestAuthenticationProvider::new(
            DigestAlgorithm::Sha1,
            Some("super:D/InIHSb7yEEbrWz8b9l71RjZJU=".into()),
        );
        let cnxn = Fake::default();
        let auth = |data| AuthenticationProvider::handle_authentication(&provider, &cnxn, data);
        assert_eq!(auth(Some(b"super:test")), AuthOutcome::Accepted);
        assert_eq!(cnxn.texts(), ["super:", "digest:super:D/InIHSb7yEEbrWz8b9l71RjZJU="]);
        cnxn.ids.borrow_mut().clear();
        assert_eq!(auth(Some(b"super:wrong")), AuthOutcome::Accepted);
        assert_eq!(cnxn.texts().len(), 1);
        assert_eq!(auth(None), AuthOutcome::Refused);
    }

    #[test]
    fn the_super_digest_is_not_printed() {
        let provider =
            DigestAuthenticationProvider::new(DigestAlgorithm::Sha1, Some("super:secret".into()));
        assert!(!format!("{provider:?}").contains("secret"));
    }

    #[test]
    fn an_id_has_two_parts_as_java_counts_them() {
        let provider = DigestAuthenticationProvider::default();
        for (id, valid) in [
            ("a:b", true),
            (":b", true),
            ("a:b::", true),
            ("a:", false),
            ("a", false),
            ("", false),
            (":", false),
            ("a:b:c", false),
            ("a::c", false),
        ] {
            assert_eq!(AuthenticationProvider::is_valid(&provider, id), valid, "{id:?}");
        }
        assert_eq!(AuthenticationProvider::user_name(&provider, "bob:hash"), "bob");
    }
}
