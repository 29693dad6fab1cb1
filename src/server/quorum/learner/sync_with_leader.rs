//! How a learner takes over its leader's history (Java: syncWithLeader of server/quorum/Learner.java).
//!
//! Whatever version the leader runs, a learner acknowledges an epoch in this order: First the transactions committed
//! before the epoch are on disk, then they are in the tree, then `currentEpoch` is on disk, and only then the learner
//! sends the ACK of NEWLEADER. Transactions that are proposed but not committed are logged and acknowledged once the
//! learner serves, like any others.
//!
//! - DIFF: committed transactions are kept until NEWLEADER, then logged and synced as one group, then applied.
//! - TRUNC: the log is truncated and the tree is loaded again; then as for DIFF, followed by a snapshot. If there is
//!   no snapshot to load the tree from, the connection ends, and the next leader is asked for its tree. (Java loads a
//!   newer snapshot, which includes the removed transactions.)
//! - SNAP: the leader's tree replaces the local one. Transactions committed after it are applied to the tree only. A
//!   snapshot with all of them is on disk before the ACK. A learner that ends before that loads its old history from
//!   disk again. Log entries above the snapshot are removed, since they belong to an abandoned history.
//!
//! Differs from Java, in all cases for safety:
//!
//! - A gap between the history on disk and the first transaction is an error (Java checks from the second one on). It is
//!   found before the configuration in a transaction is written or takes effect.
//! - Transactions that are already here are skipped (Java logs them twice).
//! - A log that ends before the zxid to truncate to is an error (Java trusts the leader).
//! - A log failure ends the process before anything of that group is applied or acknowledged.
//! - An observer logs and applies at NEWLEADER, as a follower does.
//! - Digests are not compared while the leader's tree may hold more than was committed here.
//!
//! Threads: the peer's. Locks: the tree and the committed log, while a group is applied.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use byteorder::{BigEndian, ByteOrder};
use log::{debug, error, info, warn};

use super::leader_input::LeaderInput;
use super::learner_txn::{LearnerTxn, follows};
use super::{LOG, Learner, LearnerError};
use crate::ids::{PeerEpoch, Sid, Zxid};
use crate::jute::BinaryInputArchive;
use crate::server::committed_log::CommittedProposal;
use crate::server::exit_code::ExitCode;
use crate::server::persistence::file_txn_snap_log::RestoreError;
use crate::server::persistence::txn_log::TxnLogError;
use crate::server::quorum::learner_session_tracker::LearnerSessionTracker;
use crate::server::quorum::quorum_packet::{PacketType, QuorumPacket};
use crate::server::quorum::states::SyncMode;
use crate::server::session_tracker::SessionTracker;
use crate::server::util::serialize_utils::{TxnBody, TxnFormat};
use crate::txn::TxnHeader;
use crate::zoo_defs::OpCode;

/// The signature at the end of the leader's snapshot.
const SIGNATURE: &str = "BenWasHere";

/// What remains to be done when the learner may serve.
pub(in crate::server::quorum) struct Synced {
    /// The session tracker for the server.
    pub(in crate::server::quorum) tracker: Arc<LearnerSessionTracker>,
    /// Transactions that are not logged yet, in order.
    pub(in crate::server::quorum) proposals: VecDeque<LearnerTxn>,
    /// How many of them, from the front, are committed.
    pub(in crate::server::quorum) committed: usize,
    /// The last transaction that is on disk or among them.
    pub(in crate::server::quorum) last_queued: Zxid,
}

/// Where the history comes from: it decides whether a snapshot must be written before the epoch is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Base {
    /// From the log, which is complete: no snapshot is needed.
    Log,
    /// From the log, which was truncated.
    CutLog,
    /// From the leader's snapshot.
    Tree,
    /// From the log, but without a first snapshot yet (an upgrade from 3.4).
    NoSnapshot,
}

impl Base {
    /// Whether transactions are applied to the tree only, until the snapshot is written.
    const fn needs_no_log(self) -> bool {
        matches!(self, Self::Tree | Self::NoSnapshot)
    }
}

struct Sync<'a> {
    learner: &'a Learner,
    tracker: Arc<LearnerSessionTracker>,
    format: TxnFormat,
    epoch: PeerEpoch,
    base: Base,
    /// The last transaction that was here when the sync began.
    known: Zxid,
    last_queued: Zxid,
    proposals: VecDeque<LearnerTxn>,
    committed: usize,
    /// The configuration that came with NEWLEADER.
    config: Option<String>,
    acknowledged: bool,
}

impl Learner {
    /// Takes over the leader's history. Returns when the leader says that this server may serve.
    ///
    /// # Errors
    /// Any problem with taking over the history. An election may then rely on what is on disk.
    pub(in crate::server::quorum) fn sync_with_leader(
        &self,
        input: &mut LeaderInput,
        new_leader_zxid: Zxid,
    ) -> Result<Synced, LearnerError> {
        let header = self.read_packet(input)?;
        let base = self.take_base(input, &header)?;
        self.peer.init_config_in_zk_database();
        let known = self.peer.database().last_processed_zxid();
        let mut sync = Sync {
            learner: self,
            tracker: self.role.create_session_tracker(&self.server),
            format: self.txn_format(),
            epoch: new_leader_zxid.peer_epoch(),
            base,
            known,
            last_queued: known,
            proposals: VecDeque::new(),
            committed: 0,
            config: None,
            acknowledged: false,
        };
        while self.is_running() {
            let packet = self.read_packet(input)?;
            if sync.process_packet(input, packet)? {
                let Sync { tracker, proposals, committed, last_queued, .. } = sync;
                return Ok(Synced { tracker, proposals, committed, last_queued });
            }
        }
        Err(LearnerError::Stopped)
    }

    /// The format of transactions.
    pub(in crate::server::quorum) fn txn_format(&self) -> TxnFormat {
        let mut format = self.peer.database().snap_log().config().txn_log.format;
        format.limits = self.peer.limits();
        format
    }

    /// Prepares the history that the following transactions are added to.
    fn take_base(
        &self,
        input: &mut LeaderInput,
        header: &QuorumPacket,
    ) -> Result<Base, LearnerError> {
        let zxid = header.zxid;
        match header.packet_type() {
            Some(PacketType::Diff) => {
                info!(target: LOG, "Getting a diff from the leader {zxid}");
                self.peer.set_sync_mode(SyncMode::Diff);
                let snap_log = self.peer.database().snap_log();
                if snap_log.should_force_write_initial_snapshot_after_leader_election() {
                    info!(
                        target: LOG,
                        "Forcing a snapshot write as part of upgrading from an older Zookeeper. This should only happen \
                         while upgrading."
                    );
                    return Ok(Base::NoSnapshot);
                }
                Ok(Base::Log)
            }
            Some(PacketType::Snap) => {
                self.peer.set_sync_mode(SyncMode::Snap);
                info!(target: LOG, "Getting a snapshot from leader {zxid}");
                self.set_unsaved(true);
                self.load_tree(input)?;
                self.peer.database().begin_with_leaders_tree(zxid);
                Ok(Base::Tree)
            }
            Some(PacketType::Trunc) => {
                self.peer.set_sync_mode(SyncMode::Trunc);
                warn!(target: LOG, "Truncating log to get in sync with the leader {zxid}");
                self.truncate(zxid)?;
                Ok(Base::CutLog)
            }
            _ => {
                let packet_type = header.r#type;
                error!(
                    target: LOG,
                    "Got unexpected packet from leader: type {packet_type}, zxid {zxid}, exiting ... "
                );
                self.peer.request_exit(ExitCode::QuorumPacketError);
                Err(LearnerError::Unexpected { packet_type, zxid })
            }
        }
    }

    fn load_tree(&self, input: &mut LeaderInput) -> Result<(), LearnerError> {
        let mut archive = BinaryInputArchive::new(input.bytes(), self.peer.limits());
        let database = self.peer.database();
        database.deserialize_snapshot(&mut archive).map_err(LearnerError::LeaderSnapshot)?;
        let signature = archive.read_string("signature").map_err(LearnerError::LeaderSnapshot)?;
        if signature.as_deref() != Some(SIGNATURE) {
            return Err(LearnerError::Signature(signature));
        }
        Ok(())
    }

    fn truncate(&self, zxid: Zxid) -> Result<(), LearnerError> {
        let database = self.peer.database();
        if let Err(source) = database.truncate_log(zxid) {
            error!(target: LOG, "Not able to truncate the log {zxid}: {source}");
            self.set_unsaved(true);
            if matches!(source, RestoreError::NothingToTruncateTo { .. }) {
                // The disk is unchanged. A leader that is told that nothing is here sends its tree.
                database.set_needs_leaders_tree(true);
            } else {
                self.peer.request_exit(ExitCode::QuorumPacketError);
            }
            return Err(LearnerError::Truncate { zxid, source });
        }
        let found = database.last_processed_zxid();
        if found < zxid && zxid.counter() != 0 {
            // Memory and disk match, so the next leader is told the right zxid.
            return Err(LearnerError::TooShort { zxid, found });
        }
        // The start of an epoch is not a transaction, so the tree cannot have that zxid by itself.
        database.tree().write().set_last_processed_zxid(zxid);
        Ok(())
    }
}

impl Sync<'_> {
    /// Returns true when the learner may serve.
    fn process_packet(
        &mut self,
        input: &LeaderInput,
        packet: QuorumPacket,
    ) -> Result<bool, LearnerError> {
        let zxid = packet.zxid;
        match packet.packet_type() {
            Some(PacketType::Proposal) => {
                let txn = self.read_txn(packet.data.as_deref(), &packet)?;
                let config = txn.config();
                self.queue(txn)?;
                if let Some(config) = config {
                    self.learner.peer.propose_config(&config)?;
                }
            }
            Some(PacketType::Commit) => self.commit(zxid)?,
            Some(PacketType::CommitAndActivate) => self.commit_and_activate(&packet)?,
            Some(PacketType::Inform) => {
                let txn = self.read_txn(packet.data.as_deref(), &packet)?;
                self.inform(txn)?;
            }
            Some(PacketType::InformAndActivate) => self.inform_and_activate(&packet)?,
            Some(PacketType::NewLeader) => self.new_leader(input, &packet)?,
            Some(PacketType::UpToDate) => {
                info!(target: LOG, "Learner received UPTODATE message");
                self.up_to_date()?;
                return Ok(true);
            }
            // Ignored, as in Java.
            _ => debug!(target: LOG, "a packet of type {} is passed over", packet.r#type),
        }
        Ok(false)
    }

    fn read_txn(
        &self,
        data: Option<&[u8]>,
        packet: &QuorumPacket,
    ) -> Result<LearnerTxn, LearnerError> {
        let data =
            data.ok_or(LearnerError::NoData { packet_type: packet.r#type, zxid: packet.zxid })?;
        LearnerTxn::read(data, packet.zxid, &self.format)
    }

    /// Keeps a transaction until it is logged (Java: enforceContinuousProposal, packetsNotLogged).
    fn queue(&mut self, txn: LearnerTxn) -> Result<(), LearnerError> {
        let zxid = txn.zxid();
        if !self.is_new(zxid)? {
            debug!(target: LOG, "{zxid} is here already");
            return Ok(());
        }
        if zxid != self.last_queued.next() {
            warn!(target: LOG, "sync got new epoch proposal {zxid}, last queued {}", self.last_queued);
        }
        self.last_queued = zxid;
        self.proposals.push_back(txn);
        Ok(())
    }

    /// Whether this transaction is not here yet. It must not leave a gap then.
    fn is_new(&self, zxid: Zxid) -> Result<bool, LearnerError> {
        let last = self.last_queued;
        if zxid <= self.known && last == self.known {
            return Ok(false);
        }
        if !follows(last, zxid) {
            error!(target: LOG, "sync got proposal {zxid}, last queued {last}, expected {}", last.next());
            return Err(LearnerError::Discontinuous { zxid, last });
        }
        Ok(true)
    }

    /// Handles the commit of the next transaction.
    fn commit(&mut self, zxid: Zxid) -> Result<(), LearnerError> {
        let pending = self.proposals.get(self.committed).map(LearnerTxn::zxid);
        if pending == Some(zxid) {
            self.committed += 1;
            if self.applies_at_once() {
                self.apply_committed()?;
            }
            return Ok(());
        }
        let is_here = match pending {
            Some(pending) => zxid < pending,
            None => zxid <= self.last_queued,
        };
        if is_here {
            debug!(target: LOG, "{zxid} is committed already");
            return Ok(());
        }
        warn!(target: LOG, "Committing {zxid}, but next proposal is {pending:?}");
        Err(LearnerError::Unmatched { zxid, pending })
    }

    fn commit_and_activate(&mut self, packet: &QuorumPacket) -> Result<(), LearnerError> {
        let zxid = packet.zxid;
        let next = self.proposals.get(self.committed).filter(|txn| txn.zxid() == zxid);
        if let Some(config) = next.and_then(LearnerTxn::config) {
            let (leader, _) = suggested_leader(packet)?;
            self.activate(&config, Some(leader), Some(zxid))?;
        }
        self.commit(zxid)
    }

    fn inform(&mut self, txn: LearnerTxn) -> Result<(), LearnerError> {
        let zxid = txn.zxid();
        if !self.is_proposed(zxid) {
            self.queue(txn)?;
        }
        self.commit(zxid)
    }

    /// Whether an old leader has sent it to an observer as a proposal before.
    fn is_proposed(&self, zxid: Zxid) -> bool {
        self.proposals.get(self.committed).is_some_and(|pending| pending.zxid() == zxid)
    }

    fn inform_and_activate(&mut self, packet: &QuorumPacket) -> Result<(), LearnerError> {
        let (leader, data) = suggested_leader(packet)?;
        let txn = self.read_txn(Some(data), packet)?;
        if !self.is_proposed(txn.zxid()) {
            // Before the configuration takes effect.
            self.is_new(txn.zxid())?;
        }
        if let Some(config) = txn.config() {
            self.activate(&config, Some(leader), Some(packet.zxid))?;
        }
        self.inform(txn)
    }

    fn activate(
        &self,
        config: &str,
        leader: Option<Sid>,
        zxid: Option<Zxid>,
    ) -> Result<(), LearnerError> {
        if self.learner.peer.activate_config(config, leader, zxid)? {
            return Err(LearnerError::Reconfig);
        }
        Ok(())
    }

    /// Whether transactions are applied at once, since a later snapshot will include them.
    const fn applies_at_once(&self) -> bool {
        !self.acknowledged && self.base.needs_no_log()
    }

    fn new_leader(
        &mut self,
        input: &LeaderInput,
        packet: &QuorumPacket,
    ) -> Result<(), LearnerError> {
        info!(target: LOG, "Learner received NEWLEADER message");
        if let Some(data) = packet.data.as_deref().filter(|data| data.len() > 1) {
            let text = String::from_utf8_lossy(data).into_owned();
            match self.learner.peer.propose_config(&text) {
                Ok(()) => self.config = Some(text),
                Err(problem) => {
                    warn!(target: LOG, "the leader's configuration is passed over: {problem}");
                }
            }
        }
        self.make_durable()?;
        let learner = self.learner;
        let peer = &learner.peer;
        self.note_epoch()?;
        let settings = peer.settings();
        input
            .set_timeout(settings.ticks_ms(settings.sync_limit_ticks))
            .map_err(LearnerError::io("cannot limit the time to read"))?;
        peer.set_sync_mode(SyncMode::None);
        self.acknowledged = true;
        let zxid = Zxid::start_of(self.epoch);
        learner.link.queue_ack(zxid);
        learner.link.flush();
        info!(target: LOG, "Sent NEWLEADER ack to leader with zxid {zxid}");
        Ok(())
    }

    fn note_epoch(&self) -> Result<(), LearnerError> {
        let noted = self.learner.peer.set_current_epoch(self.epoch);
        noted.map_err(io::Error::other).map_err(LearnerError::io("cannot note the epoch"))?;
        info!(target: LOG, "Set the current epoch to {}", self.epoch);
        Ok(())
    }

    /// When this returns, everything committed before the epoch is on disk and in the tree.
    fn make_durable(&mut self) -> Result<(), LearnerError> {
        let learner = self.learner;
        if !self.base.needs_no_log() {
            self.log_committed()?;
            self.apply_committed()?;
        }
        if self.base != Base::Log {
            learner.server.take_snapshot()?;
        }
        if self.base == Base::Tree {
            self.forget_other_history()?;
            learner.set_unsaved(false);
            learner.peer.database().set_needs_leaders_tree(false);
        }
        Ok(())
    }

    /// Logs and syncs the committed transactions, as one group.
    fn log_committed(&self) -> Result<(), LearnerError> {
        if self.committed == 0 || !self.learner.role.writes_log() {
            return Ok(());
        }
        let peer = &self.learner.peer;
        let start_ms = peer.clock().elapsed_ms();
        let snap_log = peer.database().snap_log();
        let logged = || -> Result<(), TxnLogError> {
            for txn in self.proposals.range(..self.committed) {
                snap_log.append(&txn.header, &txn.bytes)?;
            }
            snap_log.commit()
        };
        if let Err(problem) = logged() {
            self.learner.log_has_failed(&problem);
            return Err(problem.into());
        }
        info!(
            target: LOG,
            "It took {}ms to persist {} committed txns. {} outstanding txns left",
            peer.clock().elapsed_ms() - start_ms,
            self.committed,
            self.proposals.len() - self.committed
        );
        Ok(())
    }

    /// Applies the committed transactions and their session events, and keeps them for other learners.
    fn apply_committed(&mut self) -> Result<(), LearnerError> {
        let committed: Vec<LearnerTxn> = self.proposals.drain(..self.committed).collect();
        self.committed = 0;
        let (base, database) = (self.base, self.learner.peer.database());
        let applied = {
            let mut tree = database.tree().write();
            let mut apply = |txn: LearnerTxn| -> Result<(), LearnerError> {
                let LearnerTxn { header, txn, digest, bytes } = txn;
                let zxid = header.zxid;
                if let Some(log) = database.committed_log() {
                    log.write().add(CommittedProposal { zxid, bytes }).map_err(|hole| {
                        LearnerError::Discontinuous { zxid: hole.zxid, last: hole.last }
                    })?;
                }
                self.note_session(&header, txn.as_ref());
                // Errors are expected: the leader's tree may already include later transactions, and then its digest
                // differs from the one after this transaction. (Java compares them anyway and reports a mismatch.)
                let digest = digest.as_ref().filter(|_| base != Base::Tree);
                tree.process_txn_with_digest(&header, txn, digest);
                Ok(())
            };
            committed.into_iter().try_for_each(&mut apply)
        };
        if applied.is_err() {
            // The log holds transactions that the tree lacks.
            self.learner.set_unsaved(true);
        }
        applied
    }

    /// Java: processTxnForSessionEvents.
    fn note_session(&self, header: &TxnHeader, txn: Option<&TxnBody>) {
        let id = header.client_id;
        match txn {
            Some(TxnBody::CreateSession(session)) => {
                let is_new = self.tracker.commit_session(id, session.time_out);
                debug!(target: LOG, "session {id} committed, new: {is_new}");
            }
            _ if header.r#type == OpCode::CloseSession.code() => self.tracker.remove_session(id),
            _ => {}
        }
    }

    /// After a snapshot from the leader: log entries and snapshots above it were never part of this history.
    fn forget_other_history(&self) -> Result<(), LearnerError> {
        let learner = self.learner;
        let database = learner.peer.database();
        let (snap_log, zxid) = (database.snap_log(), database.last_processed_zxid());
        let forget = || -> Result<(), LearnerError> {
            // The next transaction does not follow the last one in the open log file.
            snap_log.close()?;
            let newest = snap_log.find_most_recent_snapshot()?.map_or(zxid, |file| file.zxid);
            let last = snap_log.last_logged_zxid()?.max(newest);
            if last > zxid {
                warn!(target: LOG, "there is {last} here, the leader's history ends at {zxid}: cutting the log");
                snap_log
                    .truncate_log(zxid)
                    .map_err(|source| LearnerError::Truncate { zxid, source })?;
            }
            Ok(())
        };
        forget().inspect_err(|problem| {
            error!(target: LOG, "Severe unrecoverable error, the transaction log cannot be cut: {problem}");
            learner.peer.request_exit(ExitCode::UnexpectedError);
        })
    }

    fn up_to_date(&mut self) -> Result<(), LearnerError> {
        if let Some(config) = &self.config {
            self.activate(config, None, None)?;
        }
        if !self.acknowledged {
            // A leader before 3.4 sends NEWLEADER in place of LEADERINFO.
            self.make_durable()?;
            self.note_epoch()?;
            self.acknowledged = true;
        }
        Ok(())
    }
}

/// The designated leader, and the rest of the data.
pub(in crate::server::quorum) fn suggested_leader(
    packet: &QuorumPacket,
) -> Result<(Sid, &[u8]), LearnerError> {
    let data = packet.data.as_deref().unwrap_or_default();
    let (sid, rest) = data
        .split_first_chunk::<8>()
        .ok_or(LearnerError::NoData { packet_type: packet.r#type, zxid: packet.zxid })?;
    Ok((Sid(BigEndian::read_i64(sid)), rest))
}
