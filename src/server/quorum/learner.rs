//! The common part of followers and observers: they find their leader, register with it, and sync with its history
//! (Java: server/quorum/Learner.java).
//!
//! Threads: A learner runs on the peer's thread; any other thread may shut it down. Locks: `Role`, for start and
//! shutdown. It ensures that no server starts for a learner that has ended, and that the tree is cleaned up only when
//! no thread works on it any more.
//!
//! Its parts: `leader_connector` connects, `leader_input` reads from the connection, `sync_with_leader` takes over the
//! history, `request_forwarder` forwards the requests of clients. It writes to the connection through a `LeaderLink`.
//!
//! Differs from Java: The peer is accessed through a trait, so that a test can drive a learner.
//! `learner.asyncSending` and `learner.closeSocketAsync` have no effect, since no thread here waits for the leader to
//! read or for a socket to close. Reachability is not checked before connecting, since all addresses are tried at
//! once.
//!
//! Elsewhere: writePacket, writePacketNow, request and validateSession are in `leader_link`; enforceContinuousProposal
//! is `queue` in `learner/sync_with_leader`.

mod leader_connector;
pub(in crate::server::quorum) mod leader_input;
pub(in crate::server::quorum) mod learner_txn;
pub(in crate::server::quorum) mod log_pace;
pub(in crate::server::quorum) mod request_forwarder;
pub(in crate::server::quorum) mod request_shape;
mod sync_with_leader;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, ThreadId};

use log::{error, info, warn};
use thiserror::Error;

use self::leader_connector::ConnectSettings;
use self::leader_input::LeaderInput;
pub(in crate::server::quorum) use self::sync_with_leader::{Synced, suggested_leader};
use super::flexible::quorum_verifier::QuorumVerifier;
use super::leader_link::{LeaderLink, greeting};
use super::learner_info::{LearnerInfo, PROTOCOL_VERSION};
use super::learner_zookeeper_server::LearnerRole;
use super::quorum_packet::{PacketError, PacketType, QuorumPacket};
use super::quorum_server::QuorumServer;
use super::role_peer::RolePeer;
use super::states::{SyncMode, ZabState};
use crate::common::config_exception::ConfigError;
use crate::common::net_utils::InetSocketAddress;
use crate::ids::{PeerEpoch, Sid, Zxid};
use crate::jute::InputError;
use crate::server::exit_code::ExitCode;
use crate::server::persistence::file_txn_snap_log::RestoreError;
use crate::server::persistence::snap_shot::SnapError;
use crate::server::persistence::txn_log::TxnLogError;
use crate::server::zookeeper_server::ZooKeeperServer;
use crate::util::lock_rank::{Rank, RankedCondvar, RankedMutex};
use crate::util::sleeper::Sleeper;

/// The logger's name in Java.
pub(super) const LOG: &str = "org.apache.zookeeper.server.quorum.Learner";

/// Java's default of `zookeeper.leaderConnectDelayDuringRetryMs`.
const CONNECT_RETRY_DELAY_MS: i64 = 100;

/// The peer that a learner belongs to.
pub trait LearnerPeer: RolePeer {
    /// Sets how the history is taken over.
    fn set_sync_mode(&self, mode: SyncMode);

    /// The server that this peer voted for, with freshly resolved addresses; `None` if it is not a member.
    fn elected_leader(&self) -> Option<QuorumServer>;

    /// The version of the configuration in effect.
    fn config_version(&self) -> i64;

    /// Records a proposed configuration, also on disk (Java: setLastSeenQuorumVerifier).
    ///
    /// # Errors
    /// When the text is not a valid configuration.
    fn propose_config(&self, text: &str) -> Result<(), ConfigError>;

    /// Puts a configuration into effect (Java: processReconfig). Returns whether an election must follow.
    ///
    /// # Errors
    /// When the text is not a valid configuration.
    fn activate_config(
        &self,
        text: &str,
        suggested_leader: Option<Sid>,
        zxid: Option<Zxid>,
    ) -> Result<bool, ConfigError>;

    /// Whether a new configuration has changed the role (Java: isReconfigStateChange).
    fn is_reconfig_state_change(&self) -> bool;

    /// Writes the configuration into its znode.
    fn init_config_in_zk_database(&self);

    /// The last zxid of the history.
    ///
    /// # Errors
    /// When the data cannot be loaded.
    fn last_logged_zxid(&self) -> io::Result<Zxid>;

    /// Requests the end of the process.
    fn request_exit(&self, exit_code: ExitCode);

    /// Whether that leader and other voters form a quorum without this member.
    fn is_spare(&self, leader: Sid) -> bool;

    /// The addresses of this member for other servers.
    fn quorum_addresses(&self) -> Vec<InetSocketAddress>;

    /// The current tick. Only a leader counts ticks.
    fn tick(&self) -> i32;

    /// The configuration in effect, and the one that was seen last.
    fn verifiers(&self) -> (Arc<dyn QuorumVerifier>, Option<Arc<dyn QuorumVerifier>>);

    /// The observer master to try next (Java: findLearnerMaster). `None` if observers of this ensemble follow the
    /// leader.
    fn next_observer_master(&self) -> Option<NextMaster>;

    /// Takes the observer master that an operator has asked for, if it is still one (Java: nextLearnerMaster).
    fn requested_learner_master(&self) -> Option<QuorumServer>;

    /// Whether an operator has asked for another observer master.
    fn is_learner_master_requested(&self) -> bool;

    /// Records the server that this observer follows, if any (Java: currentLearnerMaster).
    fn set_current_learner_master(&self, master: Option<&QuorumServer>);
}

/// A server for an observer to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextMaster {
    /// The server, with its observer master's port.
    pub server: QuorumServer,
    /// All servers were tried, and a new round begins.
    pub begins_round: bool,
}

/// Why a learner stops following its leader. The peer then looks for a leader again.
#[derive(Debug, Error)]
pub enum LearnerError {
    /// The elected server is not a member.
    #[error("Couldn't find the leader")]
    NoLeader,
    /// None of the leader's host names resolves.
    #[error("no address of the leader {0} can be looked up")]
    Unresolved(String),
    /// The leader cannot be reached.
    #[error("{0}")]
    Connect(io::Error),
    /// A system call failed.
    #[error("{what}: {source}")]
    Io {
        /// The attempted action.
        what: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// The connection has ended, or a packet is malformed.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// The leader's first packet has the wrong type.
    #[error("First packet should have been NEWLEADER, and is of type {0}")]
    FirstPacket(i32),
    /// A packet lacks its data.
    #[error("a packet of type {packet_type} with zxid {zxid} lacks its data")]
    NoData {
        /// Its type.
        packet_type: i32,
        /// Its zxid.
        zxid: Zxid,
    },
    /// The leader's epoch is older than the accepted one.
    #[error("Leaders epoch, {leader} is less than accepted epoch, {accepted}")]
    OldEpoch {
        /// The leader's epoch.
        leader: PeerEpoch,
        /// The accepted epoch.
        accepted: PeerEpoch,
    },
    /// A transaction that cannot be decoded.
    #[error("the transaction with zxid {zxid} cannot be read: {source}")]
    Txn {
        /// The packet's zxid.
        zxid: Zxid,
        /// The error.
        source: InputError,
    },
    /// Transactions are missing.
    #[error("got proposal {zxid}, last queued {last}, expected {}", last.next())]
    Discontinuous {
        /// The zxid of the received proposal.
        zxid: Zxid,
        /// The last zxid before it.
        last: Zxid,
    },
    /// A commit does not match the next proposal.
    #[error("Committing zxid {zxid} but next pending txn {}", pending.map_or_else(|| "none".into(), |zxid| zxid.to_string()))]
    Unmatched {
        /// The committed zxid.
        zxid: Zxid,
        /// The zxid of the next proposal.
        pending: Option<Zxid>,
    },
    /// The first packet is neither DIFF nor TRUNC nor SNAP.
    #[error("Got unexpected packet from leader: type {packet_type}, zxid {zxid}")]
    Unexpected {
        /// Its type.
        packet_type: i32,
        /// Its zxid.
        zxid: Zxid,
    },
    /// The leader's snapshot is malformed.
    #[error("the leader's snapshot cannot be read: {0}")]
    LeaderSnapshot(InputError),
    /// The leader's snapshot has no valid signature.
    #[error("Missing signature. Got {0:?}")]
    Signature(Option<String>),
    /// The log cannot be truncated.
    #[error("Not able to truncate the log to {zxid}: {source}")]
    Truncate {
        /// The zxid to truncate to.
        zxid: Zxid,
        /// The error.
        source: RestoreError,
    },
    /// The history on disk ends before the zxid to truncate to.
    #[error(
        "the history on disk ends at {found}, and the leader cuts it at {zxid}: what is between is missing"
    )]
    TooShort {
        /// The zxid to truncate to.
        zxid: Zxid,
        /// The last zxid on disk.
        found: Zxid,
    },
    /// The snapshot cannot be written.
    #[error(transparent)]
    Snapshot(#[from] SnapError),
    /// The log cannot be written.
    #[error(transparent)]
    Log(#[from] TxnLogError),
    /// The configuration is invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A new configuration changes the role or the leader.
    #[error("changes proposed in reconfig")]
    Reconfig,
    /// An operator has asked for another observer master.
    #[error("moving to another learner master, as requested")]
    OtherMaster,
    /// The learner is shut down.
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
    /// The thread that runs the learner.
    runner: Option<ThreadId>,
    closed: bool,
    /// The server is serving, or was.
    started: bool,
    /// The tree in memory is not on disk, so it must be loaded from disk again.
    unsaved: bool,
    torn_down: bool,
}

/// The common part of a follower and an observer.
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
        let role = LearnerRole::new(Arc::clone(&peer) as _, Arc::clone(&link), state_name);
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

    /// Runs the learner, unless it was shut down before. When this returns, this thread no longer works for the
    /// learner.
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

    /// Reads the next packet. Before it waits for one, it flushes the link.
    fn read_packet(&self, input: &mut LeaderInput) -> Result<QuorumPacket, LearnerError> {
        Ok(input.read_packet(&mut || {
            self.link.flush();
            None
        })?)
    }

    /// Returns the elected server (Java: findLeader).
    pub(super) fn find_leader(&self) -> Result<QuorumServer, LearnerError> {
        self.peer.elected_leader().ok_or(LearnerError::NoLeader)
    }

    /// Connects to the leader (Java: connectToLeader).
    pub(super) fn connect_to_leader(
        &self,
        leader: &QuorumServer,
    ) -> Result<LeaderInput, LearnerError> {
        let settings = self.peer.settings();
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
        // Open the link under the lock, so that a concurrent shutdown closes it.
        self.link.open(output).map_err(LearnerError::io("cannot start the sender"))?;
        Ok(input)
    }

    /// Registers with the leader and accepts its epoch (Java: registerWithLeader). Returns the start of that epoch.
    ///
    /// # Errors
    /// Also when the epoch is older than the accepted one, or the promise cannot be written to disk.
    fn register_with_leader(
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
        let packet = self.read_packet(input)?;
        let epoch = packet.zxid.peer_epoch();
        let accepted = self.peer.accepted_epoch();
        let promise = || {
            let promised = self.peer.set_accepted_epoch(epoch).map_err(io::Error::other);
            promised.map_err(io("cannot note the epoch"))
        };
        match packet.packet_type() {
            Some(PacketType::LeaderInfo) => {}
            // A leader before 3.4.
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
            // The promise must be on disk before the leader is told.
            promise()?;
            // As in Java: a zxid has 32 bits for the epoch.
            i32::try_from(current.0).unwrap_or(i32::MAX)
        } else {
            // The epoch was accepted before, perhaps from another leader, so this leader must not count it.
            -1
        };
        let data = Some(answer.to_be_bytes().to_vec());
        self.link.queue(&QuorumPacket::new(PacketType::AckEpoch, last, data));
        self.link.flush();
        Ok(Zxid::start_of(epoch))
    }

    /// Registers with the leader, unless this server has a new configuration meanwhile (Java: the beginning of
    /// followLeader and observeLeader). Returns the start of the leader's epoch.
    ///
    /// # Errors
    /// As [`register_with_leader`](Self::register_with_leader).
    pub(super) fn discover(
        &self,
        input: &mut LeaderInput,
        packet_type: PacketType,
    ) -> Result<Zxid, LearnerError> {
        let zxid = self.register_with_leader(input, packet_type)?;
        if self.peer.is_reconfig_state_change() {
            return Err(LearnerError::Reconfig);
        }
        Ok(zxid)
    }

    /// Takes over the history of the leader whose epoch begins with `zxid` (Java: the next part of the two).
    ///
    /// # Errors
    /// As `sync_with_leader`.
    pub(super) fn synchronize(
        &self,
        leader: &QuorumServer,
        input: &mut LeaderInput,
        zxid: Zxid,
    ) -> Result<Synced, LearnerError> {
        self.peer.set_leader_address_and_id(Some(hosts_text(leader)), Some(leader.id));
        self.peer.set_zab_state(ZabState::Synchronization);
        self.sync_with_leader(input, zxid)
    }

    /// The last zxid that the learner reports to the leader. It is zero if the learner needs the leader's tree: a
    /// leader of any version then sends a snapshot.
    ///
    /// The tree is needed, for example, if ephemeral nodes of unknown sessions exist. A Java leader deletes these in
    /// its own tree only, and a DIFF would leave them here (ZOOKEEPER-5010).
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

    /// Sleeps; false if the learner was shut down meanwhile.
    pub(super) fn sleep(&self, ms: i64) -> bool {
        self.sleeper.sleep_until(self.peer.clock().elapsed_ms() + ms)
    }

    /// Starts to serve, unless the learner was shut down meanwhile.
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

    /// Sets whether memory holds data that is not on disk, so that a shutdown must load the data from disk again.
    fn set_unsaved(&self, unsaved: bool) {
        self.life.lock().unsaved = unsaved;
    }

    /// The log could not be written: nothing in memory counts any more, and the process ends.
    fn log_has_failed(&self, problem: &TxnLogError) {
        error!(target: LOG, "Severe unrecoverable error, the transaction log cannot be written: {problem}");
        self.set_unsaved(true);
        self.peer.request_exit(ExitCode::UnexpectedError);
    }

    /// Handles the leader's answer whether a session is alive (Java: revalidate).
    pub(super) fn revalidate(&self, packet: &QuorumPacket) {
        if let Some((cnxn, valid)) = self.link.revalidated(packet.data.as_deref()) {
            self.server.finish_session_init(&cnxn, valid);
        }
    }

    /// Logs the end of the connection.
    pub(super) fn log_disconnect(&self, leader: &QuorumServer, connected_ms: i64, synced: bool) {
        info!(
            target: LOG,
            "Disconnected from leader (with address: {}). Was connected for {}ms. Sync state: {synced}",
            address_text(leader),
            self.peer.clock().elapsed_ms() - connected_ms
        );
    }

    /// Answers a PING with the sessions that were touched since the last one (Java: ping).
    pub(super) fn ping(&self, packet: &QuorumPacket) {
        let touched = self.role.tracker().map(|tracker| tracker.snapshot()).unwrap_or_default();
        self.link.queue_ping(packet, &touched);
    }

    /// Shuts the learner down, from any thread: client connections, the link to the leader, and the server with its
    /// threads (Java: shutdown). Then applies the transactions that are logged but not committed, since an election
    /// counts what is on disk. A second caller waits for the first.
    pub(super) fn shutdown(&self) {
        let me = thread::current().id();
        {
            let mut life = self.life.lock();
            life.closed = true;
        }
        self.sleeper.stop();
        self.peer.set_active_server(None);
        self.peer.close_all_connections();
        self.close_socket();
        let mut life = self.life.lock();
        while life.runner.is_some_and(|runner| runner != me) {
            self.ended.wait(&mut life);
        }
        if std::mem::replace(&mut life.torn_down, true) {
            return;
        }
        let (started, unsaved) = (life.started, life.unsaved);
        // The lock stays held, so that a second caller waits for this.
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

    /// Whether the learner should go on.
    pub(super) fn is_running(&self) -> bool {
        self.peer.is_running() && !self.life.lock().closed
    }

    /// Closes the connection and forgets the questions that the leader will not answer any more.
    fn close_socket(&self) {
        let start_ms = self.peer.clock().elapsed_ms();
        let was_open = self.link.close();
        self.link.forget_questions();
        if was_open {
            let elapsed_ms = self.peer.clock().elapsed_ms() - start_ms;
            self.peer.metrics().socket_closing_time.add(elapsed_ms);
        }
    }
}

/// Notes that the learner's thread has left it, in whatever way.
struct Leaves<'a>(&'a Learner);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.close_socket();
        self.0.life.lock().runner = None;
        self.0.ended.notify_all();
    }
}

/// The addresses of a server, in the format of the log.
pub(super) fn address_text(server: &QuorumServer) -> String {
    let addresses: Vec<String> =
        server.addresses.iter().map(|one| format!("{}:{}", one.host, one.port)).collect();
    addresses.join("|")
}

/// The hosts of a server, in the format of the AdminServer.
fn hosts_text(server: &QuorumServer) -> String {
    let hosts: Vec<&str> = server.addresses.iter().map(|one| one.host.as_str()).collect();
    hosts.join("|")
}
