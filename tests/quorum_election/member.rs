//! Servers in this process that only take part in elections.

#![allow(clippy::unwrap_used, reason = "a helper of tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use zookeeper_server::ids::{PeerEpoch, Sid, Zxid};
use zookeeper_server::internals::common::config_exception::{ConfigError, Place};
use zookeeper_server::internals::common::time::{Clock, SystemClock};
use zookeeper_server::internals::common::zk_config::SystemProperties;
use zookeeper_server::internals::server::exit_code::ExitCode;
use zookeeper_server::internals::server::quorum::election::{
    Election, ElectionAddresses, ElectionPeer, ElectionSettings,
};
use zookeeper_server::internals::server::quorum::fast_leader_election::FastLeaderElection;
use zookeeper_server::internals::server::quorum::flexible::create_quorum_verifier::from_members;
use zookeeper_server::internals::server::quorum::flexible::quorum_members::QuorumMembers;
use zookeeper_server::internals::server::quorum::flexible::quorum_verifier::QuorumVerifier;
use zookeeper_server::internals::server::quorum::multiple_addresses::{
    DEFAULT_TIMEOUT, MultipleAddresses,
};
use zookeeper_server::internals::server::quorum::quorum_cnx_manager::QuorumCnxManager;
use zookeeper_server::internals::server::quorum::quorum_server::QuorumServer;
use zookeeper_server::internals::server::quorum::states::{LearnerType, ServerState};
use zookeeper_server::internals::server::quorum::synced_learner_tracker::SyncedLearnerTracker;
use zookeeper_server::internals::server::quorum::vote::Vote;
use zookeeper_server::internals::util::lock_rank::{Rank, RankedMutex};

use crate::common::free_port;

/// Parses the line of a server.
fn parse(sid: Sid, text: &str) -> QuorumServer {
    QuorumServer::parse(sid, text, true, &|_| None).unwrap()
}

/// The servers of an ensemble.
pub(crate) struct Ensemble {
    pub(crate) members: QuorumMembers,
    pub(crate) settings: ElectionSettings,
}

impl Ensemble {
    /// An ensemble of voters, on free ports.
    pub(crate) fn of(voters: &[i64]) -> Self {
        Self::with_observers(voters, &[])
    }

    /// An ensemble of voters and observers, on free ports.
    pub(crate) fn with_observers(voters: &[i64], observers: &[i64]) -> Self {
        let settings = ElectionSettings::from_properties(&SystemProperties::new(), 10_000);
        let mut ensemble = Self {
            members: QuorumMembers::default(),
            settings: ElectionSettings {
                max_notification_interval: Duration::from_secs(1),
                ..settings
            },
        };
        for (sids, role) in [(voters, "participant"), (observers, "observer")] {
            for sid in sids.iter().copied().map(Sid) {
                let line = format!("127.0.0.1:{}:{}:{role}", free_port(), free_port());
                ensemble.members.servers.insert(sid, parse(sid, &line));
            }
        }
        ensemble
    }

    pub(crate) fn election_port(&self, sid: i64) -> u16 {
        self.members.servers[&Sid(sid)].election_addresses[0].port
    }

    pub(crate) fn set_election_port(&mut self, sid: i64, port: u16) {
        self.members.servers.get_mut(&Sid(sid)).unwrap().election_addresses[0].port = port;
    }

    /// The text of the configuration with this version, and with these voters added.
    pub(crate) fn text_with(&self, voters: &[i64], version: i64) -> String {
        let mut members = self.members.clone();
        members.version = version;
        for sid in voters.iter().copied().map(Sid) {
            members.servers.entry(sid).or_insert_with(|| parse(sid, "127.0.0.1:1:2:participant"));
        }
        from_members(members, None).to_text()
    }

    /// A member with that history. It answers other servers from now on.
    pub(crate) fn member(&self, sid: i64, last_zxid: Zxid, epoch: PeerEpoch) -> Member {
        let learner_type = self.members.servers[&Sid(sid)].learner_type;
        let peer = Arc::new(Peer {
            my_id: Sid(sid),
            settings: self.settings.clone(),
            clock: SystemClock::shared(),
            last_zxid,
            epoch,
            learner_type,
            state: RankedMutex::new(
                Rank::Leaf,
                "state of a member",
                State {
                    state: ServerState::Looking,
                    vote: Some(Vote::new(Sid(sid), last_zxid, epoch)),
                    verifier: from_members(self.members.clone(), None),
                    leading_vote_set: None,
                    looking_sids: BTreeSet::new(),
                    exit_code: None,
                    restart: false,
                    is_data_lost: false,
                },
            ),
        });
        let manager = QuorumCnxManager::new(Arc::clone(&peer) as _);
        let election = FastLeaderElection::new(Arc::clone(&peer) as _, Arc::clone(&manager));
        manager.start().unwrap();
        election.start().unwrap();
        Member { peer, manager, election }
    }
}

/// A server of the ensemble.
pub(crate) struct Member {
    pub(crate) peer: Arc<Peer>,
    pub(crate) manager: Arc<QuorumCnxManager>,
    pub(crate) election: Arc<FastLeaderElection>,
}

impl Member {
    /// Looks for a leader and takes the result as its vote, as the peer does.
    pub(crate) fn look_for_leader(&self) -> Option<Vote> {
        self.peer.set_peer_state(ServerState::Looking);
        let vote = self.election.look_for_leader()?;
        self.peer.state.lock().vote = Some(vote);
        Some(vote)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.election.shutdown();
    }
}

struct State {
    state: ServerState,
    vote: Option<Vote>,
    verifier: Arc<dyn QuorumVerifier>,
    leading_vote_set: Option<SyncedLearnerTracker>,
    looking_sids: BTreeSet<Sid>,
    exit_code: Option<ExitCode>,
    restart: bool,
    is_data_lost: bool,
}

/// The part of a server that an election uses.
pub(crate) struct Peer {
    my_id: Sid,
    settings: ElectionSettings,
    clock: Clock,
    last_zxid: Zxid,
    epoch: PeerEpoch,
    learner_type: LearnerType,
    state: RankedMutex<State>,
}

impl Peer {
    pub(crate) fn leading_vote_set(&self) -> Option<SyncedLearnerTracker> {
        self.state.lock().leading_vote_set.clone()
    }

    pub(crate) fn looking_sids(&self) -> BTreeSet<Sid> {
        self.state.lock().looking_sids.clone()
    }

    pub(crate) fn exit_code(&self) -> Option<ExitCode> {
        self.state.lock().exit_code
    }

    pub(crate) fn is_election_to_restart(&self) -> bool {
        self.state.lock().restart
    }

    pub(crate) fn lose_data(&self) {
        self.state.lock().is_data_lost = true;
    }

    fn addresses_of(&self, sid: Sid) -> Option<MultipleAddresses> {
        let verifier = self.quorum_verifier();
        let server = verifier.members().servers.get(&sid)?;
        Some(MultipleAddresses::new(server.election_addresses.clone(), DEFAULT_TIMEOUT))
    }
}

impl ElectionPeer for Peer {
    fn my_id(&self) -> Sid {
        self.my_id
    }

    fn election_settings(&self) -> ElectionSettings {
        self.settings.clone()
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn peer_state(&self) -> ServerState {
        self.state.lock().state
    }

    fn set_peer_state(&self, state: ServerState) {
        self.state.lock().state = state;
    }

    fn learner_type(&self) -> LearnerType {
        self.learner_type
    }

    fn current_vote(&self) -> Option<Vote> {
        self.state.lock().vote
    }

    fn last_logged_zxid(&self) -> Result<Zxid, String> {
        let is_data_lost = self.state.lock().is_data_lost;
        if is_data_lost { Err("the data are lost".into()) } else { Ok(self.last_zxid) }
    }

    fn current_epoch(&self) -> PeerEpoch {
        self.epoch
    }

    fn quorum_verifier(&self) -> Arc<dyn QuorumVerifier> {
        Arc::clone(&self.state.lock().verifier)
    }

    fn last_seen_quorum_verifier(&self) -> Option<Arc<dyn QuorumVerifier>> {
        None
    }

    fn current_and_next_config_voters(&self) -> BTreeSet<Sid> {
        self.state.lock().verifier.voters().clone()
    }

    fn config_from_string(&self, text: &str) -> Result<Arc<dyn QuorumVerifier>, ConfigError> {
        let wrong = |line: usize| ConfigError::Rule {
            place: Place { file: Path::new("(test)").into(), line },
            what: "no configuration".into(),
        };
        let mut servers = BTreeMap::new();
        let mut version = 0;
        for (number, line) in text.lines().enumerate() {
            let (key, value) = line.split_once('=').ok_or_else(|| wrong(number))?;
            if key == "version" {
                version = i64::from_str_radix(value, 16).map_err(|_| wrong(number))?;
                continue;
            }
            let sid = key.strip_prefix("server.").and_then(|sid| sid.parse().ok());
            let sid = Sid(sid.ok_or_else(|| wrong(number))?);
            let server = QuorumServer::parse(sid, value, true, &|_| None);
            servers.insert(sid, server.map_err(|_| wrong(number))?);
        }
        Ok(from_members(QuorumMembers { servers, version, hierarchy: None }, None))
    }

    fn process_reconfig(&self, verifier: &Arc<dyn QuorumVerifier>) {
        self.state.lock().verifier = Arc::clone(verifier);
    }

    fn set_shutting_down_election(&self) {
        self.state.lock().restart = true;
    }

    fn my_election_addresses(&self) -> MultipleAddresses {
        self.addresses_of(self.my_id).unwrap()
    }

    fn election_addresses_of(&self, sid: Sid) -> ElectionAddresses {
        ElectionAddresses { current: self.addresses_of(sid), next: None }
    }

    fn set_leading_vote_set(&self, votes: SyncedLearnerTracker) {
        self.state.lock().leading_vote_set = Some(votes);
    }

    fn report_looking_sid(&self, sid: Sid) {
        self.state.lock().looking_sids.insert(sid);
    }

    fn request_exit(&self, exit_code: ExitCode) {
        self.state.lock().exit_code = Some(exit_code);
    }
}
