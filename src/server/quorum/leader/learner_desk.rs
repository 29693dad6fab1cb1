//! A leader, as its learner handlers see it (Java: the methods of server/quorum/Leader.java that override
//! LearnerMaster's).

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use log::error;

use super::{LOG, Leader};
use crate::common::time::Clock;
use crate::ids::{PeerEpoch, SessionId, Sid, Zxid};
use crate::jute::Limits;
use crate::server::first_bytes::HttpPorts;
use crate::server::quorum::epoch_agreement::AgreementError;
use crate::server::quorum::learner_handler::LearnerHandler;
use crate::server::quorum::learner_master::learner_cnx_acceptor::LearnerDesk;
use crate::server::quorum::learner_master::{LearnerMaster, LearnerMasterSettings};
use crate::server::quorum::proposer::Proposer;
use crate::server::quorum::quorum_packet::{PacketType, QuorumPacket};
use crate::server::quorum::state_summary::StateSummary;
use crate::server::request::Request;
use crate::server::server_metrics::ServerMetrics;
use crate::server::zk_database::ZKDatabase;

impl LearnerDesk for Leader {
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let Some(this) = self.this.upgrade() else { return Ok(()) };
        let verifier = self.peer.quorum_verifier();
        let is_member = |sid: Sid| verifier.is_member(sid);
        self.learners.serve(stream, &is_member, self.peer.metrics(), this)
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
        self.learners.add(handler);
    }

    fn remove_learner_handler(&self, handler: &Arc<LearnerHandler>) {
        {
            let mut broadcast = self.broadcast.lock();
            broadcast.remove(handler);
            self.plan.set_followers(broadcast.forwarding());
        }
        self.learners.remove(handler);
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
        self.learners.has_room_for(handler, self.is_member(handler.sid()))
    }

    fn quorum_verifier_text(&self) -> String {
        let last_seen = self.peer.last_seen_quorum_verifier();
        last_seen.unwrap_or_else(|| self.peer.quorum_verifier()).to_text()
    }

    fn revalidate_session(
        &self,
        handler: &Arc<LearnerHandler>,
        _question: &QuorumPacket,
        session_id: SessionId,
        timeout_ms: i32,
    ) -> Option<bool> {
        Some(self.zk.revalidate(handler.owner(), session_id, timeout_ms))
    }
}
