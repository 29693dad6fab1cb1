//! The output to the leader, and the clients that wait for its answers (Java: the queues of
//! server/quorum/Learner.java and ZooKeeperServer.pendingSyncs).
//!
//! Shared by the learner, its processors and its role. Threads: any. Locks: `Proposals`, so that syncs are queued in
//! the order in which they are sent; `Leaf`, held briefly.

use std::collections::VecDeque;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use byteorder::{BigEndian, ByteOrder};
use foldhash::quality::RandomState;
use hashbrown::HashMap;
use log::{debug, info, warn};

use super::learner_info::LearnerInfo;
use super::packet_output::PacketOutput;
use super::quorum_packet::{PacketType, QuorumPacket};
use crate::ids::{PeerEpoch, SessionId, Zxid};
use crate::jute::Record;
use crate::server::request::Request;
use crate::server::server_cnxn::ServerCnxn;
use crate::server::session_tracker::Owner;
use crate::util::lock_rank::{Rank, RankedMutex};

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.quorum.Learner";

/// The name of the thread that waits while the leader does not read.
const SENDER_THREAD: &str = "LearnerSender";

/// A request, identified by its session id and cxid.
pub(super) type RequestKey = (SessionId, i32);

/// Who has sent a `sync`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SyncAsker {
    /// A client of this server, with this request.
    Client(RequestKey),
    /// An observer that follows this server.
    Learner(Owner),
}

/// The writing half of the connection to the leader.
pub(super) struct LeaderLink {
    output: OnceLock<Arc<PacketOutput>>,
    is_closed: AtomicBool,
    pending_syncs: RankedMutex<VecDeque<SyncAsker>>,
    /// Weak, so that a pending question does not keep a connection alive.
    pending_revalidations: RankedMutex<HashMap<SessionId, Weak<ServerCnxn>, RandomState>>,
}

impl LeaderLink {
    /// A link without a connection; packets are lost until it is opened.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            output: OnceLock::new(),
            is_closed: AtomicBool::new(false),
            pending_syncs: RankedMutex::new(Rank::Proposals, "syncs of clients", VecDeque::new()),
            pending_revalidations: RankedMutex::new(
                Rank::Leaf,
                "sessions to revalidate",
                HashMap::default(),
            ),
        })
    }

    /// Sends on that connection from now on.
    ///
    /// # Errors
    /// When the sender thread cannot be started.
    pub(super) fn open(&self, stream: TcpStream) -> std::io::Result<()> {
        let output = PacketOutput::new(stream);
        output.start(SENDER_THREAD)?;
        let is_first = self.output.set(output).is_ok();
        assert!(is_first, "a learner connects once");
        Ok(())
    }

    /// Queues a packet; the caller flushes (Java: writePacket, writePacketNow).
    pub(super) fn queue(&self, packet: &QuorumPacket) {
        match self.output.get() {
            Some(output) => output.queue(packet),
            None => debug!(target: LOG, "no connection to a leader: a packet is lost"),
        }
    }

    /// Queues an acknowledgement of a transaction, or of an epoch by its first zxid; the caller flushes.
    pub(super) fn queue_ack(&self, zxid: Zxid) {
        self.queue(&QuorumPacket::new(PacketType::Ack, zxid, None));
    }

    /// Sends what is queued, as far as the socket takes it now.
    pub(super) fn flush(&self) {
        if let Some(output) = self.output.get() {
            output.flush();
        }
    }

    /// The REQUEST packet for a client's request (Java: within request).
    pub(super) fn request_packet(request: &Request) -> QuorumPacket {
        let payload = request.payload.as_deref().unwrap_or_default();
        let mut data = Vec::with_capacity(16 + payload.len());
        data.extend_from_slice(&request.session_id.0.to_be_bytes());
        data.extend_from_slice(&request.cxid.to_be_bytes());
        data.extend_from_slice(&request.op_type.to_be_bytes());
        data.extend_from_slice(payload);
        let mut packet = QuorumPacket::new(PacketType::Request, Zxid::NONE, Some(data));
        packet.authinfo = Some(request.auth_info.to_vec());
        packet
    }

    /// Sends a `sync` and records it, since the leader answers syncs in the order in which they were sent.
    pub(super) fn queue_sync(&self, asker: SyncAsker, send: impl FnOnce()) {
        // Bounded by globalOutstandingLimit at the client connections, of this server and of its observers.
        let mut syncs = self.pending_syncs.lock();
        syncs.push_back(asker);
        send();
    }

    /// The `sync` that the leader has just answered.
    pub(super) fn take_sync(&self) -> Option<SyncAsker> {
        let sync = self.pending_syncs.lock().pop_front();
        if sync.is_none() {
            warn!(target: LOG, "Not expecting a sync.");
        }
        sync
    }

    /// Asks the leader whether the session of a returning client is alive (Java: Learner.validateSession).
    pub(super) fn validate_session(
        &self,
        cnxn: &Arc<ServerCnxn>,
        session_id: SessionId,
        timeout_ms: i32,
    ) {
        info!(target: LOG, "Revalidating client: {session_id}");
        let mut data = session_id.0.to_be_bytes().to_vec();
        data.extend_from_slice(&timeout_ms.to_be_bytes());
        self.pending_revalidations.lock().insert(session_id, Arc::downgrade(cnxn));
        self.queue(&QuorumPacket::new(PacketType::Revalidate, Zxid::NONE, Some(data)));
        self.flush();
    }

    /// Matches the leader's answer to its connection, and tells whether the session is alive (Java: revalidate).
    /// `None` if nobody waits for the answer any more, or if it is malformed.
    pub(super) fn revalidated(&self, data: Option<&[u8]>) -> Option<(Arc<ServerCnxn>, bool)> {
        let (id, rest) = data.unwrap_or_default().split_at_checked(8)?;
        let valid = *rest.first()? != 0;
        let session_id = SessionId(BigEndian::read_i64(id));
        let cnxn = self.pending_revalidations.lock().remove(&session_id);
        if cnxn.is_none() {
            warn!(target: LOG, "Missing session {session_id} for validation");
        }
        cnxn?.upgrade().map(|cnxn| (cnxn, valid))
    }

    /// Forgets all pending questions; nobody will answer them.
    pub(super) fn forget_questions(&self) {
        self.pending_revalidations.lock().clear();
        self.pending_syncs.lock().clear();
    }

    /// Closes the connection and ends its thread. Returns whether it was open.
    pub(super) fn close(&self) -> bool {
        let Some(output) = self.output.get() else { return false };
        output.close();
        !self.is_closed.swap(true, Ordering::Relaxed)
    }

    /// Answers a PING with the touched sessions (Java: ping).
    pub(super) fn queue_ping(&self, ping: &QuorumPacket, touched: &[(SessionId, i32)]) {
        let mut data = Vec::with_capacity(touched.len() * 12);
        for (id, timeout_ms) in touched {
            data.extend_from_slice(&id.0.to_be_bytes());
            data.extend_from_slice(&timeout_ms.to_be_bytes());
        }
        let mut answer = QuorumPacket::new(PacketType::Ping, ping.zxid, Some(data));
        answer.authinfo.clone_from(&ping.authinfo);
        self.queue(&answer);
    }
}

/// The packet with which a learner introduces itself (Java: within registerWithLeader).
pub(super) fn greeting(
    packet_type: PacketType,
    accepted: PeerEpoch,
    info: &LearnerInfo,
) -> QuorumPacket {
    QuorumPacket::new(packet_type, Zxid::start_of(accepted), Some(info.to_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Id;
    use crate::jute::Limits;
    use crate::server::quorum::quorum_packet::read_packet;
    use std::net::TcpListener;

    fn linked() -> (Arc<LeaderLink>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let here = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let link = LeaderLink::new();
        link.open(here).unwrap();
        (link, listener.accept().unwrap().0)
    }

    #[test]
    fn a_request_is_its_session_number_code_and_body() {
        let ids: Arc<[Id]> = Arc::new([Id { scheme: "ip".into(), id: "::1".into() }]);
        let body = Some(vec![7, 8].into_boxed_slice());
        let request = Request::new(None, SessionId(0x0102), 3, 9, body, ids);
        let packet = LeaderLink::request_packet(&request);
        let data = [0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 3, 0, 0, 0, 9, 7, 8];
        assert_eq!(packet.data.as_deref(), Some(&data[..]));
        assert_eq!((packet.zxid, packet.authinfo.unwrap().len()), (Zxid::NONE, 1));
    }

    #[test]
    fn syncs_are_answered_in_the_order_in_which_they_left() {
        let (link, mut there) = linked();
        let packet = QuorumPacket::new(PacketType::Request, Zxid::NONE, None);
        let first = SyncAsker::Client((SessionId(1), 5));
        let second = SyncAsker::Learner(Owner::learner(7));
        link.queue_sync(first, || link.queue(&packet));
        link.queue_sync(second, || link.queue(&packet));
        link.flush();
        assert_eq!(read_packet(&mut there, Limits::default()).unwrap(), packet);
        assert_eq!(link.take_sync(), Some(first));
        assert_eq!(link.take_sync(), Some(second));
        assert_eq!(link.take_sync(), None);
        link.close();
    }

    #[test]
    fn a_ping_is_answered_with_its_zxid_and_who_was_touched() {
        let (link, mut there) = linked();
        let ping = QuorumPacket::new(PacketType::Ping, Zxid(0x9), None);
        link.queue_ping(&ping, &[(SessionId(1), 2)]);
        link.flush();
        let answer = read_packet(&mut there, Limits::default()).unwrap();
        assert_eq!((answer.packet_type(), answer.zxid), (Some(PacketType::Ping), Zxid(0x9)));
        assert_eq!(answer.data.unwrap(), [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2]);
        link.close();
    }

    #[test]
    fn an_answer_for_nobody_and_half_an_answer_are_passed_over() {
        let link = LeaderLink::new();
        let answer = [0, 0, 0, 0, 0, 0, 0, 1, 1];
        assert!(link.revalidated(Some(&answer)).is_none());
        assert!(link.revalidated(Some(&answer[..8])).is_none());
        assert!(link.revalidated(None).is_none());
    }
}
