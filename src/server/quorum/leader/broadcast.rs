//! Sends proposals and commits to learners, in order (Java: propose, tryToCommit, processAck, processSync,
//! startForwarding, sendPacket, commit, inform, commitAndActivate and informAndActivate of server/quorum/Leader.java).
//!
//! One lock, `Proposals`, covers everything that must keep its order: proposals, acknowledgements, commits, the list
//! of receivers, and the answers to `sync`. Packets are only queued under this lock, and sent after it is released.

use std::collections::BTreeSet;
use std::sync::Arc;

use log::debug;

use super::proposal::{Acked, Proposal, Proposals};
use super::sync_requests::SyncRequests;
use crate::common::time::Clock;
use crate::ids::{Sid, Zxid};
use crate::jute::{BinaryOutputArchive, Record};
use crate::server::quorum::commit_processor::CommitProcessor;
use crate::server::quorum::flexible::quorum_verifier::QuorumVerifier;
use crate::server::quorum::learner_handler::{
    LearnerHandler, old_learners, write_inform, write_proposal,
};
use crate::server::quorum::quorum_packet::{PacketType, QuorumPacket};
use crate::server::rate_logger::RateLogger;
use crate::server::request::Request;
use crate::server::server_metrics::ServerMetrics;
use crate::zoo_defs::OpCode;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.quorum.Leader";

/// The interval at which the log repeats the errors of learners, in ms.
const LOG_INTERVAL_MS: i64 = 10_000;

/// Who waits for the answer to a sync.
pub(super) enum SyncWaiter {
    /// A learner.
    Learner(Arc<LearnerHandler>),
    /// A client of the leader.
    Local(Box<Request>),
}

/// What a reconfiguration has changed for the leader.
pub(super) struct Activation {
    /// The leader from now on.
    pub(super) leader: Sid,
    /// The configurations of which a proposal needs a quorum from now on.
    pub(super) verifiers: Vec<Arc<dyn QuorumVerifier>>,
}

/// Puts a committed configuration into effect.
pub(super) trait Activator {
    /// `acks` are the voters of the configuration that have acknowledged it, `left` the proposals after it. Called
    /// with the proposals locked.
    fn activate(
        &self,
        verifier: &Arc<dyn QuorumVerifier>,
        acks: Vec<Sid>,
        left: &Proposals,
    ) -> Activation;
}

/// The state that the lock guards.
pub(super) struct Broadcast {
    my_id: Sid,
    verifiers: Vec<Arc<dyn QuorumVerifier>>,
    proposals: Proposals,
    syncs: SyncRequests<SyncWaiter>,
    forwarding: Vec<Arc<LearnerHandler>>,
    observing: Vec<Arc<LearnerHandler>>,
    /// Followers and observers, to be flushed without the lock.
    receivers: Arc<[Arc<LearnerHandler>]>,
    /// Set when the leader begins to serve.
    commit_processor: Option<Arc<CommitProcessor>>,
    /// Whether this leader still commits; it does not after a reconfiguration that names another leader (Java:
    /// allowedToCommit).
    may_commit: bool,
    /// Nothing more is proposed: the leader has ended, or the epoch has no zxids left.
    is_closed: bool,
    /// Acknowledgements of unknown proposals. Rate-limited, since a faulty learner may send any number of them.
    future_acks: RateLogger,
    /// A buffer for a packet that is serialized once and queued for many learners.
    packet: Vec<u8>,
    /// Whether the leader's own log is being written.
    is_logging: bool,
    /// The last proposal at the time when queued packets were last sent to learners.
    sent: Zxid,
    /// Whether a packet other than a proposal is queued.
    is_urgent: bool,
}

impl Broadcast {
    pub(super) fn new(my_id: Sid, clock: &Clock) -> Self {
        Self {
            my_id,
            verifiers: Vec::new(),
            proposals: Proposals::new(Zxid::ZERO, Vec::new()),
            syncs: SyncRequests::default(),
            forwarding: Vec::new(),
            observing: Vec::new(),
            receivers: Arc::new([]),
            commit_processor: None,
            may_commit: true,
            is_closed: false,
            future_acks: RateLogger::with_interval(LOG, LOG_INTERVAL_MS, Arc::clone(clock)),
            packet: Vec::new(),
            is_logging: false,
            sent: Zxid::ZERO,
            is_urgent: false,
        }
    }

    /// Begins an epoch, without any proposals.
    pub(super) fn begin(&mut self, start: Zxid, verifiers: Vec<Arc<dyn QuorumVerifier>>) {
        self.verifiers.clone_from(&verifiers);
        self.proposals = Proposals::new(start, verifiers);
        self.sent = start;
    }

    /// The leader's server has started, and the configuration is the one that was agreed on.
    pub(super) fn begin_serving(
        &mut self,
        verifiers: Vec<Arc<dyn QuorumVerifier>>,
        commit_processor: Arc<CommitProcessor>,
        may_commit: bool,
    ) {
        self.set_verifiers(verifiers);
        self.commit_processor = Some(commit_processor);
        self.may_commit = may_commit;
    }

    /// Each of these needs a quorum for all proposals from the next one on.
    pub(super) fn set_verifiers(&mut self, verifiers: Vec<Arc<dyn QuorumVerifier>>) {
        self.verifiers.clone_from(&verifiers);
        self.proposals.set_verifiers(verifiers);
    }

    /// Ends all proposing and answering.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
        self.commit_processor = None;
        self.syncs = SyncRequests::default();
    }

    pub(super) const fn is_closed(&self) -> bool {
        self.is_closed
    }

    pub(super) const fn last_proposed(&self) -> Zxid {
        self.proposals.last_proposed()
    }

    pub(super) const fn last_sync(&self) -> u64 {
        self.syncs.last_number()
    }

    pub(super) fn pending_syncs(&self) -> usize {
        self.syncs.positions()
    }

    pub(super) fn forwarding(&self) -> &[Arc<LearnerHandler>] {
        &self.forwarding
    }

    pub(super) fn observing(&self) -> &[Arc<LearnerHandler>] {
        &self.observing
    }

    /// The leader's own log is about to be written. Returns the learners to flush before that.
    pub(super) fn logging_begins(&mut self) -> Arc<[Arc<LearnerHandler>]> {
        self.is_logging = true;
        self.sent_now()
    }

    /// The leader's own log is written.
    pub(super) const fn logging_ends(&mut self) {
        self.is_logging = false;
    }

    /// The learners to flush now, or `None` while it pays to wait. That is so while only proposals are queued, the
    /// leader's log is being written, and an earlier proposal is not committed, so that followers presumably write
    /// their logs, too. Each follower then receives as one group what the leader also logs as one group. The end of
    /// the leader's write or a commit ends the wait: the caller then asks again.
    pub(super) fn receivers_now(&mut self) -> Option<Arc<[Arc<LearnerHandler>]>> {
        let awaits_commit = self.sent > self.proposals.last_committed();
        let is_kept = self.is_logging && awaits_commit && !self.is_urgent;
        (!is_kept).then(|| self.sent_now())
    }

    fn sent_now(&mut self) -> Arc<[Arc<LearnerHandler>]> {
        self.is_urgent = false;
        self.sent = self.proposals.last_proposed();
        self.receivers()
    }

    /// All learners that may have queued packets.
    pub(super) fn receivers(&self) -> Arc<[Arc<LearnerHandler>]> {
        Arc::clone(&self.receivers)
    }

    fn update_receivers(&mut self) {
        self.receivers = self.forwarding.iter().chain(&self.observing).cloned().collect();
    }

    /// Removes a learner.
    pub(super) fn remove(&mut self, handler: &Arc<LearnerHandler>) {
        self.forwarding.retain(|other| !Arc::ptr_eq(other, handler));
        self.observing.retain(|other| !Arc::ptr_eq(other, handler));
        self.update_receivers();
    }

    /// Sends a learner the proposals that it lacks after `last_seen`, and everything from now on (Java:
    /// startForwarding).
    pub(super) fn start_forwarding(
        &mut self,
        handler: &Arc<LearnerHandler>,
        last_seen: Zxid,
        now_ms: i64,
    ) {
        self.is_urgent = true;
        let bytes = &mut self.packet;
        for packet in self.proposals.to_be_applied_after(last_seen) {
            write_proposal(packet.zxid, &packet.txn, bytes);
            handler.queue_bytes(packet.zxid, bytes);
            handler.queue_packet(&QuorumPacket::new(PacketType::Commit, packet.zxid, None));
        }
        if handler.is_observer() {
            self.observing.push(Arc::clone(handler));
            return self.update_receivers();
        }
        for packet in self.proposals.outstanding_after(last_seen) {
            write_proposal(packet.zxid, &packet.txn, bytes);
            handler.queue_proposal(packet.zxid, bytes, now_ms);
        }
        self.forwarding.push(Arc::clone(handler));
        self.update_receivers();
    }

    /// Queues a proposal for all followers. Returns false if nothing is proposed any more.
    pub(super) fn propose(&mut self, request: Box<Request>, zxid: Zxid, now_ms: i64) -> bool {
        if self.is_closed {
            return false;
        }
        let txn = &request.txn_bytes;
        write_proposal(zxid, txn, &mut self.packet);
        for handler in &self.forwarding {
            old_learners::check(handler, txn);
            handler.queue_proposal(zxid, &self.packet, now_ms);
        }
        self.proposals.propose(zxid, request);
        true
    }

    /// The creation time of an outstanding proposal, in ms since 1970.
    pub(super) fn time_of(&self, zxid: Zxid) -> Option<i64> {
        self.proposals.time_of(zxid)
    }

    /// Records that a server has the transaction on disk.
    pub(super) fn ack(&mut self, sid: Sid, zxid: Zxid) {
        // A learner acknowledges UPTODATE with the zxid of NEWLEADER. What comes after a change of the leader, the new
        // leader commits.
        if zxid.counter() == 0 || !self.may_commit {
            return;
        }
        match self.proposals.ack(sid, zxid) {
            Acked::Noted | Acked::NoVoter => {}
            Acked::Before => {
                debug!(target: LOG, "proposal has already been committed, zxid: {zxid} from {sid}");
            }
            Acked::Unknown => {
                let value = format!("zxid {zxid} from {sid}");
                self.future_acks.rate_limit_log("Trying to commit future proposal", Some(&value));
            }
        }
    }

    /// Commits the proposals that have a quorum. Answers the syncs that waited for these commits or for answers to a
    /// PING.
    pub(super) fn try_to_commit(
        &mut self,
        metrics: &ServerMetrics,
        now_wall_ms: i64,
        activator: &dyn Activator,
    ) {
        let Some(commit_processor) = self.commit_processor.clone() else { return };
        while self.may_commit
            && let Some(zxid) = self.proposals.committable()
        {
            while let Some(waiter) = self.syncs.pop_before(zxid) {
                answer(waiter, &commit_processor);
            }
            let Some(proposal) = self.proposals.commit() else { break };
            self.is_urgent = true;
            if is_reconfig(&proposal) {
                self.activate(&proposal, activator);
            } else {
                self.commit_and_inform(&proposal);
                metrics.commit_count.add(1);
                if let Some(hdr) = &proposal.request.hdr
                    && now_wall_ms >= hdr.time
                {
                    metrics.quorum_ack_latency.add(now_wall_ms - hdr.time);
                }
            }
            commit_processor.commit(proposal.request);
        }
        if !self.may_commit {
            // Nobody confirms any more that this server leads.
            return;
        }
        let confirmed = if self.syncs.is_empty() { 0 } else { self.confirmed_sync() };
        let last_committed = self.proposals.last_committed();
        while let Some(waiter) = self.syncs.pop_confirmed(last_committed, confirmed) {
            self.is_urgent = true;
            answer(waiter, &commit_processor);
        }
    }

    fn commit_and_inform(&mut self, proposal: &Proposal) {
        let zxid = proposal.packet.zxid;
        let commit = QuorumPacket::new(PacketType::Commit, zxid, None);
        self.queue_for_followers(&commit);
        if !self.observing.is_empty() {
            let txn = &proposal.request.txn_bytes;
            write_inform(zxid, txn, &mut self.packet);
            self.queue_for_observers(zxid, txn);
        }
    }

    /// Puts the committed configuration into effect, here and on all learners. Those that get another leader close
    /// their connections themselves, so that a quorum is sure to have received this (Java: commitAndActivate,
    /// informAndActivate).
    fn activate(&mut self, proposal: &Proposal, activator: &dyn Activator) {
        let Some((verifier, acks)) = proposal.newest_verifier() else { return };
        let Activation { leader, verifiers } = activator.activate(verifier, acks, &self.proposals);
        self.set_verifiers(verifiers);
        self.may_commit = leader == self.my_id;
        let zxid = proposal.packet.zxid;
        let mut data = leader.0.to_be_bytes().to_vec();
        let packet = QuorumPacket::new(PacketType::CommitAndActivate, zxid, Some(data.clone()));
        self.queue_for_followers(&packet);
        if !self.observing.is_empty() {
            let txn = &proposal.request.txn_bytes;
            data.extend_from_slice(txn);
            let packet = QuorumPacket::new(PacketType::InformAndActivate, zxid, Some(data));
            self.packet.clear();
            packet.serialize(&mut BinaryOutputArchive::new(&mut self.packet));
            self.queue_for_observers(zxid, txn);
        }
    }

    fn queue_for_followers(&mut self, packet: &QuorumPacket) {
        self.packet.clear();
        packet.serialize(&mut BinaryOutputArchive::new(&mut self.packet));
        for handler in &self.forwarding {
            handler.queue_bytes(packet.zxid, &self.packet);
        }
    }

    /// Queues the serialized packet, which has this transaction.
    fn queue_for_observers(&self, zxid: Zxid, txn: &[u8]) {
        for handler in &self.observing {
            old_learners::check(handler, txn);
            handler.queue_bytes(zxid, &self.packet);
        }
    }

    /// The tree has all transactions up to `zxid`.
    pub(super) fn applied(&mut self, zxid: Zxid) {
        self.proposals.applied(zxid);
    }

    /// Adds a sync that has come in.
    pub(super) fn sync(&mut self, waiter: SyncWaiter) {
        if self.is_closed {
            return;
        }
        self.syncs.add(self.proposals.last_proposed(), waiter);
        self.ping_for_syncs();
    }

    /// The learner that has sent the request.
    pub(super) fn learner_of(&self, request: &Request) -> Option<Arc<LearnerHandler>> {
        let mut all = self.forwarding.iter().chain(&self.observing);
        all.find(|handler| handler.owner() == request.owner).cloned()
    }

    /// If a sync is pending, sends PINGs to the voters; their answers confirm that this server still leads.
    pub(super) fn ping_for_syncs(&mut self) {
        if self.syncs.is_empty() {
            return;
        }
        let (last_proposed, last_sync) = (self.last_proposed(), self.last_sync());
        for handler in &self.forwarding {
            if self.verifiers.iter().any(|verifier| verifier.is_voter(handler.sid())) {
                self.is_urgent = true;
                handler.ping_for_sync(last_proposed, last_sync);
            }
        }
    }

    /// The number of the last sync that a quorum has confirmed.
    fn confirmed_sync(&self) -> u64 {
        let mut confirmed: Vec<(u64, Sid)> = self
            .forwarding
            .iter()
            .map(|handler| (handler.confirmed_sync(), handler.sid()))
            .collect();
        confirmed.sort_unstable_by(|one, other| other.cmp(one));
        let mut sids = BTreeSet::from([self.my_id]);
        let is_quorum = |sids: &BTreeSet<Sid>| {
            self.verifiers.iter().all(|verifier| {
                let voters = sids.iter().copied().filter(|sid| verifier.is_voter(*sid));
                verifier.contains_quorum(&voters.collect())
            })
        };
        if is_quorum(&sids) {
            return self.last_sync();
        }
        for (number, sid) in confirmed {
            sids.insert(sid);
            if is_quorum(&sids) {
                return number;
            }
        }
        0
    }
}

/// Whether the proposal is a reconfiguration, and not the error that one of them has become.
fn is_reconfig(proposal: &Proposal) -> bool {
    let hdr = proposal.request.hdr.as_ref();
    hdr.is_some_and(|hdr| hdr.r#type == OpCode::Reconfig.code())
}

/// Answers a sync, in order with the commits.
fn answer(waiter: SyncWaiter, commit_processor: &CommitProcessor) {
    match waiter {
        SyncWaiter::Learner(handler) => {
            handler.queue_packet(&QuorumPacket::new(PacketType::Sync, Zxid::ZERO, None));
        }
        SyncWaiter::Local(request) => commit_processor.release(request),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::time::ManualClock;
    use crate::ids::SessionId;
    use crate::server::quorum::flexible::test_members::majority_of;

    const EPOCH: i64 = 2;

    fn leader() -> Broadcast {
        let clock: Clock = Arc::new(ManualClock::new(0));
        let mut broadcast = Broadcast::new(Sid(1), &clock);
        broadcast.begin(Zxid::new(EPOCH, 0), vec![majority_of(&[1, 2, 3])]);
        broadcast
    }

    fn propose(broadcast: &mut Broadcast, counter: i64) {
        let request = Request::new(None, SessionId(1), 0, 1, None, Arc::new([]));
        assert!(broadcast.propose(Box::new(request), Zxid::new(EPOCH, counter), 0));
    }

    fn commit(broadcast: &mut Broadcast, counter: i64) {
        for sid in [2, 3] {
            broadcast.ack(Sid(sid), Zxid::new(EPOCH, counter));
        }
        assert!(broadcast.proposals.committable().is_some());
        assert!(broadcast.proposals.commit().is_some());
    }

    fn is_sent(broadcast: &mut Broadcast) -> bool {
        broadcast.receivers_now().is_some()
    }

    /// A leader that has sent one proposal and makes another one while its log is being written.
    fn leader_that_logs() -> Broadcast {
        let mut broadcast = leader();
        propose(&mut broadcast, 1);
        assert!(is_sent(&mut broadcast));
        broadcast.logging_begins();
        propose(&mut broadcast, 2);
        broadcast
    }

    #[test]
    fn what_is_proposed_during_a_group_is_kept_for_the_next_one() {
        let mut broadcast = leader_that_logs();
        assert!(!is_sent(&mut broadcast));
        broadcast.logging_ends();
        assert!(is_sent(&mut broadcast), "the group here is at its end");
    }

    #[test]
    fn nothing_is_kept_when_no_commit_would_let_it_go() {
        let mut broadcast = leader();
        broadcast.logging_begins();
        propose(&mut broadcast, 1);
        assert!(is_sent(&mut broadcast), "nothing was sent before it");
        propose(&mut broadcast, 2);
        assert!(!is_sent(&mut broadcast));
        commit(&mut broadcast, 1);
        // The followers have everything; only the local disk is still busy.
        assert!(is_sent(&mut broadcast));
        propose(&mut broadcast, 3);
        assert!(!is_sent(&mut broadcast));
    }

    #[test]
    fn other_packets_take_proposals_with_them() {
        let mut broadcast = leader_that_logs();
        broadcast.is_urgent = true;
        assert!(is_sent(&mut broadcast));
        propose(&mut broadcast, 3);
        assert!(!is_sent(&mut broadcast), "that was once");
    }
}
