//! Scheme `ensemble`: checks that the client connected to the ensemble that it wants
//! (Java: server/auth/EnsembleAuthenticationProvider.java).
//!
//! It proves no id and occurs in no ACL. A wrong name closes the connection without an answer, so that the
//! client tries its next server. An error would end the client's session.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};

use log::{info, warn};

use super::authentication_provider::AuthOutcome;
use super::ip_authentication_provider::host_address;
use super::server_authentication_provider::{
    EnsembleAuth, MatchValues, ServerAuthenticationProvider, ServerObjs,
};
use crate::common::time::Clock;
use crate::common::zk_config::SystemProperties;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.auth.EnsembleAuthenticationProvider";

/// The scheme for ensemble names.
pub(crate) const SCHEME: &str = "ensemble";

const ENSEMBLE_NAMES: &str = "zookeeper.ensembleAuthName";

/// The minimum time between two logged failures, ms.
const MIN_LOGGING_INTERVAL_MS: i64 = 1000;

/// The provider of the scheme `ensemble`.
pub(crate) struct EnsembleAuthenticationProvider {
    /// `None` accepts any name.
    names: Option<BTreeSet<String>>,
    clock: Clock,
    last_failure_logged_ms: AtomicI64,
}

impl EnsembleAuthenticationProvider {
    /// Creates a provider that accepts the names in a comma-separated list.
    #[must_use]
    pub(crate) fn new(names: Option<&str>, clock: Clock) -> Self {
        Self {
            names: names.map(|list| list.split(',').map(|name| name.trim().to_owned()).collect()),
            clock,
            last_failure_logged_ms: AtomicI64::new(0),
        }
    }

    /// Creates the provider from the setting `zookeeper.ensembleAuthName`.
    #[must_use]
    pub(crate) fn from_properties(properties: &SystemProperties, clock: Clock) -> Self {
        let names = properties.get(ENSEMBLE_NAMES);
        if let Some(names) = names {
            info!(target: LOG, "Set expected ensemble names to {names}");
        }
        Self::new(names, clock)
    }

    fn log_failure(&self, received: &str, server_objs: ServerObjs<'_>) {
        let now_ms = self.clock.wall_ms();
        // If two threads log at the same time, it does no harm. No other data depends on the time.
        let last_ms = self.last_failure_logged_ms.load(Ordering::Relaxed);
        if last_ms.saturating_add(MIN_LOGGING_INTERVAL_MS) < now_ms {
            let ip = server_objs.cnxn.remote_ip().map_or_else(|| "unknown".into(), host_address);
            warn!(target: LOG, "Unexpected ensemble name: ensemble name: {received} client ip: {ip}");
            self.last_failure_logged_ms.store(now_ms, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for EnsembleAuthenticationProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnsembleAuthenticationProvider").field("names", &self.names).finish()
    }
}

impl ServerAuthenticationProvider for EnsembleAuthenticationProvider {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    fn handle_authentication(
        &self,
        server_objs: ServerObjs<'_>,
        auth_data: Option<&[u8]>,
    ) -> AuthOutcome {
        let received = String::from_utf8_lossy(auth_data.unwrap_or_default());
        let (result, outcome) = match &self.names {
            Some(names) if !received.is_empty() => {
                if names.contains(received.as_ref()) {
                    (EnsembleAuth::Success, AuthOutcome::Accepted)
                } else {
                    self.log_failure(&received, server_objs);
                    (EnsembleAuth::Fail, AuthOutcome::WrongEnsemble)
                }
            }
            _ => (EnsembleAuth::Skip, AuthOutcome::Accepted),
        };
        server_objs.server.ensemble_auth(result);
        outcome
    }

    fn matches(&self, _match_values: &MatchValues<'_>) -> bool {
        false
    }

    fn is_authenticated(&self) -> bool {
        false
    }

    fn is_valid(&self, _id: &str) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::server_authentication_provider::fakes::Fake;
    use super::*;
    use crate::common::time::ManualClock;

    #[test]
    fn only_a_wrong_name_is_turned_away() {
        let clock: Clock = Arc::new(ManualClock::new(5_000));
        for (names, received, result, outcome) in [
            (None, Some("a"), EnsembleAuth::Skip, AuthOutcome::Accepted),
            (Some("a, b"), None, EnsembleAuth::Skip, AuthOutcome::Accepted),
            (Some("a, b"), Some(""), EnsembleAuth::Skip, AuthOutcome::Accepted),
            (Some("a, b"), Some("b"), EnsembleAuth::Success, AuthOutcome::Accepted),
            (Some("a, b"), Some(" b"), EnsembleAuth::Fail, AuthOutcome::WrongEnsemble),
            (Some("a, b"), Some("c"), EnsembleAuth::Fail, AuthOutcome::WrongEnsemble),
        ] {
            let provider = EnsembleAuthenticationProvider::new(names, clock.clone());
            let fake = Fake::default();
            let answer = provider.handle_authentication(fake.objs(), received.map(str::as_bytes));
            assert_eq!((fake.ensemble.get(), answer), (Some(result), outcome), "{received:?}");
            assert!(fake.texts().is_empty());
        }
    }
}
