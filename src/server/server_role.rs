//! The behaviour of a server that depends on its role (no Java twin: what the subclasses of
//! server/ZooKeeperServer.java override).

use std::sync::Arc;

use super::admin::admin_context::EnsembleContext;
use super::buffer_stats::BufferStats;
use super::request::Request;
use super::server_cnxn::{DisconnectReason, ServerCnxn};
use super::session_tracker::SessionTracker;
use crate::ids::{SessionId, Zxid};
use crate::keeper_exception::KeeperError;
use crate::metrics::gauge::Gauge;
use crate::metrics::metrics_provider::DumpSink;
use crate::proto::ReconfigRequest;

/// A server, as its role sees it (no Java twin: the role is a part of the server).
pub trait RoleServer {
    /// The sessions that the server knows.
    fn session_tracker(&self) -> &Arc<dyn SessionTracker>;

    /// Answers the ConnectRequest and lets the client's requests in. The caller must hold no lock.
    fn finish_session_init(&self, cnxn: &Arc<ServerCnxn>, valid: bool);
}

/// The role of a server.
pub trait ServerRole: Send + Sync {
    /// Its name, as `srvr` shows it (Java: ZooKeeperServer.getState, which
    /// ServerStats.getServerState returns).
    fn state_name(&self) -> &'static str;

    /// Whether it refuses writes (Java: ReadOnlyZooKeeperServer).
    fn is_read_only(&self) -> bool {
        false
    }

    /// Whether a client may continue a session here (Java: ZooKeeperServer.validateSession).
    ///
    /// # Errors
    /// The reason to close its connection.
    fn validate_session(
        &self,
        cnxn: &ServerCnxn,
        session_id: SessionId,
    ) -> Result<(), DisconnectReason> {
        let _every_one_may = (cnxn, session_id);
        Ok(())
    }

    /// Answers a client that continues a session with the right password, at once or after another server has said
    /// whether the session is alive (Java: revalidateSession).
    fn revalidate_session(
        &self,
        server: &dyn RoleServer,
        cnxn: &Arc<ServerCnxn>,
        session_id: SessionId,
        timeout_ms: i32,
    ) {
        let valid = server.session_tracker().touch_session(session_id, timeout_ms);
        server.finish_session_init(cnxn, valid);
    }

    /// The request that must come before this one, if this one turns a local session into a global one (Java:
    /// QuorumZooKeeperServer.checkUpgradeSession).
    ///
    /// # Errors
    /// Why the request is refused.
    fn check_upgrade_session(
        &self,
        request: &Request,
    ) -> Result<Option<Box<Request>>, KeeperError> {
        let _never = request;
        Ok(None)
    }

    /// Marks a request if its session is known only to this server (Java: setLocalSessionFlag).
    fn set_local_session_flag(&self, request: &mut Request) {
        let _there_are_none = request;
    }

    /// Whether a client's `sync` passes the processors like a write, because another server must confirm that
    /// everything before it is committed.
    fn orders_syncs(&self) -> bool {
        false
    }

    /// Appends to the answer of `conf` (Java: dumpConf).
    fn dump_conf(&self, out: &mut String) {
        let _nothing = out;
    }

    /// Reports what `mntr` shows of the role besides version and state (Java: dumpMonitorValues).
    fn dump_monitor_values(&self, sink: &mut DumpSink<'_>) {
        let _nothing = sink;
    }

    /// The role's gauges, besides those of every server. Called when the server starts (Java: registerMetrics). They
    /// must not keep the role alive.
    fn gauges(&self) -> Vec<(&'static str, Arc<dyn Gauge>)> {
        Vec::new()
    }

    /// Requests under way in the whole server above which connections wait (Java: getGlobalOutstandingLimit).
    fn global_outstanding_limit(&self, of_settings: i64) -> i64 {
        of_settings
    }

    /// Looks up the hosts that a `reconfig` request names, for [`next_config`](Self::next_config). This may take
    /// seconds; the caller holds no lock that others wait for.
    fn look_up_hosts(&self, request: &ReconfigRequest) {
        let _there_are_none = request;
    }

    /// The text of the configuration that a `reconfig` request asks for, with `zxid` as its version. `is_allowed` is
    /// checked last. When this returns a text, the configuration will be proposed with that zxid, and no other one may
    /// be made before that.
    ///
    /// # Errors
    /// The answer to the client.
    fn next_config(
        &self,
        request: &ReconfigRequest,
        zxid: Zxid,
        is_allowed: &dyn Fn() -> Result<(), KeeperError>,
    ) -> Result<String, KeeperError> {
        let _no_ensemble = (request, zxid, is_allowed);
        Err(KeeperError::Unimplemented)
    }

    /// The text of the configuration in effect; none without an ensemble.
    fn config_text(&self) -> Option<String> {
        None
    }

    /// The information that only a member of an ensemble has.
    fn ensemble(&self) -> Option<&dyn EnsembleContext> {
        None
    }

    /// The sizes of proposals, on a leader.
    fn proposal_stats(&self) -> Option<Arc<BufferStats>> {
        None
    }
}

/// A server without an ensemble.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standalone;

impl ServerRole for Standalone {
    fn state_name(&self) -> &'static str {
        "standalone"
    }
}
