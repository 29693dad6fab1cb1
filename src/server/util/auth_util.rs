//! Formats the ids of clients for logs and answers (Java: server/util/AuthUtil.java).

use crate::data::{ClientInfo, Id};
use crate::server::auth::provider_registry::ProviderRegistry;

/// The user name of an id, without secrets; `None` if the scheme is unknown (Java: getUser).
#[must_use]
pub(crate) fn user<'a>(registry: &ProviderRegistry, id: &'a Id) -> Option<&'a str> {
    registry.server_provider(&id.scheme).map(|provider| provider.user_name(&id.id))
}

/// All user names joined by commas, for logs; `None` if there are none (Java: getUsers). The schemes are left
/// out and nothing is escaped.
#[must_use]
pub(crate) fn users(registry: &ProviderRegistry, auth_info: &[Id]) -> Option<String> {
    let names: Vec<&str> = auth_info
        .iter()
        .filter_map(|id| user(registry, id))
        .filter(|name| !name.trim().is_empty())
        .collect();
    if names.is_empty() { None } else { Some(names.join(",")) }
}

/// The answer to `whoAmI` (Java: getClientInfos).
#[must_use]
pub(crate) fn client_infos(registry: &ProviderRegistry, auth_info: &[Id]) -> Vec<ClientInfo> {
    auth_info
        .iter()
        .map(|id| ClientInfo {
            auth_scheme: id.scheme.clone(),
            user: user(registry, id).unwrap_or_default().to_owned(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_shown_without_the_hash_and_an_unknown_scheme_without_a_user() {
        let registry = ProviderRegistry::default();
        let ids = [("ip", "10.0.0.1"), ("digest", "bob:hash"), ("super", ""), ("odd", "x")]
            .map(|(scheme, id)| Id { scheme: scheme.into(), id: id.into() });
        assert_eq!(users(&registry, &ids).as_deref(), Some("10.0.0.1,bob"));
        assert_eq!(users(&registry, &ids[2..]), None);
        let infos: Vec<_> = client_infos(&registry, &ids)
            .into_iter()
            .map(|info| (info.auth_scheme, info.user))
            .collect();
        let expected = [("ip", "10.0.0.1"), ("digest", "bob"), ("super", ""), ("odd", "")];
        assert_eq!(infos, expected.map(|(scheme, user)| (scheme.into(), user.into())));
    }
}
