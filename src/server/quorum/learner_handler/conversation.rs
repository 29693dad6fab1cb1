//! The dialogue between a leader and one learner, from discovery to the end (Java: run of
//! server/quorum/LearnerHandler.java).
//!
//! The handler collects everything that has arrived in a batch. It passes the batch on and flushes before it reads
//! from the socket again. Bad input from a learner can only end its own connection.

use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use log::{debug, error, info, warn};
use thiserror::Error;

use super::sync_plan::{self, Bounds, Source, SyncOp, SyncQueue};
use super::{LOG, LearnerHandler, old_learners};
use crate::common::deadline::{Deadline, DeadlineStream};
use crate::common::time;
use crate::ids::{PeerEpoch, SessionId, Sid, Zxid};
use crate::jute::{BinaryInputArchive, BinaryOutputArchive, InputError, OutputArchive, Record};
use crate::server::first_bytes::{LooksLike, looks_like};
use crate::server::quorum::epoch_agreement::AgreementError;
use crate::server::quorum::learner_info::{Greeting, PROTOCOL_VERSION};
use crate::server::quorum::learner_master::LearnerMaster;
use crate::server::quorum::learner_sync_request::learner_request;
use crate::server::quorum::learner_sync_throttler::{SyncSlot, SyncThrottled};
use crate::server::quorum::quorum_packet::{PacketError, PacketType, QuorumPacket, read_packet};
use crate::server::quorum::state_summary::StateSummary;
use crate::server::rate_logger::RateLogger;
use crate::server::request::Request;
use crate::server::txn_log_proposal_iterator::TxnLogProposalIterator;

/// The signature at the end of a snapshot.
const SNAPSHOT_SIGNATURE: &str = "BenWasHere";

/// The size of one read from a learner, in bytes. What arrives together is one batch for the log and for all
/// learners.
const INPUT_BUFFER: usize = 64 * 1024;

/// How often the handler reads on in the log on disk because the committed log has moved on. After that it sends a
/// snapshot.
const DISK_ROUNDS: u32 = 8;

/// The limit for transactions that are acknowledged before NEWLEADER.
const MAX_EARLY_ACKS: u32 = 1 << 20;

/// What precedes the client's bytes in a REQUEST: session id, cxid, operation.
const REQUEST_PREFIX: usize = 8 + 4 + 4;

/// Why a conversation ends.
#[derive(Debug, Error)]
pub(super) enum ConversationEnd {
    /// The connection failed, or a packet is malformed.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// The socket failed.
    #[error("the connection has failed: {0}")]
    Io(#[from] io::Error),
    /// The data of a packet is malformed.
    #[error("the data of a packet {0:?} cannot be read: {1}")]
    Data(PacketType, InputError),
    /// A packet is not expected at this point.
    #[error("expected {expected}, received a packet of type {received}")]
    Unexpected {
        /// The expected packet.
        expected: &'static str,
        /// The type of the received packet.
        received: i32,
    },
    /// A follower has come to an observer master.
    #[error(
        "Non observer attempting to connect to ObserverMaster. type = {0}; followers connect to the leader's quorum \
         port"
    )]
    NoObserver(i32),
    /// The learner knows a newer configuration.
    #[error("Follower is ahead of the leader (has a later activated configuration, {0:#x})")]
    NewerConfig(i64),
    /// The ensemble did not agree on the epoch.
    #[error(transparent)]
    Agreement(#[from] AgreementError),
    /// The other side is another program, or a client of another port.
    #[error("this is no learner; {0}")]
    Stranger(String),
    /// It is not a member, and the last file descriptors are for members.
    #[error(
        "no descriptors are left for servers that are no members (see the limit of open files)"
    )]
    NoDescriptors,
    /// Too many learners are being brought up to date.
    #[error(transparent)]
    Throttled(#[from] SyncThrottled),
}

/// The interval at which the log repeats the errors of one learner, in ms.
const LOG_INTERVAL_MS: i64 = 10_000;

/// What has arrived and is not passed on yet.
#[derive(Default)]
struct Batch {
    acks: Vec<Zxid>,
    requests: Vec<Box<Request>>,
    is_dirty: bool,
}

/// The conversation.
pub(super) struct Conversation<'a> {
    handler: &'a Arc<LearnerHandler>,
    master: &'a dyn LearnerMaster,
    batch: RefCell<Batch>,
    /// Held until the learner is up to date.
    slots: Vec<SyncSlot>,
    /// Packets that no serving learner sends. Rate-limited, since a faulty learner may send any number of them.
    unexpected: RateLogger,
}

/// The socket; a read first passes on everything that has arrived before.
struct Input<'a, 'b>(&'b Conversation<'a>);

impl Read for Input<'_, '_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.pass_on();
        (&self.0.handler.stream).read(buf)
    }
}

/// The result of discovery.
struct Met {
    epoch_zxid: Zxid,
    last_zxid: Zxid,
    /// The learner speaks the protocol of 3.3, which has no epochs.
    is_ancient: bool,
}

impl<'a> Conversation<'a> {
    pub(super) fn new(handler: &'a Arc<LearnerHandler>, master: &'a dyn LearnerMaster) -> Self {
        let clock = Arc::clone(master.clock());
        let unexpected = RateLogger::with_interval(LOG, LOG_INTERVAL_MS, clock);
        Self { handler, master, batch: RefCell::default(), slots: Vec::new(), unexpected }
    }

    pub(super) fn run(mut self) -> Result<(), ConversationEnd> {
        self.handler.stream.set_nodelay(self.master.learner_settings().is_nodelay)?;
        // Nothing has to be passed on before the learner is up to date, so one plain reader does until then.
        let handler = self.handler;
        let mut input = BufReader::new(DeadlineStream::new(&handler.stream));
        let met = self.discover(&mut input)?;
        self.bring_up_to_date(&mut input, &met)?;
        debug_assert!(self.slots.is_empty(), "they end with the synchronisation");
        // What is buffered already comes first.
        let left = input.buffer().to_vec();
        let this = &self;
        this.serve(BufReader::with_capacity(INPUT_BUFFER, left.as_slice().chain(Input(this))))
    }

    fn set_read_timeout(&self, ms: u32) -> io::Result<()> {
        let timeout = (ms > 0).then(|| Duration::from_millis(u64::from(ms)));
        self.handler.stream.set_read_timeout(timeout)
    }

    fn send(&self, packet: &QuorumPacket) -> io::Result<()> {
        (&self.handler.stream).write_all(&packet.to_bytes())
    }

    // --- discovery

    /// Identifies the learner, and agrees with it on the epoch.
    fn discover(&self, input: &mut BufReader<DeadlineStream<'_>>) -> Result<Met, ConversationEnd> {
        let limits = self.master.limits();
        let time_to_greet =
            || Deadline::after_ms(self.master.learner_settings().greeting_timeout_ms);
        input.get_mut().begin(time_to_greet());
        self.refuse_strangers(input.fill_buf()?)?;
        let first = read_packet(&mut *input, limits)?;
        let greeting = self.greet(&first)?;
        let sid = self.handler.sid();
        let accepted = first.zxid.peer_epoch();
        let epoch = self.master.epoch_to_propose(sid, accepted)?;
        let epoch_zxid = Zxid::start_of(epoch);
        let is_ancient = greeting.protocol_version < PROTOCOL_VERSION;
        let summary = if is_ancient {
            StateSummary { current_epoch: accepted, last_zxid: first.zxid }
        } else {
            let version = PROTOCOL_VERSION.to_be_bytes().to_vec();
            self.send(&QuorumPacket::new(PacketType::LeaderInfo, epoch_zxid, Some(version)))?;
            input.get_mut().begin(time_to_greet());
            let ack = read_packet(&mut *input, limits)?;
            read_ack_epoch(&ack)?
        };
        self.handler.has_greeted.store(true, Ordering::Release);
        self.master.wait_for_epoch_ack(sid, summary)?;
        Ok(Met { epoch_zxid, last_zxid: summary.last_zxid, is_ancient })
    }

    /// Rejects a connection that by its first bytes belongs to another port, without waiting for the rest of a
    /// packet.
    fn refuse_strangers(&self, first: &[u8]) -> Result<(), ConversationEnd> {
        match looks_like(first) {
            None | Some(LooksLike::Learner) => Ok(()),
            Some(other) => {
                Err(ConversationEnd::Stranger(other.hint(Some(self.master.http_ports()))))
            }
        }
    }

    fn greet(&self, first: &QuorumPacket) -> Result<Greeting, ConversationEnd> {
        let packet_type = match first.packet_type() {
            Some(known @ (PacketType::FollowerInfo | PacketType::ObserverInfo)) => known,
            _ => {
                let expected = "FOLLOWERINFO or OBSERVERINFO";
                return Err(ConversationEnd::Unexpected { expected, received: first.r#type });
            }
        };
        if self.master.hosts_only_observers() && packet_type != PacketType::ObserverInfo {
            return Err(ConversationEnd::NoObserver(first.r#type));
        }
        let greeting = Greeting::read(first.data.as_deref())
            .map_err(|error| ConversationEnd::Data(packet_type, error))?;
        let version = self.master.quorum_verifier_version();
        if let Some(newer) = greeting.config_version.filter(|config| *config > version) {
            return Err(ConversationEnd::NewerConfig(newer));
        }
        let sid = greeting.sid.unwrap_or_else(|| self.master.get_and_decrement_follower_counter());
        let (handler, is_observer) = (self.handler, packet_type == PacketType::ObserverInfo);
        handler.is_observer.store(is_observer, Ordering::Release);
        handler.is_old.store(greeting.config_version.is_none(), Ordering::Release);
        handler.sid.get_or_init(|| sid);
        let info = self.master.peer_info(sid);
        if info.is_empty() {
            info!(target: LOG, "Follower sid: {sid} not in the current config {version:x}");
        } else {
            info!(target: LOG, "Follower sid: {sid} : info : {info}");
        }
        if !self.master.has_room_for(handler) {
            return Err(ConversationEnd::NoDescriptors);
        }
        if handler.is_before_3_5() {
            warn!(
                target: LOG,
                "learner sid {sid} is of a version before 3.5: it cannot read create2, createTTL, createContainer, reconfig \
                 or the end of containers, and leaves the ensemble when a client uses them"
            );
        }
        Ok(greeting)
    }

    // --- synchronisation

    /// Sends the history that the learner lacks, waits until the learner has it on disk, and lets it serve.
    fn bring_up_to_date(
        &mut self,
        input: &mut BufReader<DeadlineStream<'_>>,
        met: &Met,
    ) -> Result<(), ConversationEnd> {
        let settings = self.master.learner_settings();
        let is_member = self.master.is_member(self.handler.sid());
        if !is_member {
            // Before the history is looked up: that costs, too.
            self.slots.push(settings.non_member_throttler.begin_sync(false)?);
        }
        let snapshot = self.sync_follower(met.last_zxid);
        let is_essential = is_member && !self.handler.is_observer();
        if let Some(zxid) = snapshot {
            let slot = settings.snap_throttler.begin_sync(is_essential)?;
            let count = settings.snap_throttler.sync_in_progress();
            self.slots.push(slot);
            self.master.metrics().inflight_snap_count.add(i64::from(count));
            self.master.metrics().snap_count.add(1);
            self.send_snapshot(met.last_zxid, zxid, count, is_essential)?;
        } else {
            self.slots.push(settings.diff_throttler.begin_sync(is_essential)?);
            let count = settings.diff_throttler.sync_in_progress();
            self.master.metrics().inflight_diff_count.add(i64::from(count));
            self.master.metrics().diff_count.add(1);
        }
        let config = (!met.is_ancient).then(|| self.master.quorum_verifier_text().into_bytes());
        let new_leader = QuorumPacket::new(PacketType::NewLeader, met.epoch_zxid, config);
        if met.is_ancient {
            self.send(&new_leader)?;
        } else {
            self.handler.queue_packet(&new_leader);
        }
        self.handler.output.start(&format!("Sender-/{}", self.handler.remote))?;
        self.handler.is_sending.store(true, Ordering::Release);
        let sid = self.handler.sid();
        input.get_mut().begin(Deadline::after_ms(settings.init_timeout_ms));
        let zxid = self.read_new_leader_ack(input, met.epoch_zxid)?;
        debug!(target: LOG, "Received NEWLEADER-ACK message from {sid}");
        self.master.wait_for_new_leader_ack(sid, zxid)?;
        self.handler.progress.lock().limit.start();
        self.slots.clear();
        // Java also records the count at the end of a sync.
        let metrics = self.master.metrics();
        let (throttler, in_flight) = match snapshot {
            Some(_) => (&settings.snap_throttler, &metrics.inflight_snap_count),
            None => (&settings.diff_throttler, &metrics.inflight_diff_count),
        };
        in_flight.add(i64::from(throttler.sync_in_progress()));
        self.set_read_timeout(settings.sync_timeout_ms)?;
        self.master.wait_for_startup()?;
        debug!(target: LOG, "Sending UPTODATE message to {sid}");
        self.handler.is_up_to_date.store(true, Ordering::Release);
        self.master.learner_is_up_to_date(self.handler);
        self.handler.flush();
        Ok(())
    }

    /// Waits for the ACK of NEWLEADER and returns its zxid. Learners before 3.9.3 may acknowledge transactions before
    /// NEWLEADER. Java takes the first such ACK for the ACK of another epoch, never counts the right one, and the
    /// leader gives up (ZOOKEEPER-4685). Here ACKs of the new epoch are kept and count once the learner has entered
    /// that epoch, since an election considers a learner's transactions only together with its epoch.
    fn read_new_leader_ack(
        &self,
        input: &mut BufReader<DeadlineStream<'_>>,
        epoch_zxid: Zxid,
    ) -> Result<Zxid, ConversationEnd> {
        let mut early = 0;
        loop {
            let ack = read_packet(&mut *input, self.master.limits())?;
            if ack.packet_type() != Some(PacketType::Ack) || early > MAX_EARLY_ACKS {
                let received = ack.r#type;
                let expected = "the ACK of NEWLEADER";
                return Err(ConversationEnd::Unexpected { expected, received });
            }
            if sync_plan::is_start_of_epoch(ack.zxid) {
                return Ok(ack.zxid);
            }
            early += 1;
            if ack.zxid > epoch_zxid {
                let mut batch = self.batch.borrow_mut();
                batch.acks.push(ack.zxid);
                batch.is_dirty = true;
            }
        }
    }

    /// Queues the history that the learner lacks, and everything from now on. Returns `Some` if the learner needs a
    /// snapshot, with the zxid that the snapshot must include.
    fn sync_follower(&self, peer: Zxid) -> Option<Zxid> {
        let mut disk = DiskPart::NotAsked;
        let mut snapshot = None;
        for round in 0..=DISK_ROUNDS {
            let may_wait = round < DISK_ROUNDS;
            let begun = self.master.start_forwarding(self.handler, &mut || {
                snapshot = None;
                self.queue_history(peer, &mut disk, may_wait, &mut snapshot)
            });
            if begun {
                return snapshot;
            }
            self.read_disk(peer, &mut disk);
        }
        snapshot
    }

    /// Called under the leader's lock: queues the history up to now. `None` if the log on disk must be read first.
    fn queue_history(
        &self,
        peer: Zxid,
        disk: &mut DiskPart,
        may_wait: bool,
        snapshot: &mut Option<Zxid>,
    ) -> Option<Zxid> {
        match self.look_at_history(peer, disk, may_wait) {
            History::DiskFirst => None,
            History::Queue(queue) => {
                self.queue_sync(&queue);
                Some(queue.queued())
            }
            History::Snapshot(zxid) => {
                *snapshot = Some(zxid);
                Some(zxid)
            }
        }
    }

    /// Decides what the learner gets, as of now. The tree and the committed log are locked together, so that they
    /// match.
    fn look_at_history(&self, peer: Zxid, disk: &mut DiskPart, may_wait: bool) -> History {
        let database = self.master.database();
        let tree = database.tree().read();
        let log = database.committed_log().map(|log| log.read());
        let bounds = Bounds {
            committed: log.as_ref().and_then(|log| log.min().zip(log.max())),
            last_processed: tree.last_processed_zxid(),
            history_from: database.history_from(),
        };
        let sid = self.handler.sid();
        info!(
            target: LOG,
            "Synchronizing with Learner sid: {sid} maxCommittedLog={} minCommittedLog={} lastProcessedZxid={} \
             peerLastZxid={peer}",
            bounds.max_committed(),
            bounds.min_committed(),
            bounds.last_processed
        );
        let is_forced = self.master.learner_settings().is_snap_forced;
        let is_disk_enabled = database.is_txn_log_sync_enabled();
        let all = History::Snapshot(bounds.last_processed);
        let mut queue = match sync_plan::choose(peer, &bounds, is_forced, is_disk_enabled) {
            Source::Nothing(op) => return History::Queue(SyncQueue::of(op)),
            Source::CommittedLog => SyncQueue::new(peer),
            Source::TxnLog => match mem::replace(disk, DiskPart::Useless) {
                DiskPart::Read(part) if part.reaches(&bounds) => part.queue,
                part @ (DiskPart::NotAsked | DiskPart::Read(_)) if may_wait => {
                    *disk = part;
                    return History::DiskFirst;
                }
                _ => return all,
            },
            Source::Snapshot => return all,
        };
        let proposals = log.as_ref().into_iter().flat_map(|log| log.iter());
        for proposal in proposals {
            let looked = queue.add(proposal.zxid, || proposal.clone(), &bounds);
            if let Err(reason) = looked {
                warn!(target: LOG, "no DIFF for learner sid {sid}, a snapshot is sent: {reason:?}");
                return all;
            }
        }
        queue.finish(&bounds);
        if queue.op.is_some() { History::Queue(queue) } else { all }
    }

    /// Reads on in the log on disk, without holding a lock.
    fn read_disk(&self, peer: Zxid, disk: &mut DiskPart) {
        let database = self.master.database();
        let bounds = {
            let tree = database.tree().read();
            let log = database.committed_log().map(|log| log.read());
            Bounds {
                committed: log.as_ref().and_then(|log| log.min().zip(log.max())),
                last_processed: tree.last_processed_zxid(),
                history_from: database.history_from(),
            }
        };
        let part = match mem::replace(disk, DiskPart::Useless) {
            DiskPart::NotAsked => {
                let limit = database.calculate_txn_log_size_limit();
                match TxnLogProposalIterator::open(database, peer, limit) {
                    Ok(Some(log)) => {
                        let sid = self.handler.sid();
                        info!(target: LOG, "Use txnlog and committedLog for peer sid: {sid}");
                        Some(Box::new(ReadPart { log, queue: SyncQueue::new(peer) }))
                    }
                    Ok(None) => None,
                    Err(problem) => {
                        error!(target: LOG, "Unable to read txnlog from disk: {problem}");
                        None
                    }
                }
            }
            DiskPart::Read(part) => Some(part),
            DiskPart::Useless => None,
        };
        let Some(mut part) = part else { return };
        match part.read_up_to(&bounds) {
            Ok(()) if part.log.zxid().is_none() && !part.reaches(&bounds) => {
                info!(
                    target: LOG,
                    "Detected gap between end of txnlog: {} and start of committedLog: {}",
                    part.queue.queued(),
                    bounds.min_committed()
                );
            }
            Ok(()) => *disk = DiskPart::Read(part),
            Err(reason) => {
                let sid = self.handler.sid();
                info!(target: LOG, "the txnlog does not help peer sid: {sid}: {reason}");
            }
        }
    }

    /// Queues DIFF or TRUNC and the transactions.
    fn queue_sync(&self, queue: &SyncQueue) {
        let sid = self.handler.sid();
        let (name, packet_type, zxid) = match queue.op {
            Some(SyncOp::Trunc(zxid)) => ("TRUNC", PacketType::Trunc, zxid),
            Some(SyncOp::Diff(zxid)) => ("DIFF", PacketType::Diff, zxid),
            None => return,
        };
        info!(target: LOG, "Sending {name} zxid={zxid} for peer sid: {sid}");
        self.handler.queue_packet(&QuorumPacket::new(packet_type, zxid, None));
        let mut bytes = Vec::new();
        for proposal in &queue.proposals {
            old_learners::check(self.handler, &proposal.bytes);
            write_proposal(proposal.zxid, &proposal.bytes, &mut bytes);
            self.handler.queue_bytes(proposal.zxid, &bytes);
            self.handler.queue_packet(&QuorumPacket::new(PacketType::Commit, proposal.zxid, None));
        }
    }

    /// Streams the tree. Transactions are applied meanwhile; those after `zxid` are also sent as proposals.
    fn send_snapshot(
        &self,
        peer: Zxid,
        zxid: Zxid,
        count: i32,
        is_exempt: bool,
    ) -> Result<(), ConversationEnd> {
        let timeout_ms = self.master.learner_settings().init_timeout_ms;
        self.send(&QuorumPacket::new(PacketType::Snap, zxid, None))?;
        let exempt = if is_exempt { "exempt" } else { "not exempt" };
        info!(
            target: LOG,
            "Sending snapshot last zxid of peer is {peer}, send zxid of db as {zxid}, {count} concurrent snapshot sync, \
             snapshot sync was {exempt} from throttle"
        );
        let start = time::now();
        let mut output =
            BufWriter::with_capacity(1 << 16, DeadlineStream::new(&self.handler.stream));
        self.master.database().serialize_snapshot(|bytes| {
            // A learner that reads nothing, or a byte now and then, must not hold up this thread for ever.
            output.get_mut().begin(Deadline::after_ms(timeout_ms));
            output.write_all(bytes)
        })?;
        let mut signature = Vec::new();
        BinaryOutputArchive::new(&mut signature)
            .write_string(Some(SNAPSHOT_SIGNATURE), "signature");
        output.write_all(&signature)?;
        output.flush()?;
        drop(output);
        self.handler.stream.set_write_timeout(None)?;
        debug!(target: LOG, "the snapshot was sent in {} ms", time::millis(start.elapsed()));
        Ok(())
    }

    // --- broadcast

    /// Handles the learner's packets until either side ends the connection.
    fn serve(&self, mut input: impl Read) -> Result<(), ConversationEnd> {
        let limits = self.master.limits();
        loop {
            let packet = match read_packet(&mut input, limits) {
                Ok(packet) => packet,
                Err(end) => {
                    self.pass_on();
                    self.unexpected.flush();
                    return Err(end.into());
                }
            };
            packet.trace(LOG, 'i');
            let is_initial = false;
            self.handler.touch(self.master.tick_of_ack_deadline(is_initial));
            self.handler.note_received(packet.packet_type() == Some(PacketType::Request));
            self.take(packet)?;
        }
    }

    fn take(&self, packet: QuorumPacket) -> Result<(), ConversationEnd> {
        match packet.packet_type() {
            Some(PacketType::Ack) => {
                let mut batch = self.batch.borrow_mut();
                batch.acks.push(packet.zxid);
                batch.is_dirty = true;
            }
            Some(PacketType::Ping) => {
                self.touch_sessions(packet.data.as_deref())
                    .map_err(|error| ConversationEnd::Data(PacketType::Ping, error))?;
                self.batch.borrow_mut().is_dirty = true;
                self.master.process_ping(self.handler);
            }
            Some(PacketType::Revalidate) => {
                // Keep the order: the learner's earlier requests are passed on first.
                self.pass_on();
                self.revalidate(packet)
                    .map_err(|error| ConversationEnd::Data(PacketType::Revalidate, error))?;
                self.batch.borrow_mut().is_dirty = true;
            }
            Some(PacketType::Request) => {
                let request = self
                    .read_request(packet)
                    .map_err(|error| ConversationEnd::Data(PacketType::Request, error))?;
                let mut batch = self.batch.borrow_mut();
                batch.requests.push(request);
                batch.is_dirty = true;
            }
            _ => {
                let value = packet.r#type.to_string();
                self.unexpected.rate_limit_log("unexpected quorum packet, type", Some(&value));
            }
        }
        Ok(())
    }

    /// Passes the batch on. Acknowledgements come first, since they may commit what the requests build on.
    fn pass_on(&self) {
        let (acks, mut requests) = {
            let mut batch = self.batch.borrow_mut();
            if !mem::replace(&mut batch.is_dirty, false) {
                return;
            }
            (mem::take(&mut batch.acks), mem::take(&mut batch.requests))
        };
        if !acks.is_empty() {
            if let Some(last) = acks.last() {
                self.handler.progress.lock().limit.update_ack(*last);
            }
            self.master.process_acks(self.handler, &acks);
        }
        if !requests.is_empty() {
            self.master.submit_learner_requests(&mut requests);
        }
        self.master.flush();
    }

    fn touch_sessions(&self, data: Option<&[u8]>) -> Result<(), InputError> {
        let data = data.ok_or(InputError::Null { tag: "sessions" })?;
        let mut archive = BinaryInputArchive::new(data, self.master.limits());
        while !archive.input().is_empty() {
            let (session_id, timeout_ms) = (archive.read_long()?, archive.read_int()?);
            self.master.touch(SessionId(session_id), timeout_ms);
        }
        Ok(())
    }

    fn revalidate(&self, mut packet: QuorumPacket) -> Result<(), InputError> {
        self.master.metrics().revalidate_count.add(1);
        let data = packet.data.as_deref().ok_or(InputError::Null { tag: "session" })?;
        let mut archive = BinaryInputArchive::new(data, self.master.limits());
        let (session_id, timeout_ms) = (archive.read_long()?, archive.read_int()?);
        let session_id = SessionId(session_id);
        let answer = self.master.revalidate_session(self.handler, &packet, session_id, timeout_ms);
        let Some(valid) = answer else { return Ok(()) };
        debug!(target: LOG, "Session {session_id} is valid: {valid}");
        let mut answer = session_id.0.to_be_bytes().to_vec();
        answer.push(u8::from(valid));
        packet.data = Some(answer);
        self.handler.queue_packet(&packet);
        Ok(())
    }

    fn read_request(&self, packet: QuorumPacket) -> Result<Box<Request>, InputError> {
        let data = packet.data.as_deref().ok_or(InputError::Null { tag: "request" })?;
        let mut archive = BinaryInputArchive::new(data, self.master.limits());
        let session_id = SessionId(archive.read_long()?);
        let (cxid, op_type) = (archive.read_int()?, archive.read_int()?);
        let payload = data.get(REQUEST_PREFIX..).unwrap_or_default();
        let auth_info = packet.authinfo.clone().unwrap_or_default().into();
        let owner = self.handler.owner();
        Ok(learner_request(owner, session_id, cxid, op_type, payload, auth_info))
    }
}

/// How a learner is brought up to date.
enum History {
    /// Unknown until more of the log on disk is read.
    DiskFirst,
    /// By the transactions that it lacks.
    Queue(SyncQueue),
    /// By a snapshot that includes at least this transaction.
    Snapshot(Zxid),
}

/// The part of the log on disk that has been read.
enum DiskPart {
    NotAsked,
    Read(Box<ReadPart>),
    Useless,
}

struct ReadPart {
    log: TxnLogProposalIterator,
    queue: SyncQueue,
}

impl ReadPart {
    /// Whether there is no gap between what was read and the committed log.
    fn reaches(&self, bounds: &Bounds) -> bool {
        self.queue.looked_at() >= Some(Zxid(bounds.min_committed().0 - 1))
            || self.queue.looked_at().is_some_and(|at| at.epoch() < bounds.min_committed().epoch())
                && bounds.min_committed().counter() == 1
                && self.log.zxid().is_none_or(|next| next >= bounds.min_committed())
    }

    /// Reads everything that precedes the committed log.
    fn read_up_to(&mut self, bounds: &Bounds) -> Result<(), String> {
        while let Some(zxid) = self.log.zxid().filter(|zxid| *zxid < bounds.min_committed()) {
            let log = &self.log;
            self.queue
                .add(zxid, || log.proposal(), bounds)
                .map_err(|reason| format!("{reason:?}"))?;
            if !self.log.advance().map_err(|problem| problem.to_string())? {
                break;
            }
        }
        Ok(())
    }
}

fn read_ack_epoch(packet: &QuorumPacket) -> Result<StateSummary, ConversationEnd> {
    if packet.packet_type() != Some(PacketType::AckEpoch) {
        let received = packet.r#type;
        return Err(ConversationEnd::Unexpected { expected: "ACKEPOCH", received });
    }
    let data = packet.data.as_deref().unwrap_or_default();
    let epoch = BinaryInputArchive::new(data, crate::jute::Limits::default())
        .read_int()
        .map_err(|error| ConversationEnd::Data(PacketType::AckEpoch, error))?;
    let current_epoch = PeerEpoch(i64::from(epoch));
    Ok(StateSummary { current_epoch, last_zxid: packet.zxid })
}

/// Writes a PROPOSAL in place of the buffer's content.
pub(in crate::server::quorum) fn write_proposal(zxid: Zxid, txn: &[u8], bytes: &mut Vec<u8>) {
    write_txn(PacketType::Proposal, zxid, txn, bytes);
}

/// Writes an INFORM in place of the buffer's content.
pub(in crate::server::quorum) fn write_inform(zxid: Zxid, txn: &[u8], bytes: &mut Vec<u8>) {
    write_txn(PacketType::Inform, zxid, txn, bytes);
}

/// Writes an INFORMANDACTIVATE in place of the buffer's content (Java: Leader.buildInformAndActivePacket).
pub(in crate::server::quorum) fn write_inform_and_activate(
    zxid: Zxid,
    designated_leader: Sid,
    txn: &[u8],
    bytes: &mut Vec<u8>,
) {
    let data = [&designated_leader.0.to_be_bytes()[..], txn].concat();
    write_txn(PacketType::InformAndActivate, zxid, &data, bytes);
}

fn write_txn(packet_type: PacketType, zxid: Zxid, txn: &[u8], bytes: &mut Vec<u8>) {
    bytes.clear();
    let mut archive = BinaryOutputArchive::new(bytes);
    archive.write_int(packet_type.code(), "type");
    archive.write_long(zxid.0, "zxid");
    archive.write_buffer(Some(txn), "data");
    archive.write_int(-1, "authinfo");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_is_written_as_the_packet_that_it_is_in() {
        let mut bytes = vec![1, 2, 3];
        write_proposal(Zxid::new(2, 3), &[7, 8], &mut bytes);
        let packet =
            |packet_type| QuorumPacket::new(packet_type, Zxid::new(2, 3), Some(vec![7, 8]));
        assert_eq!(bytes, packet(PacketType::Proposal).to_bytes());
        write_inform(Zxid::new(2, 3), &[7, 8], &mut bytes);
        assert_eq!(bytes, packet(PacketType::Inform).to_bytes());
    }
}
