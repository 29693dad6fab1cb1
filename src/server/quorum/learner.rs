//! What followers and observers have in common: finding their leader, meeting it, and taking over its history (Java:
//! server/quorum/Learner.java).
//!
//! Threads: the peer's, on which a learner lives; any other may end it. Locks: `Role`, for its start and end: a server is
//! never started for a learner that is over, and the tree is tidied up when nobody works on it any more.
//!
//! Its parts: `leader_connector` makes the connection, `leader_input` reads from it and `leader_link` writes to it,
//! `sync_with_leader` takes over the history, `request_forwarder` sends on what clients want.
//!
//! Differs from Java: what it asks of the peer is a trait, so that a learner can be driven by a test; `learner.asyncSending` and
//! `learner.closeSocketAsync` have nothing to change, since no thread here waits for the leader to read or for a socket
//! to close; reachability is not asked for before connecting, since all addresses are tried at once.

mod leader_connector;
pub(in crate::server::quorum) mod leader_input;
pub(in crate::server::quorum) mod leader_link;
pub(in crate::server::quorum) mod learner_txn;
pub(in crate::server::quorum) mod log_pace;
pub(in crate::server::quorum) mod request_forwarder;
mod request_shape;
mod sync_with_leader;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, ThreadId};

use log::{error, info, warn};
use thiserror::Error;

use self::leader_connector::ConnectSettings;
use self::leader_input::LeaderInput;
use self::leader_link::{LeaderLink, greeting};
pub(in crate::server::quorum) use self::sync_with_leader::{Synced, suggested_leader};
use super::learner_info::{LearnerInfo, PROTOCOL_VERSION};
use super::learner_zookeeper_server::LearnerRole;
use super::quorum_packet::{PacketError, PacketType, QuorumPacket};
use super::quorum_peer::quorum_server::QuorumServer;
use super::quorum_peer::{SyncMode, ZabState};
use super::upgradeable_session_tracker::UpgradeableSessionTracker;
use crate::common::config_exception::ConfigError;
use crate::common::net_utils::InetSocketAddress;
use crate::common::time::Clock;
use crate::common::zk_config::SystemProperties;
use crate::ids::{PeerEpoch, Sid, Zxid};
use crate::jute::{InputError, Limits};
use crate::keeper_exception::KeeperError;
use crate::server::admin::command::EnsembleContext;
use crate::server::exit_code::ExitCode;
use crate::server::persistence::file_txn_snap_log::RestoreError;
use crate::server::persistence::snap_shot::SnapError;
use crate::server::persistence::txn_log::TxnLogError;
use crate::server::request::Request;
use crate::server::server_metrics::ServerMetrics;
use crate::server::server_role::ServerRole;
use crate::server::zk_database::ZKDatabase;
use crate::server::zookeeper_server::ZooKeeperServer;
use crate::util::lock_rank::{Rank, RankedCondvar, RankedMutex};
use crate::util::sleeper::Sleeper;

/// The logger's name in Java.
pub(super) const LOG: &str = "org.apache.zookeeper.server.quorum.Learner";

/// Java's default of `zookeeper.leaderConnectDelayDuringRetryMs`.
const CONNECT_RETRY_DELAY_MS: i64 = 100;

/// What a learner is told once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LearnerSettings {
    /// The length of a tick, ms.
    pub tick_time_ms: i32,
    /// How long it may take to connect and to take over the history.
    pub init_limit_ticks: i32,
    /// How long a leader may be silent after that.
    pub sync_limit_ticks: i32,
    /// How long to try to connect; 0 means `init_limit_ticks`.
    pub connect_to_learner_master_limit_ticks: i32,
    /// Whether an observer writes logs and snapshots.
    pub sync_enabled: bool,
    /// Whether sessions may be known to one server only.
    pub local_sessions_enabled: bool,
    /// Whether the membership may change.
    pub reconfig_enabled: bool,
}

impl LearnerSettings {
    const fn ticks_ms(&self, ticks: i32) -> i64 {
        self.tick_time_ms as i64 * ticks as i64
    }
}

/// What a learner asks of the peer whose role it is.
pub trait LearnerPeer: Send + Sync {
    /// Its id.
    fn my_id(&self) -> Sid;

    /// Its settings.
    fn learner_settings(&self) -> LearnerSettings;

    /// Everything else that was set.
    fn properties(&self) -> &SystemProperties;

    /// The clock.
    fn clock(&self) -> &Clock;

    /// Metrics.
    fn metrics(&self) -> &Arc<ServerMetrics>;

    /// The tree and its files, which outlive the role.
    fn database(&self) -> &Arc<ZKDatabase>;

    /// The longest lengths that are believed.
    fn limits(&self) -> Limits;

    /// Whether it is to go on.
    fn is_running(&self) -> bool;

    /// Notes how far it is.
    fn set_zab_state(&self, state: ZabState);

    /// Notes how it takes over the history.
    fn set_sync_mode(&self, mode: SyncMode);

    /// Whom it has voted for, with addresses that were looked up now; none when that is no member.
    fn elected_leader(&self) -> Option<QuorumServer>;

    /// Notes who leads, for those who ask.
    fn set_leader_address_and_id(&self, address: Option<String>, id: Option<Sid>);

    /// The version of the ensemble's configuration that is in effect here.
    fn config_version(&self) -> i64;

    /// A configuration was proposed: it is kept, also on disk (Java: setLastSeenQuorumVerifier).
    ///
    /// # Errors
    /// When it is none.
    fn propose_config(&self, text: &str) -> Result<(), ConfigError>;

    /// A configuration takes effect (Java: processReconfig): whether an election has to follow.
    ///
    /// # Errors
    /// When it is none.
    fn activate_config(
        &self,
        text: &str,
        suggested_leader: Option<Sid>,
        zxid: Option<Zxid>,
    ) -> Result<bool, ConfigError>;

    /// Whether the role has changed by a new configuration (Java: isReconfigStateChange).
    fn is_reconfig_state_change(&self) -> bool;

    /// Puts the configuration into its node of the tree.
    fn init_config_in_zk_database(&self);

    /// Its vote is of that epoch now.
    fn update_election_vote(&self, epoch: PeerEpoch);

    /// The epoch whose history is on disk here.
    fn current_epoch(&self) -> PeerEpoch;

    /// The history of that epoch is on disk here: it is noted on disk when this returns.
    ///
    /// # Errors
    /// When it cannot be noted.
    fn set_current_epoch(&self, epoch: PeerEpoch) -> io::Result<()>;

    /// The epoch that it has promised to follow.
    fn accepted_epoch(&self) -> PeerEpoch;

    /// Promises to follow no older epoch: on disk when this returns.
    ///
    /// # Errors
    /// When it cannot be noted; then it was not promised.
    fn set_accepted_epoch(&self, epoch: PeerEpoch) -> io::Result<()>;

    /// The last transaction that it has.
    ///
    /// # Errors
    /// When the data cannot be loaded.
    fn last_logged_zxid(&self) -> io::Result<Zxid>;

    /// Clients and commands talk to that server, or to none.
    fn set_active_server(&self, server: Option<&Arc<ZooKeeperServer>>);

    /// Closes the connections of all clients.
    fn close_all_connections(&self);

    /// A server of that role over the shared database.
    fn new_server(&self, role: Arc<dyn ServerRole>) -> Arc<ZooKeeperServer>;

    /// Has the process end.
    fn request_exit(&self, exit_code: ExitCode);

    /// The request that must go before this one, for a local session (Java: checkUpgradeSession).
    ///
    /// # Errors
    /// Why this one is refused.
    fn check_upgrade_session(
        &self,
        tracker: &dyn UpgradeableSessionTracker,
        request: &Request,
    ) -> Result<Option<Box<Request>>, KeeperError>;

    /// Appends what `conf` shows of a member.
    fn dump_conf(&self, out: &mut String);

    /// Whether that leader and other voters make a quorum without this member.
    fn is_spare(&self, leader: Sid) -> bool;

    /// How many members vote.
    fn quorum_size(&self) -> usize;

    /// What the AdminServer asks of a member.
    fn ensemble(&self) -> &dyn EnsembleContext;

    /// The state and the phase as `mntr` shows them.
    fn detailed_peer_state(&self) -> String;
}

/// Why a learner does not follow its leader any more. The peer looks for a leader again.
#[derive(Debug, Error)]
pub enum LearnerError {
    /// Somebody was elected who is no member.
    #[error("Couldn't find the leader")]
    NoLeader,
    /// No host name of the leader has an address.
    #[error("no address of the leader {0} can be looked up")]
    Unresolved(String),
    /// It cannot be reached.
    #[error("{0}")]
    Connect(io::Error),
    /// The system refuses something.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The connection has ended, or carries what is no packet.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// The leader does not introduce itself.
    #[error("First packet should have been NEWLEADER, and is of type {0}")]
    FirstPacket(i32),
    /// A packet without what belongs to it.
    #[error("a packet of type {packet_type} with zxid {zxid} lacks its data")]
    NoData {
        /// Its type.
        packet_type: i32,
        /// Its zxid.
        zxid: Zxid,
    },
    /// A leader from the past.
    #[error("Leaders epoch, {leader} is less than accepted epoch, {accepted}")]
    OldEpoch {
        /// The leader's.
        leader: PeerEpoch,
        /// What was promised.
        accepted: PeerEpoch,
    },
    /// A transaction that cannot be decoded.
    #[error("the transaction with zxid {zxid} cannot be read: {source}")]
    Txn {
        /// The packet's zxid.
        zxid: Zxid,
        /// What is wrong with it.
        source: InputError,
    },
    /// Transactions are missing.
    #[error("got proposal {zxid}, last queued {last}, expected {}", last.next())]
    Discontinuous {
        /// What has come.
        zxid: Zxid,
        /// What is here.
        last: Zxid,
    },
    /// A commit of something else than the next proposal.
    #[error("Committing zxid {zxid} but next pending txn {}", pending.map_or_else(|| "none".into(), |zxid| zxid.to_string()))]
    Unmatched {
        /// What is committed.
        zxid: Zxid,
        /// What would be next.
        pending: Option<Zxid>,
    },
    /// Neither DIFF nor TRUNC nor SNAP.
    #[error("Got unexpected packet from leader: type {packet_type}, zxid {zxid}")]
    Unexpected {
        /// Its type.
        packet_type: i32,
        /// Its zxid.
        zxid: Zxid,
    },
    /// The leader's tree is none.
    #[error("the leader's snapshot cannot be read: {0}")]
    LeaderSnapshot(InputError),
    /// The leader's tree does not end as it must.
    #[error("Missing signature. Got {0:?}")]
    Signature(Option<String>),
    /// The history cannot be cut.
    #[error("Not able to truncate the log to {zxid}: {source}")]
    Truncate {
        /// Where to.
        zxid: Zxid,
        /// Why not.
        source: RestoreError,
    },
    /// What is on disk ends before the place at which it was to be cut.
    #[error(
        "the history on disk ends at {found}, and the leader cuts it at {zxid}: what is between is missing"
    )]
    TooShort {
        /// Where to.
        zxid: Zxid,
        /// What there is.
        found: Zxid,
    },
    /// The tree cannot be saved.
    #[error(transparent)]
    Snapshot(#[from] SnapError),
    /// The log cannot be written.
    #[error(transparent)]
    Log(#[from] TxnLogError),
    /// A configuration of the ensemble that is none.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Another role, or another leader, by a new configuration.
    #[error("changes proposed in reconfig")]
    Reconfig,
    /// Somebody ends it.
    #[error("the learner is shutting down")]
    Stopped,
}

impl LearnerError {
    pub(super) const fn io(what: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }
}

#[derive(Default)]
struct Life {
    /// Who lives it.
    runner: Option<ThreadId>,
    closed: bool,
    /// The server serves, or did.
    started: bool,
    /// What is in memory is not on disk: it must be read again from there.
    unsaved: bool,
    torn_down: bool,
}

/// A follower or an observer, as far as they are the same.
pub(super) struct Learner {
    peer: Arc<dyn LearnerPeer>,
    link: Arc<LeaderLink>,
    role: Arc<LearnerRole>,
    server: Arc<ZooKeeperServer>,
    sleeper: Arc<Sleeper>,
    life: RankedMutex<Life>,
    ended: RankedCondvar,
}

impl Learner {
    pub(super) fn new(peer: Arc<dyn LearnerPeer>, state_name: &'static str) -> Self {
        let link = LeaderLink::new();
        let role = LearnerRole::new(Arc::clone(&peer), Arc::clone(&link), state_name);
        let server = peer.new_server(Arc::clone(&role) as _);
        Self {
            link,
            role,
            server,
            sleeper: Arc::new(Sleeper::new(Arc::clone(peer.clock()))),
            peer,
            life: RankedMutex::new(Rank::Role, "life of a learner", Life::default()),
            ended: RankedCondvar::new(),
        }
    }

    pub(super) fn peer(&self) -> &Arc<dyn LearnerPeer> {
        &self.peer
    }

    pub(super) const fn link(&self) -> &Arc<LeaderLink> {
        &self.link
    }

    pub(super) const fn role(&self) -> &Arc<LearnerRole> {
        &self.role
    }

    pub(super) const fn zookeeper_server(&self) -> &Arc<ZooKeeperServer> {
        &self.server
    }

    /// Lives, unless it was ended before. When this returns nothing of the learner works on this thread any more.
    pub(super) fn live(
        &self,
        follow: impl FnOnce() -> Result<(), LearnerError>,
    ) -> Result<(), LearnerError> {
        {
            let mut life = self.life.lock();
            if life.closed {
                return Err(LearnerError::Stopped);
            }
            life.runner = Some(thread::current().id());
        }
        let _leaves = Leaves(self);
        follow()
    }

    /// Whether it is to go on.
    pub(super) fn is_running(&self) -> bool {
        self.peer.is_running() && !self.life.lock().closed
    }

    /// The server that was elected (Java: findLeader).
    pub(super) fn find_leader(&self) -> Result<QuorumServer, LearnerError> {
        self.peer.elected_leader().ok_or(LearnerError::NoLeader)
    }

    /// Connects to the leader (Java: connectToLeader).
    pub(super) fn connect_to_leader(
        &self,
        leader: &QuorumServer,
    ) -> Result<LeaderInput, LearnerError> {
        let settings = self.peer.learner_settings();
        let properties = self.peer.properties();
        let resolved = leader.addresses.iter().filter_map(InetSocketAddress::socket_address);
        let addresses: Vec<SocketAddr> = resolved.collect();
        if addresses.is_empty() {
            return Err(LearnerError::Unresolved(address_text(leader)));
        }
        let limit = match settings.connect_to_learner_master_limit_ticks {
            limit if limit > 0 => limit,
            _ => settings.init_limit_ticks,
        };
        let connect_settings = ConnectSettings {
            timeout_ms: settings.ticks_ms(limit),
            retry_delay_ms: properties
                .number_or("zookeeper.leaderConnectDelayDuringRetryMs", CONNECT_RETRY_DELAY_MS),
            nodelay: properties.bool_or("follower.nodelay", true),
        };
        let clock = self.peer.clock();
        let stream = leader_connector::connect(&addresses, connect_settings, clock, &self.sleeper)
            .map_err(LearnerError::Connect)?;
        let output = stream.try_clone().map_err(LearnerError::io("cannot use the connection"))?;
        let input = LeaderInput::new(stream, self.peer.limits());
        input
            .set_timeout(settings.ticks_ms(settings.init_limit_ticks))
            .map_err(LearnerError::io("cannot limit the time to read"))?;
        let life = self.life.lock();
        if life.closed {
            return Err(LearnerError::Stopped);
        }
        // Under the lock: whoever ends the learner closes it.
        self.link.open(output).map_err(LearnerError::io("cannot start the sender"))?;
        Ok(input)
    }

    /// The next packet, for which the learner waits when it has sent everything it has to say.
    fn packet(&self, input: &mut LeaderInput) -> Result<QuorumPacket, LearnerError> {
        Ok(input.packet(&mut || {
            self.link.flush();
            None
        })?)
    }

    /// Introduces itself and takes the leader's epoch (Java: registerWithLeader); returns where that epoch begins.
    ///
    /// # Errors
    /// Also when the epoch is older than one that was promised, or the promise cannot be kept on disk.
    pub(super) fn register_with_leader(
        &self,
        input: &mut LeaderInput,
        packet_type: PacketType,
    ) -> Result<Zxid, LearnerError> {
        let io = LearnerError::io;
        let last = self.history_to_tell().map_err(io("cannot load the history"))?;
        let info = LearnerInfo {
            serverid: self.peer.my_id(),
            protocol_version: PROTOCOL_VERSION,
            config_version: self.peer.config_version(),
        };
        self.link.queue(&greeting(packet_type, self.peer.accepted_epoch(), &info));
        let packet = self.packet(input)?;
        let epoch = packet.zxid.peer_epoch();
        let accepted = self.peer.accepted_epoch();
        let promise = || self.peer.set_accepted_epoch(epoch).map_err(io("cannot note the epoch"));
        match packet.packet_type() {
            Some(PacketType::LeaderInfo) => {}
            // A leader from before 3.4.
            Some(PacketType::NewLeader) => {
                if epoch > accepted {
                    promise()?;
                }
                return Ok(packet.zxid);
            }
            _ => return Err(LearnerError::FirstPacket(packet.r#type)),
        }
        if epoch < accepted {
            return Err(LearnerError::OldEpoch { leader: epoch, accepted });
        }
        let answer = if epoch > accepted {
            let current = self.peer.current_epoch();
            // Before it is promised to anybody else.
            promise()?;
            // As in Java: an epoch has 32 bits in a zxid.
            i32::try_from(current.0).unwrap_or(i32::MAX)
        } else {
            // Promised before, perhaps to another leader of that epoch: this one must not count it.
            -1
        };
        let data = Some(answer.to_be_bytes().to_vec());
        self.link.queue(&QuorumPacket::new(PacketType::AckEpoch, last, data));
        self.link.flush();
        Ok(Zxid::start_of(epoch))
    }

    /// The last transaction, as the leader is told of it: none at all where its tree is needed, which is what a leader of any
    /// version then sends.
    ///
    /// Ephemeral nodes of sessions that nobody knows are such a case: a Java leader deletes them in its own tree alone, and a
    /// DIFF would leave them here (ZOOKEEPER-5010).
    fn history_to_tell(&self) -> io::Result<Zxid> {
        let last = self.peer.last_logged_zxid()?;
        let database = self.peer.database();
        let dead = database.dead_sessions();
        if last == Zxid::NONE || dead.is_empty() && !database.needs_leaders_tree() {
            return Ok(last);
        }
        warn!(
            target: LOG,
            "asking the leader for its tree in the place of what follows {last}: sessions {dead:?} are unknown and have \
             ephemeral nodes, or the history here could not be cut"
        );
        Ok(Zxid::ZERO)
    }

    /// Sleeps; false when the end has come meanwhile.
    pub(super) fn sleep(&self, ms: i64) -> bool {
        self.sleeper.sleep_until(self.peer.clock().elapsed_ms() + ms)
    }

    /// Starts serving, unless the end has come meanwhile.
    pub(super) fn start<T>(
        &self,
        build: impl FnOnce() -> io::Result<T>,
    ) -> Result<T, LearnerError> {
        let mut life = self.life.lock();
        if life.closed {
            return Err(LearnerError::Stopped);
        }
        let built = build().map_err(LearnerError::io("cannot start serving"))?;
        life.started = true;
        Ok(built)
    }

    /// Whether what is in memory could be lost with it, and must be read from disk again when the learner ends now.
    fn set_unsaved(&self, unsaved: bool) {
        self.life.lock().unsaved = unsaved;
    }

    /// The log did not take what must be on it: nothing in memory counts any more, and the process ends.
    fn log_has_failed(&self, problem: &TxnLogError) {
        error!(target: LOG, "Severe unrecoverable error, the transaction log cannot be written: {problem}");
        self.set_unsaved(true);
        self.peer.request_exit(ExitCode::UnexpectedError);
    }

    /// The connection is over: nobody answers questions any more.
    fn disconnect(&self) {
        let start_ms = self.peer.clock().elapsed_ms();
        self.link.close();
        self.link.forget_questions();
        let elapsed_ms = self.peer.clock().elapsed_ms() - start_ms;
        self.peer.metrics().socket_closing_time.add(elapsed_ms);
    }

    /// Answers a PING with the sessions that were touched since the last one (Java: ping).
    pub(super) fn answer_ping(&self, packet: &QuorumPacket) {
        let touched = self.role.tracker().map(|tracker| tracker.snapshot()).unwrap_or_default();
        self.link.queue_ping(packet, &touched);
    }

    /// The leader says whether a session lives (Java: revalidate).
    pub(super) fn revalidate(&self, packet: &QuorumPacket) {
        if let Some((cnxn, valid)) = self.link.revalidated(packet.data.as_deref()) {
            self.server.finish_session_init(&cnxn, valid);
        }
    }

    /// Says what has become of the connection.
    pub(super) fn log_disconnect(&self, leader: &QuorumServer, connected_ms: i64, synced: bool) {
        info!(
            target: LOG,
            "Disconnected from leader (with address: {}). Was connected for {}ms. Sync state: {synced}",
            address_text(leader),
            self.peer.clock().elapsed_ms() - connected_ms
        );
    }

    /// Ends it, whoever calls: clients, the connection to the leader, the server with its threads (Java: shutdown). Then
    /// the tree gets what is in the log and was not committed, since an election is about what is on disk. A second call
    /// waits for the first.
    pub(super) fn shutdown(&self) {
        let me = thread::current().id();
        {
            let mut life = self.life.lock();
            life.closed = true;
        }
        self.sleeper.stop();
        self.peer.set_active_server(None);
        self.peer.close_all_connections();
        self.disconnect();
        let mut life = self.life.lock();
        while life.runner.is_some_and(|runner| runner != me) {
            self.ended.wait(&mut life);
        }
        if std::mem::replace(&mut life.torn_down, true) {
            return;
        }
        let (started, unsaved) = (life.started, life.unsaved);
        // Held: whoever ends it, too, waits for this.
        self.server.shutdown();
        if unsaved {
            info!(target: LOG, "what is in memory is not on disk: it is loaded again");
            self.peer.database().clear();
        } else if started && self.role.writes_log() {
            self.fast_forward();
        }
    }

    /// Java: the end of ZooKeeperServer.shutdown.
    fn fast_forward(&self) {
        if let Err(problem) = self.peer.database().fast_forward_data_base() {
            warn!(target: LOG, "Error updating DB: {problem}");
            self.peer.database().clear();
        }
    }
}

/// Notes that the learner's thread has left it, however it does.
struct Leaves<'a>(&'a Learner);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.disconnect();
        self.0.life.lock().runner = None;
        self.0.ended.notify_all();
    }
}

/// A server's addresses, as in the log.
pub(super) fn address_text(server: &QuorumServer) -> String {
    let addresses: Vec<String> =
        server.addresses.iter().map(|one| format!("{}:{}", one.host, one.port)).collect();
    addresses.join("|")
}

/// A server's hosts, as the AdminServer shows them.
pub(super) fn hosts_text(server: &QuorumServer) -> String {
    let hosts: Vec<&str> = server.addresses.iter().map(|one| one.host.as_str()).collect();
    hosts.join("|")
}
