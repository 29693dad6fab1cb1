//! Creates the AdminServer (Java: server/admin/AdminServerFactory.java).

use std::sync::Arc;

use super::admin_server::{AdminServer, AdminServerError};
use super::commands::{AdminCommandsConfig, Commands, CommandsParts};
use super::dummy_admin_server::DummyAdminServer;
use super::http_admin_server::{AdminServerConfig, HttpAdminServer};
use crate::common::time::Clock;
use crate::common::zk_config::SystemProperties;
use crate::server::server_metrics::ServerMetrics;

/// Creates the AdminServer that the settings describe, or a dummy if `admin.enableServer` is `false`. It is not
/// started.
///
/// # Errors
/// When a setting is wrong or asks for TLS, which is not supported. Without TLS the server would send in plain
/// text what the operator wanted to protect.
pub(crate) fn create_admin_server(
    properties: &SystemProperties,
    metrics: Arc<ServerMetrics>,
    clock: Clock,
) -> Result<Arc<dyn AdminServer>, AdminServerError> {
    if properties.get("zookeeper.admin.enableServer") == Some("false") {
        return Ok(Arc::new(DummyAdminServer));
    }
    let config = AdminServerConfig::from_properties(properties)?;
    let commands = Commands::new(CommandsParts {
        config: AdminCommandsConfig::from_properties(properties),
        metrics,
        clock: Arc::clone(&clock),
        properties: properties.clone(),
    });
    Ok(Arc::new(HttpAdminServer::new(config, commands, clock)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::time::SystemClock;

    fn create(pairs: &[(&str, &str)]) -> Result<Arc<dyn AdminServer>, AdminServerError> {
        let properties = SystemProperties::from_pairs(pairs.iter().copied());
        let metrics = ServerMetrics::with_default_provider();
        create_admin_server(&properties, metrics, SystemClock::shared())
    }

    #[test]
    fn an_admin_server_that_is_switched_off_needs_no_port_and_no_right_settings() {
        let off = ("zookeeper.admin.enableServer", "false");
        let admin = create(&[off, ("zookeeper.admin.serverPort", "70000")]).unwrap();
        admin.start().unwrap();
        admin.shutdown();
    }

    #[test]
    fn wrong_settings_and_tls_are_refused_by_name() {
        for (key, value) in [
            ("zookeeper.admin.serverPort", "70000"),
            ("zookeeper.admin.commandURL", "commands"),
            ("zookeeper.admin.portUnification", "true"),
            ("zookeeper.admin.forceHttps", "true"),
        ] {
            let refused = create(&[(key, value)]).err().unwrap().to_string();
            assert!(refused.starts_with(&format!("{key}={value}: ")), "{refused}");
        }
        for (key, value) in
            [("zookeeper.admin.needClientAuth", "true"), ("zookeeper.admin.idleTimeout", "-1")]
        {
            assert!(create(&[(key, value)]).is_ok(), "{key}");
        }
    }
}
