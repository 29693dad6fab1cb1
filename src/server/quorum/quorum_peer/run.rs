//! The main loop of the peer: LOOKING, then FOLLOWING, LEADING or OBSERVING, and again (Java: start, run and shutdown
//! of server/quorum/QuorumPeer.java).
//!
//! Threads: `QuorumPeer[myid=N](plain=..)(secure=..)`. Locks: `Leaf`, held briefly; the role is cloned out of the
//! lock before it is used.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use log::{error, info, warn};

use super::{LOG, PeerLoadError, QuorumPeer};
use crate::common::net_utils;
use crate::common::time::Clock;
use crate::ids::Sid;
use crate::server::quorum::election::{Election, ElectionPeer};
use crate::server::quorum::fast_leader_election::FastLeaderElection;
use crate::server::quorum::flexible::quorum_verifier::QuorumVerifier;
use crate::server::quorum::follower::Follower;
use crate::server::quorum::leader::Leader;
use crate::server::quorum::observer::Observer;
use crate::server::quorum::quorum_cnx_manager::QuorumCnxManager;
use crate::server::quorum::read_only_zookeeper_server::ReadOnlyZooKeeperServer;
use crate::server::quorum::states::{LearnerType, ServerState};
use crate::server::quorum::vote::Vote;
use crate::server::server_cnxn_factory::ServerCnxnFactory;
use crate::server::zookeeper_critical_thread;
use crate::server::zookeeper_server::ZooKeeperServer;
use crate::server::zookeeper_thread;
use crate::util::lock_rank::{Rank, RankedMutex};
use crate::util::sleeper::Sleeper;
use crate::util::thread_name::ThreadName;

/// The current role of a member.
#[derive(Clone, Default)]
pub enum Role {
    /// The member looks for a leader.
    #[default]
    None,
    /// It follows, and votes.
    Follower(Arc<Follower>),
    /// It leads.
    Leader(Arc<Leader>),
    /// It follows, and does not vote.
    Observer(Arc<Observer>),
}

/// The running parts of a member.
pub(super) struct Machinery {
    election: RankedMutex<Option<Arc<FastLeaderElection>>>,
    cnx_manager: RankedMutex<Option<Arc<QuorumCnxManager>>>,
    /// Elections of old configurations, whose threads are ending.
    retired: RankedMutex<Vec<Arc<FastLeaderElection>>>,
    role: RankedMutex<Role>,
    thread: RankedMutex<Option<JoinHandle<()>>>,
    thread_name: ThreadName,
    /// Interrupted by a shutdown.
    sleeper: Sleeper,
}

impl Machinery {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            election: RankedMutex::new(Rank::Leaf, "election", None),
            cnx_manager: RankedMutex::new(Rank::Leaf, "connections of elections", None),
            retired: RankedMutex::new(Rank::Leaf, "elections of old configurations", Vec::new()),
            role: RankedMutex::new(Rank::Leaf, "role of the peer", Role::None),
            thread: RankedMutex::new(Rank::Leaf, "thread of the peer", None),
            thread_name: ThreadName::new(String::new()),
            sleeper: Sleeper::new(clock),
        }
    }

    /// Ends the election and its connections, and does not wait for their threads.
    pub(super) fn retire_election(&self) {
        let election = self.election.lock().take();
        // The election ends its connections.
        let _manager = self.cnx_manager.lock().take();
        let Some(election) = election else { return };
        election.stop();
        let mut retired = std::mem::take(&mut *self.retired.lock());
        retired.retain(|election| !election.has_ended());
        retired.push(election);
        self.retired.lock().append(&mut retired);
    }

    /// Connects at once to the members that are only in the new configuration.
    pub(super) fn connect_new_peers(
        &self,
        current: &dyn QuorumVerifier,
        last_seen: &dyn QuorumVerifier,
        my_id: Sid,
    ) {
        let Some(cnx_manager) = self.cnx_manager.lock().clone() else { return };
        let known = &current.members().servers;
        for sid in last_seen.members().servers.keys() {
            if *sid != my_id && !known.contains_key(sid) {
                cnx_manager.connect_one(*sid);
            }
        }
    }
}

/// Why a member does not start.
#[derive(Debug, thiserror::Error)]
pub enum PeerStartError {
    /// The configuration has no line for this server.
    #[error(
        "My id {0} not in the peer list: a line server.{0}=... is needed, or another number in the file myid"
    )]
    NotInView(Sid),
    /// Its data cannot be used.
    #[error("Unable to load database on disk: {0}")]
    Load(#[from] PeerLoadError),
    /// A thread or a socket cannot be created.
    #[error("cannot start: {0}")]
    Io(#[from] io::Error),
}

impl QuorumPeer {
    /// Starts the member: loads its data, listens for clients and starts to look for a leader (Java: start, with
    /// startServerCnxnFactory).
    ///
    /// # Errors
    /// When it is not a member, or its data cannot be used.
    pub fn start(self: &Arc<Self>) -> Result<(), PeerStartError> {
        if !self.view().contains_key(&self.my_id()) {
            return Err(PeerStartError::NotInView(self.my_id()));
        }
        self.load_data_base()?;
        if let Some(factory) = &self.parts.cnxn_factory {
            factory.start(&self.listener())?;
        }
        if let Err(problem) = self.parts.admin_server.start() {
            warn!(target: LOG, "Problem starting AdminServer: {problem}");
        }
        self.start_leader_election()?;
        self.update_thread_name();
        let this = Arc::clone(self);
        let thread =
            zookeeper_critical_thread::spawn(&self.thread_name(), self.listener(), move || {
                this.machinery.thread_name.assume();
                this.run();
                Ok::<(), io::Error>(())
            })?;
        *self.machinery.thread.lock() = Some(thread);
        Ok(())
    }

    /// The log shows the address at which the server listens for clients now.
    pub(super) fn update_thread_name(&self) {
        self.machinery.thread_name.set(self.thread_name());
    }

    fn thread_name(&self) -> String {
        let plain = self.parts.cnxn_factory.as_ref().map_or_else(
            || "disabled".to_owned(),
            |factory| {
                let address = factory.local_address();
                let host = net_utils::socket_host_address(address);
                format!("{}:{}", net_utils::delimited_host(&host), address.port())
            },
        );
        format!("QuorumPeer[myid={}](plain={plain})(secure=disabled)", self.my_id())
    }

    pub(super) fn start_leader_election(self: &Arc<Self>) -> Result<(), PeerStartError> {
        if self.peer_state() == ServerState::Looking {
            let last = self.last_logged_zxid()?;
            self.set_current_vote(Vote::new(self.my_id(), last, self.current_epoch()));
        }
        let old_election = self.machinery.election.lock().take();
        if let Some(election) = old_election {
            election.shutdown();
        }
        let old_manager = self.machinery.cnx_manager.lock().take();
        if let Some(manager) = old_manager {
            warn!(
                target: LOG,
                "Clobbering already-set QuorumCnxManager (restarting leader election?)"
            );
            manager.halt();
        }
        let peer: Arc<dyn ElectionPeer> = Arc::clone(self) as _;
        let manager = QuorumCnxManager::new(Arc::clone(&peer));
        manager.start()?;
        let election = FastLeaderElection::new(peer, Arc::clone(&manager));
        election.start()?;
        *self.machinery.cnx_manager.lock() = Some(manager);
        *self.machinery.election.lock() = Some(election);
        if !self.is_running() {
            // A shutdown may have looked for it before it was there.
            self.machinery.retire_election();
        }
        Ok(())
    }

    fn run(self: &Arc<Self>) {
        while self.is_running() {
            self.note_unavailable();
            match self.peer_state() {
                ServerState::Looking => self.look(),
                ServerState::Following => self.follow(),
                ServerState::Leading => self.lead(),
                ServerState::Observing => self.observe(),
            }
        }
        warn!(target: LOG, "QuorumPeer main thread exited");
    }

    fn note_unavailable(&self) {
        let now_ms = self.clock().elapsed_ms();
        self.state.lock().unavailable_since_ms.get_or_insert(now_ms);
    }

    fn look(self: &Arc<Self>) {
        info!(target: LOG, "LOOKING");
        self.metrics().looking_count.add(1);
        self.state.lock().reconfig_flag = false;
        if self.take_shutting_down_election()
            && let Err(problem) = self.start_leader_election()
        {
            error!(target: LOG, "no election can be held: {problem}");
            self.set_shutting_down_election();
            return self.pause();
        }
        let Some(election) = self.machinery.election.lock().clone() else { return };
        let read_only = self.start_read_only_server();
        let start_ms = self.clock().elapsed_ms();
        match election.look_for_leader() {
            Some(vote) => {
                self.set_current_vote(vote);
                self.set_election_time_taken_ms(self.clock().elapsed_ms() - start_ms);
            }
            None if self.is_running() => {
                // The election was interrupted, or the data cannot be read, so that there is nothing to vote for.
                let is_interrupted = self.peer_state() != ServerState::Looking;
                self.set_peer_state(ServerState::Looking);
                if !is_interrupted && !self.is_shutting_down_election() {
                    self.pause();
                }
            }
            None => {}
        }
        if let Some(read_only) = read_only {
            read_only.shutdown();
        }
    }

    /// With `readonlymode.enabled`, serves reads while there is no leader.
    fn start_read_only_server(self: &Arc<Self>) -> Option<Arc<ReadOnlyZooKeeperServer>> {
        if !self.settings().read_only_mode_enabled {
            return None;
        }
        ReadOnlyZooKeeperServer::start(Arc::clone(self) as _)
            .inspect_err(
                |problem| error!(target: LOG, "FAILED to start ReadOnlyZooKeeperServer: {problem}"),
            )
            .ok()
    }

    fn follow(self: &Arc<Self>) {
        info!(target: LOG, "FOLLOWING");
        let took_ms = self.note_election_time();
        info!(
            target: "org.apache.zookeeper.server.quorum.Follower",
            "FOLLOWING - LEADER ELECTION TOOK - {took_ms} MS"
        );
        let follower = Follower::new(self);
        if self.begin(Role::Follower(Arc::clone(&follower)))
            && let Err(problem) = follower.follow_leader()
        {
            warn!(target: LOG, "Exception when following the leader: {problem}");
        }
        follower.shutdown();
        self.end();
    }

    fn observe(self: &Arc<Self>) {
        info!(target: LOG, "OBSERVING");
        let observer = Observer::new(self);
        if self.begin(Role::Observer(Arc::clone(&observer)))
            && let Err(problem) = observer.observe_leader()
        {
            warn!(target: LOG, "Exception when observing the leader: {problem}");
        }
        observer.shutdown();
        self.end();
        if self.is_running() {
            observer.wait_for_observer_election_delay();
        }
    }

    fn lead(self: &Arc<Self>) {
        info!(target: LOG, "LEADING");
        self.note_election_time();
        match Leader::new(self) {
            Ok(leader) => {
                if self.begin(Role::Leader(Arc::clone(&leader)))
                    && let Err(problem) = leader.lead()
                {
                    warn!(target: LOG, "Unexpected exception while leading: {problem}");
                }
                leader.shutdown("Forcing shutdown");
            }
            Err(problem) => warn!(target: LOG, "cannot lead: {problem}"),
        }
        self.end();
    }

    fn note_election_time(&self) -> i64 {
        let took_ms = self.election_time_taken_ms();
        self.metrics().election_time.add(took_ms);
        took_ms
    }

    /// The previous role may be dropped here, which must not happen under the lock.
    fn set_role(&self, role: Role) {
        let before = std::mem::replace(&mut *self.machinery.role.lock(), role);
        drop(before);
    }

    /// Enters the role; false when the peer was shut down meanwhile.
    fn begin(&self, role: Role) -> bool {
        self.set_role(role);
        // A shutdown first clears `running` and then looks for a role to end.
        self.is_running()
    }

    /// Leaves the role. A new election follows, unless a reconfiguration determines the next role (Java:
    /// updateServerState).
    fn end(&self) {
        self.set_role(Role::None);
        let was_reconfig = std::mem::replace(&mut self.state.lock().reconfig_flag, false);
        if !was_reconfig {
            self.set_peer_state(ServerState::Looking);
            warn!(target: LOG, "PeerState set to LOOKING");
            return;
        }
        let leads = self.current_vote().is_some_and(|vote| vote.id == self.my_id());
        self.set_peer_state(match self.learner_type() {
            _ if leads => ServerState::Leading,
            LearnerType::Participant => ServerState::Following,
            LearnerType::Observer => ServerState::Observing,
        });
    }

    /// Waits for a tick before a retry.
    fn pause(&self) {
        let end_ms = self.clock().elapsed_ms() + i64::from(self.settings().tick_time_ms);
        let _stopped = self.machinery.sleeper.sleep_until(end_ms);
    }

    /// The current role.
    #[must_use]
    pub fn role(&self) -> Role {
        self.machinery.role.lock().clone()
    }

    /// The server of its role (Java: getActiveServer).
    #[must_use]
    pub fn active_server(&self) -> Option<Arc<ZooKeeperServer>> {
        match self.role() {
            Role::None => None,
            Role::Follower(follower) => Some(Arc::clone(follower.zookeeper_server())),
            Role::Leader(leader) => Some(Arc::clone(leader.zookeeper_server())),
            Role::Observer(observer) => Some(Arc::clone(observer.zookeeper_server())),
        }
    }

    /// Shuts the member down and joins its threads. Must not be called on the peer's own thread.
    pub fn shutdown(&self) {
        info!(target: LOG, "Shutting down");
        self.running.store(false, Ordering::Release);
        self.machinery.sleeper.stop();
        match self.role() {
            Role::None => {}
            Role::Follower(follower) => follower.shutdown(),
            Role::Leader(leader) => leader.shutdown("quorum Peer shutdown"),
            Role::Observer(observer) => observer.shutdown(),
        }
        if let Some(factory) = &self.parts.cnxn_factory {
            factory.shutdown();
        }
        self.parts.admin_server.shutdown();
        let election = self.machinery.election.lock().take();
        if let Some(election) = election {
            election.shutdown();
        }
        let manager = self.machinery.cnx_manager.lock().take();
        if let Some(manager) = manager {
            manager.halt();
        }
        let thread = self.machinery.thread.lock().take();
        if let Some(thread) = thread {
            zookeeper_thread::join(thread);
        }
        let retired = std::mem::take(&mut *self.machinery.retired.lock());
        retired.iter().for_each(|election| election.shutdown());
        if let Err(problem) = self.database().snap_log().close() {
            warn!(target: LOG, "Error closing logs: {problem}");
        }
    }
}
