//! The server and its ensemble, as admin commands see them (no Java twin: commands have the ZooKeeperServer itself).

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::json_outputter::Json;
use crate::data::{ACL, Id};
use crate::ids::{SessionId, Zxid};
use crate::keeper_exception::KeeperError;
use crate::server::auth::provider_registry::ProviderRegistry;
use crate::server::command::abstract_four_letter_command::CommandContext;
use crate::server::memory_account::MemoryAccounts;
use crate::server::persistence::snapshot_info::SnapshotInfo;
use crate::server::watch::watches_path_report::WatchesPathReport;
use crate::server::watch::watches_report::WatchesReport;
use crate::server::watch::watches_summary::WatchesSummary;
use crate::server::zookeeper_server_conf::ZooKeeperServerConf;

/// A completed snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenSnapshot {
    /// The snapshot's file.
    pub path: PathBuf,
    /// The zxid in the file's name.
    pub last_zxid: Zxid,
}

/// What `leader` reports about the ensemble's leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderView {
    /// Whether this server is the leader.
    pub is_leader: bool,
    /// The leader's id; -1 if there is no leader.
    pub leader_id: i64,
    /// The leader's address.
    pub leader_address: Option<String>,
}

/// What `observers` reports about the observers of a leader or of an observer master.
#[derive(Clone, Debug, PartialEq)]
pub struct ObserversView {
    /// The number of synced observers.
    pub synced_observers: usize,
    /// Details of each observer (Java: LearnerHandler.getLearnerHandlerInfo).
    pub observers: Vec<Json>,
}

/// A member in the configuration, for `voting_view` (Java: VotingViewCommand).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberView {
    /// `host:port` that learners connect to.
    pub server_addresses: Vec<String>,
    /// `host:port` for leader election.
    pub election_addresses: Vec<String>,
    /// `host:port` for clients; empty if the configuration does not name it.
    pub client_address: String,
    /// Whether the member is a voter.
    pub is_participant: bool,
}

/// What `zabstate` reports about the phase of the ZAB protocol.
#[derive(Clone, Debug, PartialEq)]
pub struct ZabStateView {
    /// This server's id.
    pub my_id: i64,
    /// Whether this server is the leader.
    pub is_leader: bool,
    /// The address that learners connect to.
    pub learner_address: Json,
    /// The address for leader election.
    pub election_address: Json,
    /// The address for clients.
    pub client_address: Json,
    /// Whether the configuration lists this server as a voter with these addresses.
    pub voting: bool,
    /// The phase of the protocol, in lower case.
    pub zab_state: String,
}

/// The view of an ensemble member that admin commands use.
///
/// The caller holds no lock.
pub trait EnsembleContext {
    /// The current leader.
    fn leader(&self) -> LeaderView;

    /// The voters and their ids.
    fn voting_view(&self) -> Vec<(i64, MemberView)>;

    /// The phase of the protocol. This can take a while if this member has several addresses, because it tries
    /// each of them.
    fn zab_state(&self) -> ZabStateView;

    /// The observers, if this server is a leader or serves observers.
    fn observers(&self) -> Option<ObserversView> {
        None
    }

    /// Resets the statistics of the observers' connections.
    fn reset_observer_connection_stats(&self) {}

    /// The server that this observer follows (Java: ObserverMXBean.getLearnerMaster). `None` if it is no observer, or
    /// follows nobody now.
    fn learner_master(&self) -> Option<i64> {
        None
    }

    /// Has this observer follow another observer master (Java: ObserverMXBean.setLearnerMaster). False if there is no
    /// such master, or this server is no observer that follows one.
    fn set_learner_master(&self, desired: &str) -> bool {
        let _none = desired;
        false
    }
}

/// The view of a server that admin commands use, in addition to what four-letter words need.
///
/// The caller holds no lock.
pub trait AdminContext: CommandContext + Send + Sync {
    /// The settings (Java: getConf).
    fn conf(&self) -> ZooKeeperServerConf;

    /// The text of zoo.cfg (Java: getInitialConfig).
    fn initial_config(&self) -> String;

    /// The sessions by expiry time, in ms of the server's clock (Java: getSessionExpiryMap).
    fn session_expiry_map(&self) -> BTreeMap<i64, BTreeSet<SessionId>>;

    /// The ephemeral nodes by session.
    fn ephemerals(&self) -> Vec<(SessionId, Vec<String>)>;

    /// The watched paths of each session (Java: DataTree.getWatches).
    fn watches(&self) -> WatchesReport;

    /// The sessions that watch each path (Java: DataTree.getWatchesByPath).
    fn watches_by_path(&self) -> WatchesPathReport;

    /// The numbers of watches, paths and connections (Java: DataTree.getWatchesSummary).
    fn watches_summary(&self) -> WatchesSummary;

    /// The most recently saved or restored snapshot.
    fn last_snapshot_info(&self) -> Option<SnapshotInfo>;

    /// Whether snapshots contain the last processed zxid.
    fn is_serialize_last_processed_zxid_enabled(&self) -> bool;

    /// Takes a snapshot and keeps its file (Java: takeSnapshot(false, false)).
    ///
    /// # Errors
    /// The cause of the failure, for the log.
    fn take_snapshot(&self) -> Result<TakenSnapshot, String>;

    /// The authentication schemes.
    fn provider_registry(&self) -> &ProviderRegistry;

    /// The ACL of a node; `None` if the node does not exist.
    fn node_acl(&self, path: &str) -> Option<Arc<[ACL]>>;

    /// Checks that one of the ids has the permission (Java: checkACL, without a connection).
    ///
    /// # Errors
    /// [`KeeperError::NoAuth`] when no id has it.
    fn check_admin_acl(
        &self,
        acl: &[ACL],
        perm: i32,
        ids: &[Id],
        path: &str,
    ) -> Result<(), KeeperError>;

    /// The ensemble view, if this server is a member of an ensemble.
    fn ensemble(&self) -> Option<&dyn EnsembleContext> {
        None
    }

    /// The accounts that limit the memory of long answers, if this server has a limit.
    fn memory(&self) -> Option<&Arc<MemoryAccounts>> {
        None
    }

    /// Closes connections of clients that stopped reading, when the memory for answers is used up.
    fn close_clients_for_room(&self) {}
}
