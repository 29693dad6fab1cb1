//! What a server does differently by its role (no Java twin: what the subclasses of server/ZooKeeperServer.java override).

use std::sync::Arc;

use super::admin::command::EnsembleContext;
use super::buffer_stats::BufferStats;
use super::request::Request;
use super::server_cnxn::{DisconnectReason, ServerCnxn};
use super::zookeeper_server::ZooKeeperServer;
use crate::ids::SessionId;
use crate::keeper_exception::KeeperError;
use crate::metrics::gauge::Gauge;
use crate::metrics::metrics_provider::DumpSink;

/// A role.
pub trait ServerRole: Send + Sync {
    /// Its name, as `srvr` shows it (Java: getState).
    fn state_name(&self) -> &'static str;

    /// Whether it takes no writes (Java: ReadOnlyZooKeeperServer).
    fn is_read_only(&self) -> bool {
        false
    }

    /// Whether a client may come back to a session here (Java: validateSession).
    ///
    /// # Errors
    /// Why its connection is to be closed.
    fn validate_session(
        &self,
        server: &ZooKeeperServer,
        cnxn: &ServerCnxn,
        session_id: SessionId,
    ) -> Result<(), DisconnectReason> {
        let _every_one_may = (server, cnxn, session_id);
        Ok(())
    }

    /// A client comes back with the right password: answers it, now or when somebody else has said whether the session lives
    /// (Java: revalidateSession).
    fn revalidate_session(
        &self,
        server: &ZooKeeperServer,
        cnxn: &Arc<ServerCnxn>,
        session_id: SessionId,
        timeout_ms: i32,
    ) {
        let valid = server.session_tracker().touch_session(session_id, timeout_ms);
        server.finish_session_init(cnxn, valid);
    }

    /// A local session that needs to be a global one for this request: what has to go before it (Java:
    /// QuorumZooKeeperServer.checkUpgradeSession).
    ///
    /// # Errors
    /// Why the request is refused.
    fn check_upgrade_session(
        &self,
        server: &ZooKeeperServer,
        request: &Request,
    ) -> Result<Option<Box<Request>>, KeeperError> {
        let _never = (server, request);
        Ok(None)
    }

    /// Notes whether a request concerns a session that only this server knows (Java: setLocalSessionFlag).
    fn set_local_session_flag(&self, server: &ZooKeeperServer, request: &mut Request) {
        let _there_are_none = (server, request);
    }

    /// Whether a client's `sync` goes the way of writes: somebody has to say that all before it is committed.
    fn orders_syncs(&self) -> bool {
        false
    }

    /// Appends to the answer of `conf` (Java: dumpConf).
    fn dump_conf(&self, out: &mut String) {
        let _nothing = out;
    }

    /// Gives out what `mntr` shows of it beside version and state (Java: dumpMonitorValues).
    fn dump_monitor_values(&self, sink: &mut DumpSink<'_>) {
        let _nothing = sink;
    }

    /// Gauges that it has beside those of any server, asked for when the server starts (Java: registerMetrics). They must
    /// not keep it alive.
    fn gauges(&self) -> Vec<(&'static str, Arc<dyn Gauge>)> {
        Vec::new()
    }

    /// Requests under way in the whole server above which connections wait (Java: getGlobalOutstandingLimit).
    fn global_outstanding_limit(&self, of_settings: i64) -> i64 {
        of_settings
    }

    /// What only a member of an ensemble knows.
    fn ensemble(&self) -> Option<&dyn EnsembleContext> {
        None
    }

    /// Sizes of its proposals, on a leader.
    fn proposal_stats(&self) -> Option<Arc<BufferStats>> {
        None
    }
}

/// A server without an ensemble.
#[derive(Clone, Copy, Debug)]
pub struct Standalone;

impl ServerRole for Standalone {
    fn state_name(&self) -> &'static str {
        "standalone"
    }
}
