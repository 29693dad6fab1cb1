//! A leader, as its learner handlers see it (Java: the methods of server/quorum/Leader.java that override
//! LearnerMaster's).

use std::cmp::Reverse;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use log::{error, info};

use super::learner_cnx_acceptor::LearnerDesk;
use super::{LOG, Leader};
use crate::common::time::Clock;
use crate::ids::{PeerEpoch, SessionId, Sid, Zxid};
use crate::jute::Limits;
use crate::server::descriptor_reserve::Descriptors;
use crate::server::first_bytes::HttpPorts;
use crate::server::quorum::epoch_agreement::AgreementError;
use crate::server::quorum::learner_handler::{Claim, LearnerHandler};
use crate::server::quorum::learner_master::{LearnerMaster, LearnerMasterSettings};
use crate::server::quorum::proposer::Proposer;
use crate::server::quorum::quorum_packet::{PacketType, QuorumPacket};
use crate::server::quorum::state_summary::StateSummary;
use crate::server::request::Request;
use crate::server::server_metrics::ServerMetrics;
use crate::server::zk_database::ZKDatabase;
use crate::server::zookeeper_thread;

/// How many learners may be joining at once, not counting members that are being brought up to date. For one more,
/// another one is disconnected.
const MAX_JOINING: usize = 64;

impl Leader {
    /// Makes room for one more learner if `most` may be joining at once. Strangers are disconnected first, and
    /// members that have identified themselves last; members that are being brought up to date stay. Among equals,
    /// the address with the most present and recent connections comes first, and there the oldest connection.
    fn make_room_for_learner(&self, most: usize, newcomer: IpAddr) {
        let verifier = self.peer.quorum_verifier();
        let is_member = |sid: Sid| verifier.is_member(sid);
        // The sort below is stable and keeps the order of arrival.
        let ip = |handler: &LearnerHandler| handler.remote_address().ip();
        let now_ms = self.peer.clock().elapsed_ms();
        let leaving: Vec<Arc<LearnerHandler>> = {
            let mut learners = self.learners.lock();
            learners.recent.enter(newcomer, now_ms);
            let alive = learners.handlers.iter().filter(|handler| handler.is_alive());
            let mut joining: Vec<(Claim, &Arc<LearnerHandler>)> =
                alive.filter_map(|handler| Some((handler.claim(&is_member)?, handler))).collect();
            let too_many = (joining.len() + 1).saturating_sub(most);
            if too_many == 0 {
                return;
            }
            let crowds = learners.recent.beside(joining.iter().map(|(_, handler)| ip(handler)));
            joining.sort_by_key(|(claim, handler)| (*claim, Reverse(crowds.of(ip(handler)))));
            joining.into_iter().take(too_many).map(|(_, handler)| Arc::clone(handler)).collect()
        };
        for handler in leaving {
            info!(
                target: LOG,
                "{most} learners are on their way: /{} goes, which takes longest to say who it is",
                handler.remote_address()
            );
            handler.close_socket();
        }
    }
}

impl LearnerDesk for Leader {
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let descriptors = Descriptors::now();
        let is_reserved = descriptors.is_reserved(&stream);
        let most = if is_reserved { descriptors.greetings().min(MAX_JOINING) } else { MAX_JOINING };
        self.make_room_for_learner(most, stream.peer_addr()?.ip());
        let number = self.next_learner.fetch_add(1, Ordering::Relaxed);
        let handler = LearnerHandler::new(number, stream, self.peer.metrics(), self.peer.clock())?;
        let Some(this) = self.this.upgrade() else { return Ok(()) };
        let thread = handler.start(this)?;
        let (finished, left_over) = {
            let mut learners = self.learners.lock();
            let threads = std::mem::take(&mut learners.threads);
            let (finished, running) =
                threads.into_iter().partition::<Vec<_>, _>(std::thread::JoinHandle::is_finished);
            learners.threads = running;
            if learners.is_closed {
                (finished, Some(thread))
            } else {
                learners.threads.push(thread);
                (finished, None)
            }
        };
        finished.into_iter().for_each(zookeeper_thread::join);
        if let Some(thread) = left_over {
            handler.close_socket();
            zookeeper_thread::join(thread);
        }
        Ok(())
    }

    fn acceptor_failed(&self, address: SocketAddr, problem: &io::Error) {
        error!(target: LOG, "Exception while accepting follower at /{address}: {problem}");
        self.give_up("learners cannot connect any more");
    }
}

impl LearnerMaster for Leader {
    fn learner_settings(&self) -> &LearnerMasterSettings {
        &self.settings
    }

    fn http_ports(&self) -> HttpPorts {
        self.zk.server().settings().http_ports
    }

    fn clock(&self) -> &Clock {
        self.peer.clock()
    }

    fn metrics(&self) -> &ServerMetrics {
        self.peer.metrics()
    }

    fn limits(&self) -> Limits {
        self.peer.limits()
    }

    fn add_learner_handler(&self, handler: &Arc<LearnerHandler>) {
        let is_closed = {
            let mut learners = self.learners.lock();
            learners.handlers.push(Arc::clone(handler));
            learners.is_closed
        };
        if is_closed {
            handler.close_socket();
        }
    }

    fn remove_learner_handler(&self, handler: &Arc<LearnerHandler>) {
        {
            let mut broadcast = self.broadcast.lock();
            broadcast.remove(handler);
            self.plan.set_followers(broadcast.forwarding());
        }
        self.learners.lock().handlers.retain(|other| !Arc::ptr_eq(other, handler));
    }

    fn process_acks(&self, handler: &LearnerHandler, zxids: &[Zxid]) {
        self.process_acks_of(&mut self.broadcast.lock(), handler.sid(), zxids);
    }

    fn process_ping(&self, handler: &LearnerHandler) {
        let mut broadcast = self.broadcast.lock();
        handler.ping_answered();
        if broadcast.pending_syncs() > 0 {
            self.try_to_commit_of(&mut broadcast);
            broadcast.ping_for_syncs();
        }
    }

    fn start_forwarding(
        &self,
        handler: &Arc<LearnerHandler>,
        queue: &mut dyn FnMut() -> Option<Zxid>,
    ) -> bool {
        let mut broadcast = self.broadcast.lock();
        let Some(last_seen) = queue() else { return false };
        broadcast.start_forwarding(handler, last_seen, self.clock_ms());
        self.plan.set_followers(broadcast.forwarding());
        let verifier = self.peer.quorum_verifier();
        verifier.update_need_oracle(!broadcast.forwarding().is_empty());
        true
    }

    fn learner_is_up_to_date(&self, handler: &Arc<LearnerHandler>) {
        let mut broadcast = self.broadcast.lock();
        handler.queue_packet(&QuorumPacket::new(PacketType::UpToDate, Zxid::NONE, None));
        handler.begin_to_expect_pings();
        broadcast.ping_for_syncs();
    }

    fn wait_for_startup(&self) -> Result<(), AgreementError> {
        self.agreement.wait_for_startup()
    }

    fn epoch_to_propose(
        &self,
        sid: Sid,
        last_accepted: PeerEpoch,
    ) -> Result<PeerEpoch, AgreementError> {
        let verifier = self.peer.quorum_verifier();
        self.agreement.epoch_to_propose(&*verifier, &*self.peer, sid, last_accepted)
    }

    fn database(&self) -> &Arc<ZKDatabase> {
        self.peer.database()
    }

    fn wait_for_epoch_ack(&self, sid: Sid, summary: StateSummary) -> Result<(), AgreementError> {
        // The summary is set before the first learner is accepted.
        let leader = (*self.summary.lock()).ok_or(AgreementError::Stopped)?;
        let verifier = self.peer.quorum_verifier();
        self.agreement.wait_for_epoch_ack(&*verifier, sid, summary, leader)
    }

    fn wait_for_new_leader_ack(&self, sid: Sid, zxid: Zxid) -> Result<(), AgreementError> {
        self.agreement.wait_for_new_leader_ack(sid, zxid)
    }

    fn current_tick(&self) -> i32 {
        self.peer.tick()
    }

    fn tick_of_ack_deadline(&self, is_initial: bool) -> i32 {
        let settings = self.peer.settings();
        let initial = if is_initial { settings.init_limit_ticks } else { 0 };
        self.peer.tick().saturating_add(initial).saturating_add(settings.sync_limit_ticks)
    }

    fn get_and_decrement_follower_counter(&self) -> Sid {
        Sid(self.anonymous_sid.fetch_sub(1, Ordering::Relaxed))
    }

    fn touch(&self, session_id: SessionId, timeout_ms: i32) {
        self.zk.touch(session_id, timeout_ms);
    }

    fn submit_learner_requests(&self, requests: &mut Vec<Box<Request>>) {
        self.zk.submit_learner_requests(requests);
    }

    /// Proposals are sent before the local log is written.
    fn flush(&self) {
        self.flush_learners();
        self.zk.flush();
        self.flush_learners();
    }

    fn quorum_verifier_version(&self) -> i64 {
        self.peer.quorum_verifier().version()
    }

    fn peer_info(&self, sid: Sid) -> String {
        self.peer.view().get(&sid).map_or_else(String::new, ToString::to_string)
    }

    fn is_member(&self, sid: Sid) -> bool {
        self.peer.quorum_verifier().is_member(sid)
            || self.peer.last_seen_quorum_verifier().is_some_and(|next| next.is_member(sid))
    }

    fn has_room_for(&self, handler: &LearnerHandler) -> bool {
        if !handler.has_reserved_descriptor() {
            return true;
        }
        let sid = handler.sid();
        // A member does not need its earlier connections, and an impostor must not hold several.
        let is_older = |other: &&Arc<LearnerHandler>| {
            other.sid() == sid && !other.is_greeting() && !std::ptr::eq(&***other, handler)
        };
        self.learners().iter().filter(is_older).for_each(|other| other.close_socket());
        self.is_member(sid)
    }

    fn quorum_verifier_text(&self) -> String {
        let last_seen = self.peer.last_seen_quorum_verifier();
        last_seen.unwrap_or_else(|| self.peer.quorum_verifier()).to_text()
    }

    fn revalidate_session(
        &self,
        handler: &LearnerHandler,
        session_id: SessionId,
        timeout_ms: i32,
    ) -> bool {
        self.zk.revalidate(handler.owner(), session_id, timeout_ms)
    }
}
