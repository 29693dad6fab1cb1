//! `PrepRequestProcessor`: makes transactions out of requests, or errors (Java: server/PrepRequestProcessor.java).
//!
//! Threads: `ProcessThread(sid:N cport:P):`. While it is idle, the thread that brings requests prepares them (see
//! `processor_queue`). Differs from Java: all queued requests are prepared under one hold of the locks.
//! Locks: `FirstProcessor` during a step; below it the outstanding changes; below those the tree (shared), and the next
//! processor's queue.
//!
//! This file is the way of a request; what each operation checks and changes is in the files beside it, one an
//! operation.
//!
//! Elsewhere: the outstanding changes, with getCurrentTreeDigest, are in `zookeeper_server/outstanding_changes`,
//! fixupACL and removeDuplicates in `zookeeper_server/access`. precalculateDigest is a part of `add_change_record`.

mod check;
mod create;
mod delete;
mod multi;
mod reconfig;
mod session;
mod set_acl;
mod set_data;

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Weak};

use log::{Level, debug, error, info, log, warn};

use super::data_tree::DataTree;
use super::processor_queue::{ProcessorQueue, Worker, add_queue_sizes};
use super::request::Request;
use super::request_processor::{Left, RequestProcessor};
use super::zoo_trace::CLIENT_PING_TRACE_MASK;
use super::zookeeper_server::ZooKeeperServer;
use super::zookeeper_server::outstanding_changes::{ChangeRecord, OutstandingChanges};
use crate::common::path_utils;
use crate::create_mode::CreateMode;
use crate::delete_container_request::DeleteContainerRequest;
use crate::ids::Zxid;
use crate::jute::{InputError, Record};
use crate::keeper_exception::KeeperError;
use crate::proto::{
    CreateRequest, CreateTTLRequest, DeleteRequest, ReconfigRequest, SetACLRequest, SetDataRequest,
};
use crate::server::digest_calculator;
use crate::server::util::serialize_utils::{TxnBody, serialize_txn};
use crate::txn::{ErrorTxn, TxnDigest, TxnHeader};
use crate::util::lock_rank::Rank;
use crate::zoo_defs::OpCode;
/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.PrepRequestProcessor";

/// A buffer that has grown beyond this is not kept, in bytes.
const KEPT_CAPACITY: usize = 64 * 1024;

/// How often a caller prepares what was queued meanwhile, before the thread takes over. A step costs less than waking
/// the thread.
const CALLERS_ROUNDS: u32 = 8;

/// Why a request does not become what it asks for.
#[derive(Debug, thiserror::Error)]
enum PrepError {
    /// An answer: the client is told.
    #[error(transparent)]
    Answer(#[from] KeeperError),
    /// The request's bytes are not what they should be: the client is told MARSHALLINGERROR.
    #[error(transparent)]
    Malformed(#[from] InputError),
}

/// The processor.
pub(crate) struct PrepRequestProcessor {
    server: Weak<ZooKeeperServer>,
    next: Arc<dyn RequestProcessor>,
    submitted_requests: ProcessorQueue<Box<Request>, ()>,
    digest_enabled: bool,
    close_session_txn_enabled: bool,
}

/// What the preparation of one request works on.
struct Prep<'a> {
    server: &'a ZooKeeperServer,
    changes: &'a mut OutstandingChanges,
    tree: &'a DataTree,
    digest_enabled: bool,
    close_session_txn_enabled: bool,
}

impl PrepRequestProcessor {
    /// A processor that hands on to `next`, with its thread started.
    ///
    /// # Errors
    /// When the system has no room for another thread.
    pub(crate) fn start(
        server: &Arc<ZooKeeperServer>,
        next: Arc<dyn RequestProcessor>,
    ) -> io::Result<Arc<Self>> {
        let settings = server.settings();
        let processor = Arc::new(Self {
            server: Arc::downgrade(server),
            next,
            submitted_requests: ProcessorQueue::new(
                Rank::FirstProcessor,
                "right to prepare",
                CALLERS_ROUNDS,
                (),
            ),
            digest_enabled: settings.digest_enabled,
            close_session_txn_enabled: settings.close_session_txn_enabled,
        });
        let this = Arc::clone(&processor);
        let name =
            format!("ProcessThread(sid:{} cport:{}):", server.server_id(), server.client_port());
        info!(
            target: LOG,
            "PrepRequestProcessor (sid:{}) started, reconfigEnabled={}",
            server.server_id(),
            settings.reconfig_enabled
        );
        processor.submitted_requests.start(&name, server.listener(), move || this.run())?;
        Ok(processor)
    }

    /// The body of the thread. The next processors' own threads continue with what it has prepared, since this thread
    /// has more to do.
    fn run(&self) -> Result<(), Infallible> {
        self.submitted_requests.run(|(), group| {
            self.p_requests(group);
            self.next.flush(Worker::OwnThread);
            Ok::<(), Infallible>(())
        })?;
        info!(target: LOG, "PrepRequestProcessor exited loop!");
        Ok(())
    }

    /// Prepares a group and hands it on.
    fn p_requests(&self, group: &mut Vec<Box<Request>>) {
        let Some(server) = self.server.upgrade() else { return group.clear() };
        reconfig::look_up_hosts(&server, group);
        let (metrics, clock) = (server.server_metrics(), server.clock());
        let count = u32::try_from(group.len()).unwrap_or(u32::MAX);
        let start_ms = clock.elapsed_ms();
        add_queue_sizes(&*metrics.prep_processor_queue_size, group.len());
        for request in &*group {
            metrics.prep_processor_queue_time.add(start_ms - request.prep_queue_start_ms);
        }
        let mut changes = server.outstanding_changes().lock();
        let before = changes.len();
        {
            let tree = server.zk_database().tree().read();
            for request in &mut *group {
                self.p_request(&server, &mut changes, &tree, request);
                request.zxid = server.zxid();
            }
        }
        let queued = changes.len().saturating_sub(before);
        let prepared_ms = clock.elapsed_ms();
        // Still under the lock, so that a change is not removed as applied before its request is handed on.
        self.next.process_requests(group);
        drop(changes);
        if queued > 0 {
            metrics.outstanding_changes_queued.add(i64::try_from(queued).unwrap_or(i64::MAX));
        }
        // What is prepared together takes the same time.
        metrics.prep_process_time.add_n(prepared_ms - start_ms, count);
        metrics.proposal_process_time.add_n(clock.elapsed_ms() - prepared_ms, count);
    }
}

impl Prep<'_> {
    /// The state of a node after all outstanding changes (Java: getRecordForPath).
    fn record_for_path(&self, path: &str) -> Result<Arc<ChangeRecord>, KeeperError> {
        self.changes
            .record_for_path(self.tree, path, self.digest_enabled)
            .ok_or(KeeperError::NoNode)
    }

    /// The same for a node that does not change. Its digest takes long if it has much data.
    fn record_without_digest(&self, path: &str) -> Result<Arc<ChangeRecord>, KeeperError> {
        self.changes.record_for_path(self.tree, path, false).ok_or(KeeperError::NoNode)
    }

    /// Adds a change of a node that stays or comes, with the digests that it makes (Java: precalculateDigest,
    /// addChangeRecord). The record still has the digest of the node before: that of its duplicate, or 0.
    fn add_change_record(&mut self, mut record: ChangeRecord) {
        if self.digest_enabled {
            let stat = record.stat.clone().unwrap_or_default();
            let old = record.node_digest;
            record.node_digest =
                digest_calculator::with_state(&record.path, record.content_digest, &stat);
            record.tree_digest = self
                .changes
                .current_tree_digest(self.tree)
                .wrapping_sub(i64::from(old))
                .wrapping_add(i64::from(record.node_digest));
        }
        self.changes.add(record);
    }

    /// Adds the end of a node.
    fn add_removal(&mut self, zxid: Zxid, path: &str, child_count: i32) {
        let mut record = ChangeRecord {
            zxid,
            path: path.into(),
            stat: None,
            child_count,
            acl: Arc::new([]),
            data_len: None,
            content_digest: 0,
            node_digest: 0,
            tree_digest: 0,
        };
        if self.digest_enabled {
            let old = self.record_for_path(path).map_or(0, |old| old.node_digest);
            record.tree_digest =
                self.changes.current_tree_digest(self.tree).wrapping_sub(i64::from(old));
        }
        self.changes.add(record);
    }

    /// The parent of a node that is to be created; its path's own syntax is checked later (Java:
    /// validatePathForCreate).
    fn validate_path_for_create<'p>(&self, path: &'p str) -> Result<&'p str, KeeperError> {
        match path.rfind('/') {
            Some(slash) if !path.contains('\0') => Ok(parent_or_root(path, slash)),
            _ => Err(KeeperError::BadArguments),
        }
    }

    fn read<T: Record>(&self, request: &Request) -> Result<T, InputError> {
        request.read_request_record(self.server.limits())
    }

    /// Decodes the request and takes a zxid for it. A null where there must be a value takes one, too: Java finds it
    /// only when it looks at the value.
    fn begin_with<T: Record>(&mut self, request: &mut Request, op: OpCode) -> Result<T, PrepError> {
        let record = self.read::<T>(request);
        match record {
            Ok(record) => {
                self.begin(request, op);
                Ok(record)
            }
            Err(InputError::Null { tag }) => {
                self.begin(request, op);
                Err(match (op, tag) {
                    (OpCode::SetData | OpCode::SetAcl, "path") => KeeperError::BadArguments.into(),
                    _ => InputError::Null { tag }.into(),
                })
            }
            Err(problem) => Err(problem.into()),
        }
    }

    /// Takes a zxid for the request: from here on it is a transaction, if only an error.
    fn begin(&self, request: &mut Request, op: OpCode) {
        request.hdr = Some(TxnHeader {
            client_id: request.session_id,
            cxid: request.cxid,
            zxid: self.server.next_zxid(),
            time: self.server.clock().wall_ms(),
            r#type: op.code(),
        });
    }

    /// Whether the request's session still exists and belongs to its connection (Java: SessionTracker.checkSession).
    fn check_session(&self, request: &Request) -> Result<(), KeeperError> {
        self.server.check_session(request.session_id, request.owner)
    }

    fn validate_path(&self, path: &str, request: &Request) -> Result<(), KeeperError> {
        path_utils::validate_path(path).map_err(|reason| {
            info!(
                target: LOG,
                "Invalid path {path} with session {}, reason: {reason}",
                request.session_id
            );
            KeeperError::BadArguments
        })
    }

    /// The parent of a node that is to be deleted (Java: getParentPathAndValidate).
    fn get_parent_path_and_validate<'p>(&self, path: &'p str) -> Result<&'p str, KeeperError> {
        match path.rfind('/') {
            Some(slash) if !path.contains('\0') && !DataTree::is_special_path(path) => {
                Ok(parent_or_root(path, slash))
            }
            _ => Err(KeeperError::BadArguments),
        }
    }
}

/// The version after a change, if the client expected the one before (Java: checkAndIncVersion).
const fn check_and_inc_version(current: i32, expected: i32) -> Result<i32, KeeperError> {
    if expected != -1 && expected != current {
        return Err(KeeperError::BadVersion);
    }
    Ok(current.wrapping_add(1))
}

fn parent_or_root(path: &str, last_slash: usize) -> &str {
    if last_slash == 0 { "/" } else { &path[..last_slash] }
}

fn create_mode(flags: i32) -> Result<CreateMode, KeeperError> {
    CreateMode::from_flag(flags)
}

/// Zxid and time of the request's transaction.
fn txn_position(request: &Request) -> (Zxid, i64) {
    request.hdr.as_ref().map_or((Zxid::NONE, 0), |hdr| (hdr.zxid, hdr.time))
}

/// How a refusal is logged. Java logs errors of some kinds at INFO. Clients could fill the log with them, so only those
/// of `reconfig`, which is rare, are logged at INFO here.
fn level_of(request: &Request, answer: KeeperError) -> Level {
    let is_reconfig = request.op_type == OpCode::Reconfig.code();
    if is_reconfig && answer.code() > KeeperError::ApiError.code() {
        Level::Info
    } else {
        Level::Debug
    }
}

impl PrepRequestProcessor {
    /// Prepares a request, hdr and txn (Java: pRequest).
    fn p_request(
        &self,
        server: &ZooKeeperServer,
        changes: &mut OutstandingChanges,
        tree: &DataTree,
        request: &mut Request,
    ) {
        request.trace(LOG, CLIENT_PING_TRACE_MASK, 'P');
        if request.is_throttled || request.is_refused_eagerly {
            return;
        }
        let mut prep = Prep {
            server,
            changes,
            tree,
            digest_enabled: self.digest_enabled,
            close_session_txn_enabled: self.close_session_txn_enabled,
        };
        let mut prepared = prep.p_request_helper(request);
        if request.hdr.is_none() && is_awaited_by_learner(request) {
            // Its session's other requests wait for it there: whatever it is, it comes back.
            prep.begin(request, OpCode::Error);
            prepared = prepared.and(Err(KeeperError::Unimplemented.into()));
        }
        match prepared {
            Ok(()) => {}
            Err(PrepError::Answer(answer)) => {
                log!(
                    target: LOG,
                    level_of(request, answer),
                    "Got user-level KeeperException when processing {request} Error:{answer}"
                );
                refuse(request, answer);
            }
            Err(PrepError::Malformed(problem)) => {
                error!(target: LOG, "Failed to process {request}: {problem}");
                debug!(
                    target: LOG,
                    "Dumping request buffer for request type {}: 0x{}",
                    Request::op_name(request.op_type),
                    request.request_digest()
                );
                // Java logs a second transaction with the zxid of the one before when none was taken. A log file that
                // begins with it hides the file of the true one. What a learner waits for has taken one above.
                refuse(request, KeeperError::MarshallingError);
            }
        }
        if request.hdr.is_some() {
            serialize(request, &mut changes.txn_bytes);
            if changes.txn_bytes.len() > server.limits().max_length() {
                shorten(request, changes);
                serialize(request, &mut changes.txn_bytes);
            }
            request.txn_bytes = changes.txn_bytes.as_slice().into();
            if changes.txn_bytes.capacity() > KEPT_CAPACITY {
                changes.txn_bytes = Vec::new();
            }
        }
    }
}

/// Whether a learner has forwarded the request, and gets its answer with a transaction. A `sync` is answered otherwise.
fn is_awaited_by_learner(request: &Request) -> bool {
    request.owner.is_learner() && request.op_type != OpCode::Sync.code()
}

/// The request is answered with an error. If it has taken a zxid, its transaction is that error.
fn refuse(request: &mut Request, answer: KeeperError) {
    if let Some(hdr) = &mut request.hdr {
        hdr.r#type = OpCode::Error.code();
        request.txn = Some(TxnBody::Error(ErrorTxn { err: answer.code() }));
    }
    request.exception = Some(answer);
}

fn serialize(request: &Request, bytes: &mut Vec<u8>) {
    bytes.clear();
    if let Some(hdr) = &request.hdr {
        serialize_txn(hdr, request.txn.as_ref(), request.txn_digest.as_ref(), bytes);
    }
}

/// Makes a transaction short that no server can read, neither from its log nor from its leader. If it were logged, no
/// server that has it could start again. Java logs it.
fn shorten(request: &mut Request, changes: &mut OutstandingChanges) {
    let length = changes.txn_bytes.len();
    // Without a record, readers would take the digest for it.
    request.txn_digest = None;
    if let Some(TxnBody::CloseSession(txn)) = &request.txn {
        info!(
            target: LOG,
            "The end of session {} is logged without the names of its {} ephemeral nodes, which have {length} bytes",
            request.session_id,
            txn.paths2_delete.len()
        );
        // Each server knows the nodes itself and deletes them, as before 3.6.
        request.txn = None;
        return;
    }
    warn!(
        target: LOG,
        "Refusing {request}: its transaction has {length} bytes, and no server reads more than jute.maxbuffer and \
         jute.maxbuffer.extrasize together"
    );
    if let Some(hdr) = &request.hdr {
        changes.take_back(hdr.zxid);
    }
    refuse(request, KeeperError::MarshallingError);
}

impl Prep<'_> {
    /// Decodes the request and hands it to its operation (Java: pRequestHelper).
    fn p_request_helper(&mut self, request: &mut Request) -> Result<(), PrepError> {
        let Ok(op) = OpCode::try_from(request.op_type) else {
            warn!(target: LOG, "unknown type {}", request.op_type);
            return Ok(());
        };
        match op {
            OpCode::Create | OpCode::Create2 | OpCode::CreateContainer => {
                let record = self.begin_with::<CreateRequest>(request, op)?;
                self.p_request_2_txn_create(request, op, create::NewNode::from(record))?;
            }
            OpCode::CreateTtl => {
                let record = self.begin_with::<CreateTTLRequest>(request, op)?;
                self.p_request_2_txn_create(request, op, create::NewNode::from(record))?;
            }
            OpCode::DeleteContainer => {
                let record = self.begin_with::<DeleteContainerRequest>(request, op)?;
                self.delete_container(request, &record.path)?;
            }
            OpCode::Delete => {
                let record = self.begin_with::<DeleteRequest>(request, op)?;
                self.delete(request, &record)?;
            }
            OpCode::SetData => {
                let record = self.begin_with::<SetDataRequest>(request, op)?;
                self.set_data(request, record)?;
            }
            OpCode::Reconfig => {
                let record = self.begin_with::<ReconfigRequest>(request, op)?;
                self.reconfig(request, &record)?;
            }
            OpCode::SetAcl => {
                let record = self.begin_with::<SetACLRequest>(request, op)?;
                self.set_acl(request, record)?;
            }
            OpCode::Multi => self.multi(request)?,
            OpCode::CreateSession | OpCode::CloseSession if request.is_local_session => {}
            OpCode::CreateSession => {
                self.begin(request, op);
                self.create_session(request)?;
            }
            OpCode::CloseSession => {
                self.begin(request, op);
                self.close_session(request)?;
            }
            // Reads come by here only when something before them keeps them from being answered at once.
            _ => self.check_session(request)?,
        }
        if request.hdr.is_some() && request.txn_digest.is_none() {
            self.set_txn_digest(request);
        }
        Ok(())
    }
}

impl RequestProcessor for PrepRequestProcessor {
    fn process_request(&self, mut request: Box<Request>) {
        let Some(server) = self.server.upgrade() else { return };
        request.prep_queue_start_ms = server.clock().elapsed_ms();
        self.submitted_requests.put(request);
        server.server_metrics().prep_processor_queued.add(1);
    }

    fn process_requests(&self, requests: &mut Vec<Box<Request>>) {
        let Some(server) = self.server.upgrade() else { return requests.clear() };
        let now_ms = server.clock().elapsed_ms();
        let count = i64::try_from(requests.len()).unwrap_or(i64::MAX);
        for mut request in requests.drain(..) {
            request.prep_queue_start_ms = now_ms;
            self.submitted_requests.put(request);
        }
        server.server_metrics().prep_processor_queued.add(count);
    }

    fn flush(&self, by: Worker) -> Left {
        let Ok(()) = self.submitted_requests.work(by, |(), group| {
            self.p_requests(group);
            Ok::<(), Infallible>(())
        });
        // After the step: another thread can prepare requests while this one writes the log.
        self.next.flush(by)
    }

    fn shutdown(&self) {
        info!(target: LOG, "Shutting down");
        self.submitted_requests.end(|(), left| self.p_requests(left));
        self.next.shutdown();
    }
}

impl Prep<'_> {
    fn content_digest(&self, path: &str, data: Option<&[u8]>) -> u32 {
        if self.digest_enabled { digest_calculator::content_digest(path, data) } else { 0 }
    }

    /// Gives the transaction the digest of the tree after it (Java: setTxnDigest).
    fn set_txn_digest(&self, request: &mut Request) {
        if self.digest_enabled {
            request.txn_digest = Some(TxnDigest {
                version: digest_calculator::DIGEST_VERSION,
                tree_digest: self.changes.current_tree_digest(self.tree),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expected_version_of_minus_one_matches_any_and_versions_wrap() {
        assert_eq!(check_and_inc_version(5, -1), Ok(6));
        assert_eq!(check_and_inc_version(5, 5), Ok(6));
        assert_eq!(check_and_inc_version(5, 4), Err(KeeperError::BadVersion));
        assert_eq!(check_and_inc_version(i32::MAX, i32::MAX), Ok(i32::MIN));
    }

    #[test]
    fn the_parent_of_a_top_level_node_is_the_root() {
        assert_eq!(parent_or_root("/a", 0), "/");
        assert_eq!(parent_or_root("/a/b", 2), "/a");
    }
}
