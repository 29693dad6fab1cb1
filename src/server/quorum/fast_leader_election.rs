//! Leader election (Java: server/quorum/FastLeaderElection.java).
//!
//! Each server sends its vote to all voters. It changes its vote when it learns of a candidate with more history: a
//! later epoch, then a later zxid, then the larger id. A server that sees a quorum agree with its vote waits a little
//! for a better vote, and then has a leader. A server that joins late is told the leader by the servers that have
//! one.
//!
//! Threads: [`look_for_leader`](Election::look_for_leader) runs on the peer's thread; `messenger` has its own
//! threads. Locks: `Leaf`.
//!
//! This file holds the public interface and the election rounds. `votes` counts votes; [`notification`] is the wire
//! format.
//!
//! Differs from Java: The queues are bounded and drop the oldest notification when full, because every server repeats
//! its notifications. If the oracle does not favour this server, it follows only a leader that has sent the
//! notification itself. A server that votes for a worse candidate in the same round is sent this server's vote at
//! once, not only after a notification timeout: it was not LOOKING yet when it received the vote before.

mod messenger;
pub(crate) mod notification;
mod votes;

use std::io;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use log::{debug, error, info, warn};

use self::messenger::ToSend;
use self::votes::{Votes, check_leader, total_order_predicate, vote_tracker};
use super::election::{Election, ElectionPeer, ElectionSettings, FINALIZE_WAIT};
use super::flexible::quorum_verifier::VerifierKind;
use super::quorum_cnx_manager::QuorumCnxManager;
use super::states::{LearnerType, ServerState};
use super::synced_learner_tracker::SyncedLearnerTracker;
use super::vote::Vote;
use crate::ids::{PeerEpoch, Sid, Zxid};
use crate::server::rate_logger::RateLogger;
use crate::server::zookeeper_thread;
use crate::util::circular_blocking_queue::CircularBlockingQueue;
use crate::util::lock_rank::{Rank, RankedMutex};

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.quorum.FastLeaderElection";

/// The interval at which the log repeats the errors of a peer, in ms.
const LOG_INTERVAL_MS: i64 = 10_000;

fn repetitions(peer: &Arc<dyn ElectionPeer>) -> RateLogger {
    RateLogger::with_interval(LOG, LOG_INTERVAL_MS, Arc::clone(peer.clock()))
}

/// The capacity of the send queue and of the receive queue.
const QUEUE_CAPACITY: usize = 1_000;

/// The id, zxid and epoch in the notifications of a server that does not vote.
const NO_VOTE: i64 = i64::MIN;

/// A notification from another server.
#[derive(Clone, Debug)]
struct Notification {
    version: i32,
    leader: Sid,
    zxid: Zxid,
    election_epoch: i64,
    state: ServerState,
    /// The server that sent it.
    sid: Sid,
    peer_epoch: PeerEpoch,
}

impl Notification {
    /// The vote in the notification, without the sender's state.
    fn candidate(&self) -> Vote {
        Vote::in_round(self.leader, self.zxid, self.election_epoch, self.peer_epoch)
    }
}

/// The leader election of one server.
pub struct FastLeaderElection {
    me: Weak<Self>,
    peer: Arc<dyn ElectionPeer>,
    manager: Arc<QuorumCnxManager>,
    my_id: Sid,
    settings: ElectionSettings,
    recv_queue: CircularBlockingQueue<Notification>,
    send_queue: CircularBlockingQueue<ToSend>,
    /// The current round (Java: logicalclock).
    logical_clock: AtomicI64,
    /// The current vote of this server, without a round.
    proposal: RankedMutex<Vote>,
    is_stopped: AtomicBool,
    threads: RankedMutex<Vec<JoinHandle<()>>>,
    /// Rate-limited, since a faulty peer may send any number of malformed messages.
    short_messages: RateLogger,
    malformed_messages: RateLogger,
    bad_configs: RateLogger,
}

/// One run of [`Election::look_for_leader`].
struct Round {
    /// This server's vote for itself, with which the run begins.
    initial: Vote,
    /// The votes received in this round (Java: recvset).
    received: Votes,
    /// The votes of servers that follow or lead, from any round (Java: outofelection).
    out_of_election: Votes,
    /// The latest count of this round's votes.
    tally: Option<SyncedLearnerTracker>,
}

impl FastLeaderElection {
    /// The current round (Java: getLogicalClock).
    #[must_use]
    pub fn logical_clock(&self) -> i64 {
        self.logical_clock.load(Ordering::Acquire)
    }

    /// An election over the connections of `manager`. It keeps `peer` alive; the peer drops the election when it
    /// ends.
    #[must_use]
    pub fn new(peer: Arc<dyn ElectionPeer>, manager: Arc<QuorumCnxManager>) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            my_id: peer.my_id(),
            settings: peer.election_settings(),
            recv_queue: CircularBlockingQueue::new(QUEUE_CAPACITY),
            send_queue: CircularBlockingQueue::new(QUEUE_CAPACITY),
            logical_clock: AtomicI64::new(0),
            proposal: RankedMutex::new(
                Rank::Leaf,
                "proposed leader",
                Vote::of_leader(Sid(-1), Zxid::NONE),
            ),
            is_stopped: AtomicBool::new(false),
            threads: RankedMutex::new(Rank::Leaf, "threads of the election", Vec::new()),
            short_messages: repetitions(&peer),
            malformed_messages: repetitions(&peer),
            bad_configs: repetitions(&peer),
            peer,
            manager,
        })
    }

    /// Starts to send and receive notifications. From now on this server answers other servers.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(&self) -> io::Result<()> {
        self.spawn("WorkerSender", |this| this.run_sender())?;
        self.spawn("WorkerReceiver", |this| this.run_receiver())?;
        Ok(())
    }

    fn spawn(&self, name: &str, body: impl FnOnce(&Self) + Send + 'static) -> io::Result<()> {
        let Some(this) = self.me.upgrade() else { return Ok(()) };
        let name = format!("{name}[myid={}]", self.my_id);
        let thread = zookeeper_thread::spawn(&name, None, move || {
            body(&this);
            Ok::<(), io::Error>(())
        })?;
        self.threads.lock().push(thread);
        Ok(())
    }

    /// Concludes the election: this server leads, follows or observes.
    fn leave_instance(&self, vote: Vote, votes: Option<SyncedLearnerTracker>) -> Vote {
        let state = if vote.id == self.my_id {
            ServerState::Leading
        } else if self.peer.learner_type() == LearnerType::Participant {
            ServerState::Following
        } else {
            ServerState::Observing
        };
        if let (ServerState::Leading, Some(votes)) = (state, votes) {
            self.peer.set_leading_vote_set(votes);
        }
        self.peer.set_peer_state(state);
        debug!(
            target: LOG,
            "About to leave FLE instance: leader={}, zxid=0x{:x}, my id={}, my state={state}",
            vote.id,
            vote.zxid,
            self.my_id
        );
        self.recv_queue.clear();
        vote
    }

    /// The connection manager (Java: getCnxManager).
    #[must_use]
    pub const fn cnx_manager(&self) -> &Arc<QuorumCnxManager> {
        &self.manager
    }

    fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Acquire)
    }

    /// Tells all threads to end, those of the connections, too; does not wait for them.
    pub fn stop(&self) {
        self.stop_messenger();
        self.manager.stop();
    }

    /// Whether all threads have ended that [`stop`](Self::stop) has told to.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.manager.thread_count() == 0 && self.threads.lock().iter().all(JoinHandle::is_finished)
    }

    fn stop_messenger(&self) {
        self.is_stopped.store(true, Ordering::Release);
        self.recv_queue.close();
        self.send_queue.close();
    }

    /// Sends the current vote to all voters (Java: sendNotifications).
    fn send_notifications(&self) {
        for sid in self.peer.current_and_next_config_voters() {
            self.send_notification(sid);
        }
    }

    /// Sends the current vote to one server.
    fn send_notification(&self, sid: Sid) {
        let vote = self.vote_of_round();
        debug!(
            target: LOG,
            "Sending Notification: {} (n.leader), 0x{:x} (n.zxid), 0x{:x} (n.peerEpoch), 0x{:x} \
             (n.round), {sid} (recipient), {} (myid) ",
            vote.id,
            vote.zxid,
            vote.peer_epoch,
            vote.election_epoch,
            self.my_id
        );
        self.send_queue.offer(ToSend {
            leader: vote.id,
            zxid: vote.zxid,
            election_epoch: vote.election_epoch,
            state: ServerState::Looking,
            peer_epoch: vote.peer_epoch,
            sid,
        });
    }

    fn check_leader(&self, votes: &Votes, leader: Sid, of_round: i64) -> bool {
        check_leader(votes, leader, of_round, self.my_id, self.logical_clock())
    }

    fn update_proposal(&self, new: &Vote) {
        let new = Vote::new(new.id, new.zxid, new.peer_epoch);
        let old = std::mem::replace(&mut *self.proposal.lock(), new);
        debug!(
            target: LOG,
            "Updating proposal: {} (newleader), 0x{:x} (newzxid), {} (oldleader), 0x{:x} (oldzxid)",
            new.id,
            new.zxid,
            old.id,
            old.zxid
        );
    }

    /// The current vote of this server, without a round (Java: getVote).
    #[must_use]
    pub fn vote(&self) -> Vote {
        *self.proposal.lock()
    }

    /// The current vote of this server, in the current round.
    fn vote_of_round(&self) -> Vote {
        let proposal = self.vote();
        Vote::in_round(proposal.id, proposal.zxid, self.logical_clock(), proposal.peer_epoch)
    }

    /// The vote with which this server starts an election. A server that does not vote proposes no leader.
    fn initial_vote(&self) -> Result<Vote, String> {
        let is_voter = self.peer.quorum_verifier().is_voter(self.my_id);
        let id = if is_voter { self.my_id } else { Sid(NO_VOTE) };
        if self.peer.learner_type() != LearnerType::Participant {
            return Ok(Vote::new(id, Zxid(NO_VOTE), PeerEpoch(NO_VOTE)));
        }
        let zxid = self.peer.last_logged_zxid()?;
        Ok(Vote::new(id, zxid, self.peer.current_epoch()))
    }
}

impl Election for FastLeaderElection {
    fn look_for_leader(&self) -> Option<Vote> {
        let initial = match self.initial_vote() {
            Ok(initial) => initial,
            Err(problem) => {
                error!(target: LOG, "cannot vote: {problem}");
                return None;
            }
        };
        self.logical_clock.fetch_add(1, Ordering::AcqRel);
        self.update_proposal(&initial);
        info!(
            target: LOG,
            "New election. My id = {}, proposed zxid=0x{:x}",
            self.my_id,
            initial.zxid
        );
        self.send_notifications();
        self.run_round(initial)
    }

    fn shutdown(&self) {
        self.stop_messenger();
        debug!(target: LOG, "Shutting down connection manager");
        self.manager.halt();
        debug!(target: LOG, "Shutting down messenger");
        let threads = std::mem::take(&mut *self.threads.lock());
        threads.into_iter().for_each(zookeeper_thread::join);
        debug!(target: LOG, "FLE is down");
    }
}

impl FastLeaderElection {
    fn run_round(&self, initial: Vote) -> Option<Vote> {
        let mut round =
            Round { initial, received: Votes::new(), out_of_election: Votes::new(), tally: None };
        let mut timeout = self.settings.min_notification_interval;
        while self.peer.peer_state() == ServerState::Looking && !self.is_stopped() {
            let decided = match self.recv_queue.poll(timeout) {
                Some(notification) => self.process(&mut round, &notification),
                None if self.is_stopped() => break,
                None => {
                    timeout = (timeout * 2).min(self.settings.max_notification_interval);
                    self.silence(&round, timeout)
                }
            };
            if let ControlFlow::Break(vote) = decided {
                return Some(vote);
            }
        }
        None
    }

    /// Handles a notification timeout.
    fn silence(&self, round: &Round, timeout: Duration) -> ControlFlow<Vote> {
        if self.manager.have_delivered() {
            self.send_notifications();
        } else {
            self.manager.connect_all();
        }
        let verifier = self.peer.quorum_verifier();
        if verifier.kind() == VerifierKind::OracleMajority
            && let Some(tally) = &round.tally
            && verifier.revalidate_voteset(
                tally.has_all_quorums(),
                timeout != self.settings.min_notification_interval,
            )
        {
            let vote = self.leave_instance(self.vote_of_round(), Some(tally.clone()));
            return ControlFlow::Break(vote);
        }
        info!(target: LOG, "Notification time out: {} ms", timeout.as_millis());
        ControlFlow::Continue(())
    }

    fn process(&self, round: &mut Round, notification: &Notification) -> ControlFlow<Vote> {
        let (sid, leader) = (notification.sid, notification.leader);
        let (is_voter, is_leader_voter) = (self.valid_voter(sid), self.valid_voter(leader));
        if !is_leader_voter {
            warn!(
                target: LOG,
                "Ignoring notification for non-cluster member sid {leader} from sid {sid}"
            );
        }
        if !is_voter {
            warn!(
                target: LOG,
                "Ignoring notification for sid {leader} from non-quorum member sid {sid}"
            );
        }
        if !is_voter || !is_leader_voter {
            return ControlFlow::Continue(());
        }
        match notification.state {
            ServerState::Looking => self.process_looking(round, notification),
            ServerState::Observing => {
                debug!(target: LOG, "Notification from observer: {sid}");
                ControlFlow::Continue(())
            }
            ServerState::Following => self.received_following_notification(round, notification),
            ServerState::Leading => self.received_leading_notification(round, notification),
        }
    }

    fn process_looking(&self, round: &mut Round, notification: &Notification) -> ControlFlow<Vote> {
        if round.initial.zxid == Zxid::NONE || notification.zxid == Zxid::NONE {
            debug!(target: LOG, "Ignoring notification of {}: a zxid is -1", notification.sid);
            return ControlFlow::Continue(());
        }
        let candidate = notification.candidate();
        let verifier = self.peer.quorum_verifier();
        let my_round = self.logical_clock();
        if candidate.election_epoch < my_round {
            debug!(
                target: LOG,
                "Notification election epoch is smaller than logicalclock. n.electionEpoch = 0x{:x}, \
                 logicalclock=0x{my_round:x}",
                candidate.election_epoch
            );
            return ControlFlow::Continue(());
        }
        if candidate.election_epoch > my_round {
            self.logical_clock.store(candidate.election_epoch, Ordering::Release);
            round.received.clear();
            let candidate_total_order_predicate =
                total_order_predicate(&*verifier, &candidate, &round.initial);
            self.update_proposal(if candidate_total_order_predicate {
                &candidate
            } else {
                &round.initial
            });
            self.send_notifications();
        } else if total_order_predicate(&*verifier, &candidate, &self.vote()) {
            self.update_proposal(&candidate);
            self.send_notifications();
        } else if notification.sid != self.my_id
            && total_order_predicate(&*verifier, &self.vote(), &candidate)
        {
            // The sender adopts this better vote when it arrives, so at most one extra notification is sent.
            self.send_notification(notification.sid);
        }
        debug!(
            target: LOG,
            "Adding vote: from={}, proposed leader={}, proposed zxid=0x{:x}, proposed election \
             epoch=0x{:x}",
            notification.sid,
            candidate.id,
            candidate.zxid,
            candidate.election_epoch
        );
        round.received.insert(notification.sid, candidate);
        let tally = vote_tracker(&*self.peer, &round.received, &self.vote_of_round());
        let is_quorum = tally.has_all_quorums();
        round.tally = Some(tally.clone());
        if !is_quorum || self.is_outvoted() {
            return ControlFlow::Continue(());
        }
        ControlFlow::Break(self.leave_instance(self.vote_of_round(), Some(tally)))
    }

    /// Waits a little for further notifications; true if one has a better candidate, or if the election was stopped.
    fn is_outvoted(&self) -> bool {
        let verifier = self.peer.quorum_verifier();
        while let Some(notification) = self.recv_queue.poll(FINALIZE_WAIT) {
            if total_order_predicate(&*verifier, &notification.candidate(), &self.vote()) {
                self.recv_queue.offer(notification);
                return true;
            }
        }
        self.is_stopped()
    }

    /// Handles the notification of a server that has a leader. This server joins if a quorum has the same leader and
    /// that leader itself has said that it leads.
    fn received_following_notification(
        &self,
        round: &mut Round,
        notification: &Notification,
    ) -> ControlFlow<Vote> {
        let candidate = notification.candidate();
        let leader = candidate.id;
        let settled =
            Vote { version: notification.version, state: notification.state, ..candidate };
        let of_round = candidate.election_epoch;
        if of_round == self.logical_clock() {
            let received = Vote { state: notification.state, ..candidate };
            round.received.insert(notification.sid, received);
            let tally = vote_tracker(&*self.peer, &round.received, &settled);
            if tally.has_all_quorums() && self.check_leader(&round.received, leader, of_round) {
                return ControlFlow::Break(self.leave_instance(candidate, Some(tally)));
            }
        }
        round.out_of_election.insert(notification.sid, settled);
        let tally = vote_tracker(&*self.peer, &round.out_of_election, &settled);
        if tally.has_all_quorums() && self.check_leader(&round.out_of_election, leader, of_round) {
            self.logical_clock.store(of_round, Ordering::Release);
            return ControlFlow::Break(self.leave_instance(candidate, Some(tally)));
        }
        ControlFlow::Continue(())
    }

    /// Handles the notification of a leader. In an ensemble of two voters, a server that comes back finds no quorum
    /// of votes. If the oracle does not favour this server, it favours the other one, so this server follows.
    fn received_leading_notification(
        &self,
        round: &mut Round,
        notification: &Notification,
    ) -> ControlFlow<Vote> {
        self.received_following_notification(round, notification)?;
        let verifier = self.peer.quorum_verifier();
        let speaks_for_itself =
            notification.leader == notification.sid && notification.leader != self.my_id;
        if !verifier.need_oracle() || !speaks_for_itself {
            return ControlFlow::Continue(());
        }
        if verifier.ask_oracle() {
            info!(target: LOG, "Oracle indicates not to follow");
            return ControlFlow::Continue(());
        }
        info!(target: LOG, "Oracle indicates to follow");
        ControlFlow::Break(self.leave_instance(notification.candidate(), round.tally.clone()))
    }

    /// Whether the server is a voter in the current or the next configuration.
    fn valid_voter(&self, sid: Sid) -> bool {
        self.peer.current_and_next_config_voters().contains(&sid)
    }
}
