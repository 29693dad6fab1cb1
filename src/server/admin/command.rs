//! A command, and what commands ask a server for (Java: server/admin/Command.java,
//! CommandBase.java, GetCommand.java, PostCommand.java).

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use super::auth_request::AuthRequest;
use super::command_response::CommandResponse;
use super::commands::Commands;
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

/// The arguments of a command: names and values of the request's query.
pub type Kwargs = [(String, String)];

/// How a command is run.
#[derive(Clone, Copy)]
pub enum Run {
    /// By GET; with or without a server.
    Get(fn(&Commands, Option<&dyn AdminContext>, &Kwargs, &mut CommandResponse)),
    /// By GET, of a server that serves.
    GetServing(fn(&Commands, &dyn AdminContext, &Kwargs, &mut CommandResponse)),
    /// By POST with a body, of a server that serves.
    PostServing(fn(&Commands, &dyn AdminContext, &mut dyn Read, &mut CommandResponse)),
}

/// A command of the AdminServer.
#[derive(Clone, Copy)]
pub struct Command {
    /// Its names; answers and the list of commands have the first.
    pub names: &'static [&'static str],
    /// What it needs permission for, if it does.
    pub auth_request: Option<AuthRequest>,
    /// What it does.
    pub run: Run,
}

impl Command {
    /// The name in answers and in the list (Java: getPrimaryName).
    #[must_use]
    pub const fn primary_name(&self) -> &'static str {
        self.names[0]
    }

    /// Whether a server must be there and serve (Java: isServerRequired).
    #[must_use]
    pub const fn is_server_required(&self) -> bool {
        !matches!(self.run, Run::Get(_))
    }
}

/// A snapshot that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenSnapshot {
    /// Its file.
    pub path: PathBuf,
    /// The last transaction in its name.
    pub last_zxid: Zxid,
}

/// A member's place in its ensemble, for `leader`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderView {
    /// Whether this server leads.
    pub is_leader: bool,
    /// The leader's id, -1 without one.
    pub leader_id: i64,
    /// The leader's address.
    pub leader_address: Option<String>,
}

/// Observers of a leader or of an observer master, for `observers`.
#[derive(Clone, Debug, PartialEq)]
pub struct ObserversView {
    /// How many there are.
    pub synced_observers: usize,
    /// What is known of each (Java: LearnerHandler.getLearnerHandlerInfo).
    pub observers: Vec<Json>,
}

/// A member as the configuration names it, for `voting_view` (Java: VotingViewCommand).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberView {
    /// `host:port` for learners.
    pub server_addresses: Vec<String>,
    /// `host:port` for elections.
    pub election_addresses: Vec<String>,
    /// `host:port` for clients; empty when it is not in the configuration.
    pub client_address: String,
    /// Whether it votes.
    pub is_participant: bool,
}

/// The phase of the protocol between servers, for `zabstate`.
#[derive(Clone, Debug, PartialEq)]
pub struct ZabStateView {
    /// This server's id.
    pub my_id: i64,
    /// Whether it leads.
    pub is_leader: bool,
    /// Where learners connect to.
    pub learner_address: Json,
    /// Where elections are held.
    pub election_address: Json,
    /// Where clients connect to.
    pub client_address: Json,
    /// Whether the configuration has it as a voter with these addresses.
    pub voting: bool,
    /// The phase, in lower case.
    pub zab_state: String,
}

/// A member of an ensemble as the AdminServer's commands see it.
///
/// Nothing is called while a lock is held.
pub trait EnsembleContext {
    /// Who leads.
    fn leader(&self) -> LeaderView;

    /// The voters by their ids.
    fn voting_view(&self) -> Vec<(i64, MemberView)>;

    /// The phase of the protocol. May take a while when this member has several addresses: they are
    /// tried.
    fn zab_state(&self) -> ZabStateView;

    /// The observers, on a leader.
    fn observers(&self) -> Option<ObserversView> {
        None
    }

    /// Sets the statistics of the observers' connections back.
    fn reset_observer_connection_stats(&self) {}
}

/// A server as the AdminServer's commands see it, beyond what four-letter words ask.
///
/// Nothing is called while a lock is held.
pub trait AdminContext: CommandContext + Send + Sync {
    /// The settings (Java: getConf).
    fn conf(&self) -> ZooKeeperServerConf;

    /// zoo.cfg as it was read (Java: getInitialConfig).
    fn initial_config(&self) -> String;

    /// The sessions by when they end, in ms of the server's clock (Java: getSessionExpiryMap).
    fn session_expiry_map(&self) -> BTreeMap<i64, BTreeSet<SessionId>>;

    /// The ephemeral nodes by session.
    fn ephemerals(&self) -> Vec<(SessionId, Vec<String>)>;

    /// The watched paths by session (Java: DataTree.getWatches).
    fn watches(&self) -> WatchesReport;

    /// The watching sessions by path (Java: DataTree.getWatchesByPath).
    fn watches_by_path(&self) -> WatchesPathReport;

    /// How many watches there are (Java: DataTree.getWatchesSummary).
    fn watches_summary(&self) -> WatchesSummary;

    /// The snapshot that was saved or restored last.
    fn last_snapshot_info(&self) -> Option<SnapshotInfo>;

    /// Whether snapshots name their last transaction.
    fn is_serialize_last_processed_zxid_enabled(&self) -> bool;

    /// Takes a snapshot and keeps it (Java: takeSnapshot(false, false)).
    ///
    /// # Errors
    /// What went wrong, for the log.
    fn take_snapshot(&self) -> Result<TakenSnapshot, String>;

    /// The schemes of authentication.
    fn provider_registry(&self) -> &ProviderRegistry;

    /// A node's ACL; none when there is no such node.
    fn node_acl(&self, path: &str) -> Option<Arc<[ACL]>>;

    /// Whether one of the ids has one permission (Java: checkACL, without a connection).
    ///
    /// # Errors
    /// [`KeeperError::NoAuth`] when none has.
    fn check_admin_acl(
        &self,
        acl: &[ACL],
        perm: i32,
        ids: &[Id],
        path: &str,
    ) -> Result<(), KeeperError>;

    /// What only members of ensembles know.
    fn ensemble(&self) -> Option<&dyn EnsembleContext> {
        None
    }

    /// What counts long answers, where they are counted.
    fn memory(&self) -> Option<&Arc<MemoryAccounts>> {
        None
    }

    /// Closes clients that have stood still while the memory for answers is full.
    fn close_clients_for_room(&self) {}
}
