//! Reads, one function per operation (Java: the cases of processRequest in server/FinalRequestProcessor.java).
//!
//! All reads run while the tree is locked. `multi_read` has a file of its own. A connection's reader answers its own
//! session through [`Reads`]: the reads of one batch share one lock of the tree and one append to the output.

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::Arc;

use byteorder::{BigEndian, ByteOrder};
use log::{debug, error, warn};

use super::{LOG, PING_XID};
use crate::data::{ACL, Id};
use crate::jute::binary_input_archive::decode_text;
use crate::jute::{
    BinaryInputArchive, BinaryOutputArchive, InputError, Limits, OutputArchive, Record,
};
use crate::keeper_exception::KeeperError;
use crate::proto::{
    ErrorResponse, GetACLResponse, GetEphemeralsRequest, SetWatches, SetWatches2, WhoAmIResponse,
};
use crate::server::data_tree::{DataTree, NodeView};
use crate::server::memory_account::{AnswerRoom, SMALL_ANSWER};
use crate::server::reference_counted_acl_cache::AclKey;
use crate::server::request::Request;
use crate::server::server_cnxn::{ServerCnxn, write_frame};
use crate::server::server_watcher::WatcherRef;
use crate::server::util::auth_util;
use crate::server::zookeeper_server::ZooKeeperServer;
use crate::util::lock_rank::RankedReadGuard;
use crate::watcher::WatcherType;
use crate::zoo_defs::{OpCode, perms};

/// When there are more bytes of answers than this, they are appended to the output and the tree is released.
const ANSWERS_AT_ONCE: usize = 64 << 10;

/// The memory of a longer answer is prepared before the tree is locked, in bytes.
const LONG_ANSWER: usize = 1 << 20;

/// More children than this take long to list.
const MANY_CHILDREN: usize = 1_000;

/// A longer request takes long, in bytes: it names hundreds of nodes.
const LONG_REQUEST: usize = 16 << 10;

/// The bytes that may follow the longest part of an answer: a stat, the end of a `multiRead`.
const REST_OF_ANSWER: usize = 256;

/// The bytes of an event besides its path: the header of a reply with its length, type, state, the path's length.
const EVENT_OVERHEAD: usize = REPLY_HEADER + 4 + 4 + 4;

/// The bytes of a frame before its body: length, xid, zxid and err.
const REPLY_HEADER: usize = LENGTH_FIELD + 4 + 8 + 4;
const LENGTH_FIELD: usize = 4;

/// Java watches a null path like any other and shows it with this name. No node has this name.
const NULL_PATH: &str = "null";

/// Why a read has no complete body.
#[derive(Debug)]
pub(super) enum ReadError {
    Answer(KeeperError),
    Malformed(InputError),
    /// As `Malformed`, but the part of the body made before the error is sent, as in Java.
    MalformedAfter(InputError),
    /// The answer has no memory now.
    Short(Shortage),
}

impl From<KeeperError> for ReadError {
    fn from(error: KeeperError) -> Self {
        Self::Answer(error)
    }
}

impl From<InputError> for ReadError {
    fn from(error: InputError) -> Self {
        Self::Malformed(error)
    }
}

pub(super) type ReadResult = Result<(), ReadError>;

/// Why a read was not answered. Nothing of its answer was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotAnswered {
    /// There is no room in memory for the answer now, besides those that other clients have not taken yet.
    NoRoom {
        /// The length of the answer, as far as it is known.
        bytes: usize,
    },
    /// The read or its answer is long, and the caller is a selector, for which many other clients would wait.
    TakesLong,
    /// It takes long, and requests of its session before it are not answered yet.
    WaitsForAll,
}

/// What a long answer lacks. Nothing of it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shortage {
    /// There is no room for so many bytes.
    NoRoom { bytes: usize },
    /// The caller is to prepare the memory of so many bytes, and to ask again.
    Unprepared { bytes: usize },
    /// The caller may not take long.
    Time,
}

/// What becomes of a read that takes long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum IfLong {
    /// It is not answered: [`Shortage::Time`].
    Refuse,
    /// The caller prepares the memory of a long answer first: [`Shortage::Unprepared`].
    Prepare,
    /// It is answered.
    Answer,
}

/// The reads of one batch of a connection's input.
pub(crate) struct Reads<'a> {
    server: &'a Arc<ZooKeeperServer>,
    cnxn: &'a Arc<ServerCnxn>,
    /// How many more reads may take long.
    long_reads: usize,
    started: Option<Started<'a>>,
}

/// A batch that has begun, and that holds the tree's lock.
struct Started<'a> {
    tree: RankedReadGuard<'a, DataTree>,
    /// Whether the session is alive; if not, its requests are dropped without an answer, as in Java.
    alive: bool,
    auth_info: Arc<[Id]>,
    start_ms: i64,
    answers: Vec<u8>,
    /// The room of the long answers.
    room: AnswerRoom<'a>,
    count: u32,
    /// The number of answers with a positive xid.
    numbered: u32,
    /// The bytes of the answers that `response_bytes` does not count.
    uncounted: usize,
    last_xid: i32,
    last_operation: &'static str,
}

impl<'a> Reads<'a> {
    /// Creates an empty batch. The tree is locked at the first read.
    pub(in crate::server) fn new(
        server: &'a Arc<ZooKeeperServer>,
        cnxn: &'a Arc<ServerCnxn>,
        long_reads: usize,
    ) -> Self {
        Self { server, cnxn, long_reads, started: None }
    }

    /// Answers a read. No request of its session may be pending.
    ///
    /// # Errors
    /// When the answer is long, and there is no room for it now, or the caller may not take long.
    pub(crate) fn answer(
        &mut self,
        op: OpCode,
        xid: i32,
        payload: &[u8],
    ) -> Result<(), NotAnswered> {
        let if_long = if self.long_reads > 0 { IfLong::Prepare } else { IfLong::Refuse };
        let is_long = Cell::new(takes_long(op, payload));
        if is_long.get() && if_long == IfLong::Refuse {
            return Err(NotAnswered::TakesLong);
        }
        let mut answered = self.try_answer(op, xid, payload, if_long, &is_long);
        if let Err(Shortage::Unprepared { bytes }) = answered {
            is_long.set(true);
            // While the tree is not locked: changes would wait until the system has provided the memory, which takes
            // longer than filling it.
            self.finish();
            let room = AnswerRoom::new(self.server.memory());
            let memory = room.prepare(bytes).ok_or(NotAnswered::NoRoom { bytes })?;
            self.started = Some(Started::new(self.server, self.cnxn, room, memory));
            answered = self.try_answer(op, xid, payload, IfLong::Answer, &is_long);
        }
        if is_long.get() {
            self.long_reads = self.long_reads.saturating_sub(1);
        }
        answered.map_err(|shortage| match shortage {
            Shortage::NoRoom { bytes } | Shortage::Unprepared { bytes } => {
                NotAnswered::NoRoom { bytes }
            }
            Shortage::Time => NotAnswered::TakesLong,
        })
    }

    fn try_answer(
        &mut self,
        op: OpCode,
        xid: i32,
        payload: &[u8],
        if_long: IfLong,
        is_long: &Cell<bool>,
    ) -> Result<(), Shortage> {
        let (server, cnxn) = (self.server, self.cnxn);
        let started = self.started.get_or_insert_with(|| {
            Started::new(server, cnxn, AnswerRoom::new(server.memory()), Vec::new())
        });
        if !started.alive {
            debug!(target: LOG, "Dropping request: no session {} exists", cnxn.session_id());
            return Ok(());
        }
        if matches!(op, OpCode::SetWatches | OpCode::SetWatches2) {
            // This may append events at once, and the answers so far must come before them.
            started.append_answers(server, cnxn);
        }
        let Started { tree, auth_info, room, answers, .. } = started;
        let read = Read { server, tree, cnxn, auth_info, room, if_long, is_long };
        started.last_operation = read.append(op, xid, payload, answers)?;
        started.last_xid = xid;
        started.count += 1;
        started.numbered += u32::from(xid > 0);
        started.uncounted += uncounted_bytes(op);
        if started.answers.len() > ANSWERS_AT_ONCE || concerns_many_nodes(op) {
            self.finish();
        }
        Ok(())
    }

    /// Ends the batch: appends the answers to the output and releases the tree.
    pub(crate) fn finish(&mut self) {
        if let Some(mut started) = self.started.take() {
            started.append_answers(self.server, self.cnxn);
        }
    }
}

impl Drop for Reads<'_> {
    fn drop(&mut self) {
        self.finish();
    }
}

impl<'a> Started<'a> {
    /// Locks the tree.
    fn new(
        server: &'a Arc<ZooKeeperServer>,
        cnxn: &Arc<ServerCnxn>,
        room: AnswerRoom<'a>,
        answers: Vec<u8>,
    ) -> Self {
        Self {
            start_ms: server.clock().elapsed_ms(),
            alive: server.touch(cnxn),
            auth_info: cnxn.auth_info(),
            answers,
            room,
            count: 0,
            numbered: 0,
            uncounted: 0,
            last_xid: 0,
            last_operation: "NA",
            tree: server.zk_database().tree().read(),
        }
    }

    /// Called while the tree is locked, so that no event of a later change comes before these answers.
    fn append_answers(&mut self, server: &ZooKeeperServer, cnxn: &Arc<ServerCnxn>) {
        if self.count == 0 {
            return;
        }
        let now_ms = server.clock().elapsed_ms();
        let latency_ms = now_ms - self.start_ms;
        server.server_stats().update_latency(latency_ms, false, self.count);
        cnxn.stats().update_for_response(
            self.last_xid,
            self.tree.last_processed_zxid(),
            self.last_operation,
            latency_ms,
            now_ms,
            self.count,
        );
        let bytes = i64::try_from(self.answers.len() - self.uncounted).unwrap_or(i64::MAX);
        server.server_metrics().response_bytes.add(bytes);
        cnxn.append_replies(&mut self.answers, self.count, self.numbered);
        self.answers.clear();
        self.room.give_back();
        (self.count, self.numbered, self.uncounted) = (0, 0, 0);
    }
}

/// The bytes of an answer that `response_bytes` does not count, as in Java: the length field, and for a ping all
/// bytes.
const fn uncounted_bytes(op: OpCode) -> usize {
    if matches!(op, OpCode::Ping) { REPLY_HEADER } else { LENGTH_FIELD }
}

/// Answers a read that had to wait for earlier requests of its session. The caller holds the tree's lock.
pub(super) fn answer_parked(
    server: &Arc<ZooKeeperServer>,
    tree: &DataTree,
    cnxn: &Arc<ServerCnxn>,
    request: &Request,
) {
    if !server.touch(cnxn) {
        debug!(target: LOG, "Dropping request: no session {} exists", cnxn.session_id());
        return;
    }
    let Ok(op) = OpCode::try_from(request.op_type) else { return };
    if !cnxn.has_room_for_parked() {
        return;
    }
    let room = &AnswerRoom::new(server.memory());
    let auth_info = &request.auth_info;
    let (if_long, is_long) = (IfLong::Answer, &Cell::new(false));
    let read = Read { server, tree, cnxn, auth_info, room, if_long, is_long };
    let payload = request.payload.as_deref().unwrap_or_default();
    let mut answer = Vec::new();
    let operation = match read.append(op, request.cxid, payload, &mut answer) {
        Ok(operation) => operation,
        // The answer cannot wait, because later requests of its session are being applied.
        Err(Shortage::NoRoom { bytes } | Shortage::Unprepared { bytes }) => {
            return cnxn.cut_off(bytes);
        }
        // It does not happen, because it may take long.
        Err(Shortage::Time) => return cnxn.cut_off(0),
    };
    super::replies::update_stats(server, cnxn, request, operation, tree.last_processed_zxid());
    let bytes = i64::try_from(answer.len() - uncounted_bytes(op)).unwrap_or(i64::MAX);
    server.server_metrics().response_bytes.add(bytes);
    cnxn.append_replies(&mut answer, 1, u32::from(request.cxid > 0));
}

/// Whether a read takes long whatever its answer is. Reads with long answers are found when they are answered.
fn takes_long(op: OpCode, payload: &[u8]) -> bool {
    payload.len() > LONG_REQUEST || op == OpCode::GetAllChildrenNumber
}

/// Whether a read may take long, because it concerns many nodes, or a node with many children.
pub(crate) fn may_take_long(server: &ZooKeeperServer, op: OpCode, payload: &[u8]) -> bool {
    if takes_long(op, payload) {
        return true;
    }
    match op {
        OpCode::GetChildren | OpCode::GetChildren2 => {
            let Ok((path, _)) = path_and_rest(payload, server.limits()) else { return false };
            let tree = server.zk_database().tree().read();
            tree.node(&path).is_some_and(|node| node.child_count() > MANY_CHILDREN)
        }
        _ => concerns_many_nodes(op),
    }
}

/// Whether a read may concern so many nodes that the tree is released after it, so that changes do not also wait for the
/// next read.
const fn concerns_many_nodes(op: OpCode) -> bool {
    matches!(
        op,
        OpCode::MultiRead
            | OpCode::GetAllChildrenNumber
            | OpCode::GetEphemerals
            | OpCode::SetWatches
            | OpCode::SetWatches2
    )
}

/// One read and what it needs.
pub(super) struct Read<'a> {
    pub(super) server: &'a ZooKeeperServer,
    pub(super) tree: &'a DataTree,
    cnxn: &'a Arc<ServerCnxn>,
    auth_info: &'a [Id],
    room: &'a AnswerRoom<'a>,
    if_long: IfLong,
    /// Set if it takes long.
    is_long: &'a Cell<bool>,
}

impl Read<'_> {
    /// Appends the complete answer: header, and body or error. Returns the operation's short name.
    ///
    /// # Errors
    /// When there is no room for the answer, or its memory is to be prepared. Nothing is appended then.
    fn append(
        &self,
        op: OpCode,
        xid: i32,
        payload: &[u8],
        bytes: &mut Vec<u8>,
    ) -> Result<&'static str, Shortage> {
        let start = bytes.len();
        let xid = if op == OpCode::Ping { PING_XID } else { xid };
        let zxid = self.tree.last_processed_zxid();
        let mut result = Ok(());
        let mut name = "NA";
        write_frame(bytes, xid, zxid, 0, |body| {
            (name, result) = self.body(op, payload, body);
        });
        let keeps_body = matches!(result, Err(ReadError::MalformedAfter(_)));
        let err = match result {
            Ok(()) => return Ok(name),
            Err(ReadError::Short(shortage)) => {
                bytes.truncate(start);
                return Err(shortage);
            }
            Err(ReadError::Answer(answer)) => answer,
            Err(ReadError::Malformed(problem) | ReadError::MalformedAfter(problem)) => {
                error!(
                    target: LOG,
                    "Failed to process {} of session {}: {problem}",
                    op.java_name(),
                    self.cnxn.session_id()
                );
                KeeperError::MarshallingError
            }
        };
        let body = if keeps_body { bytes.split_off(start + REPLY_HEADER) } else { Vec::new() };
        bytes.truncate(start);
        write_frame(bytes, xid, zxid, err.code(), |bytes| bytes.extend(body));
        Ok(name)
    }

    /// Prepares for an answer with `more` additional bytes: the room of a long answer is reserved before it is made.
    pub(super) fn make_room(&self, body: &mut Vec<u8>, more: usize) -> ReadResult {
        if more <= SMALL_ANSWER {
            return Ok(());
        }
        let limit = self.server.memory().limits().response_bytes;
        if more > limit {
            warn!(
                target: LOG,
                "Refusing an answer of at least {more} bytes to {}: the longest one that is given has {limit} bytes \
                 (zookeeper.maxResponseBytes)",
                self.cnxn
            );
            return Err(KeeperError::MarshallingError.into());
        }
        // The memory is for the whole answer. A part of it may have been made.
        if self.room.use_prepared(body.len() + more) {
            return Ok(());
        }
        if more > LONG_ANSWER {
            match self.if_long {
                IfLong::Refuse => return Err(ReadError::Short(Shortage::Time)),
                IfLong::Prepare => {
                    let bytes = body.len() + more + REST_OF_ANSWER;
                    return Err(ReadError::Short(Shortage::Unprepared { bytes }));
                }
                IfLong::Answer => {}
            }
        }
        self.take_room(more)?;
        body.reserve_exact(more);
        Ok(())
    }

    fn take_room(&self, bytes: usize) -> ReadResult {
        if self.room.take(bytes) {
            return Ok(());
        }
        Err(ReadError::Short(Shortage::NoRoom { bytes }))
    }

    /// Called before so many children are listed. An error if that takes longer than it may.
    pub(super) fn lists(&self, children: usize) -> ReadResult {
        if children > MANY_CHILDREN {
            self.is_long.set(true);
            if self.if_long == IfLong::Refuse {
                return Err(ReadError::Short(Shortage::Time));
            }
        }
        Ok(())
    }

    fn body(&self, op: OpCode, payload: &[u8], body: &mut Vec<u8>) -> (&'static str, ReadResult) {
        match op {
            OpCode::Ping => ("PING", Ok(())),
            OpCode::GetData => ("GETD", self.handle_get_data_request(payload, body)),
            OpCode::Exists => ("EXIS", self.exists(payload, body)),
            OpCode::GetChildren => ("GETC", self.handle_get_children_request(payload, body, false)),
            OpCode::GetChildren2 => ("GETC", self.handle_get_children_request(payload, body, true)),
            OpCode::GetAcl => ("GETA", self.get_acl(payload, body)),
            OpCode::Sync => ("SYNC", self.sync(payload, body)),
            OpCode::MultiRead => ("MLTR", self.multi_read(payload, body)),
            OpCode::SetWatches => ("SETW", self.set_watches(payload)),
            OpCode::SetWatches2 => ("STW2", self.set_watches2(payload)),
            OpCode::AddWatch => ("ADDW", self.add_watch(payload, body)),
            OpCode::CheckWatches => ("CHKW", self.check_watches(payload)),
            OpCode::RemoveWatches => ("REMW", self.remove_watches(payload)),
            OpCode::GetEphemerals => ("GETE", self.get_ephemerals(payload, body)),
            OpCode::GetAllChildrenNumber => ("GETACN", self.get_all_children_number(payload, body)),
            OpCode::WhoAmI => ("HOMI", self.who_am_i(body)),
            // Writes and unknown operations never get here.
            _ => ("NA", Err(ReadError::Answer(KeeperError::Unimplemented))),
        }
    }

    pub(super) fn record<T: Record>(&self, payload: &[u8]) -> Result<T, InputError> {
        T::deserialize(&mut BinaryInputArchive::new(payload, self.server.limits()))
    }

    /// Decodes a record whose lists must not be null.
    fn record_without_nulls<T: Record>(&self, payload: &[u8]) -> Result<T, InputError> {
        let mut archive = BinaryInputArchive::new(payload, self.server.limits());
        let record = T::deserialize(&mut archive)?;
        if archive.has_null_vector() { Err(InputError::Null { tag: "list" }) } else { Ok(record) }
    }

    /// Reads a path, which may be null, and the number after it.
    fn watched_path<'p>(&self, payload: &'p [u8]) -> Result<(Cow<'p, str>, i32), InputError> {
        let (path, rest) = nullable_path_and_rest(payload, self.server.limits())?;
        let number = BinaryInputArchive::new(rest, self.server.limits()).read_int()?;
        Ok((path.unwrap_or(Cow::Borrowed(NULL_PATH)), number))
    }

    fn watcher(&self, watch: bool) -> Option<WatcherRef> {
        watch.then(|| WatcherRef(Arc::clone(self.cnxn) as _))
    }

    fn check_acl(&self, node: &NodeView<'_>, path: &str, perm: i32) -> Result<(), KeeperError> {
        if node.acl_key() == AclKey::OPEN_UNSAFE {
            return Ok(()); // world:anyone may do everything
        }
        self.server.check_acl(node.acl(), perm, self.auth_info, path, None)
    }

    /// The node, if it exists and may be read.
    pub(super) fn readable(&self, path: &str, perm: i32) -> Result<NodeView<'_>, KeeperError> {
        let node = self.tree.node(path).ok_or(KeeperError::NoNode)?;
        self.check_acl(&node, path, perm)?;
        Ok(node)
    }

    fn handle_get_data_request(&self, payload: &[u8], body: &mut Vec<u8>) -> ReadResult {
        let (path, watch) = path_and_watch(payload, self.server.limits())?;
        let node = self.readable(&path, perms::READ)?;
        self.make_room(body, node.data().map_or(0, <[u8]>::len))?;
        self.server.path_stats().register_request(OpCode::GetData, &path);
        let watcher = self.watcher(watch);
        let (data, stat) = self.tree.get_data(&path, watcher.as_ref())?;
        let mut archive = BinaryOutputArchive::new(body);
        archive.write_buffer(data, "data");
        stat.serialize(&mut archive);
        Ok(())
    }

    fn exists(&self, payload: &[u8], body: &mut Vec<u8>) -> ReadResult {
        let (path, watch) = path_and_watch(payload, self.server.limits())?;
        if path.contains('\0') {
            return Err(KeeperError::BadArguments.into());
        }
        if let Some(node) = self.tree.node(&path) {
            self.check_acl(&node, &path, perms::READ)?;
        }
        let stat = self.tree.stat_node(&path, self.watcher(watch).as_ref())?;
        self.server.path_stats().register_request(OpCode::Exists, &path);
        stat.serialize(&mut BinaryOutputArchive::new(body));
        Ok(())
    }

    fn handle_get_children_request(
        &self,
        payload: &[u8],
        body: &mut Vec<u8>,
        with_stat: bool,
    ) -> ReadResult {
        let (path, watch) = path_and_watch(payload, self.server.limits())?;
        let node = self.readable(&path, perms::READ)?;
        self.lists(node.child_count())?;
        self.append_texts(body, || node.children(), node.child_count())?;
        let (_, stat) = self.tree.children(&path, self.watcher(watch).as_ref())?;
        self.server.path_stats().register_request(OpCode::GetChildren2, &path);
        if with_stat {
            stat.serialize(&mut BinaryOutputArchive::new(body));
        }
        Ok(())
    }

    /// Appends a list of `count` texts. Its total length is computed only after it exceeds the usual length.
    fn append_texts<'t, I: Iterator<Item = &'t str>>(
        &self,
        body: &mut Vec<u8>,
        texts: impl Fn() -> I,
        count: usize,
    ) -> ReadResult {
        let start = body.len();
        BinaryOutputArchive::new(body).start_vector(Some(count), "list");
        let mut has_room = false;
        for text in texts() {
            if !has_room && body.len() - start > SMALL_ANSWER {
                self.make_room(body, texts().map(|text| 4 + text.len()).sum())?;
                has_room = true;
            }
            BinaryOutputArchive::new(body).write_string(Some(text), "e1");
        }
        Ok(())
    }

    fn get_acl(&self, payload: &[u8], body: &mut Vec<u8>) -> ReadResult {
        let (path, _) = path_and_rest(payload, self.server.limits())?;
        let (acl, stat) = self.tree.acl(&path)?;
        self.make_room(body, acl.iter().map(acl_bytes).sum())?;
        let acl = self.server.access().visible_acl(&acl, self.auth_info, &path)?;
        GetACLResponse { acl, stat }.serialize(&mut BinaryOutputArchive::new(body));
        Ok(())
    }

    fn sync(&self, payload: &[u8], body: &mut Vec<u8>) -> ReadResult {
        let (path, _) = nullable_path_and_rest(payload, self.server.limits())?;
        BinaryOutputArchive::new(body).write_string(path.as_deref(), "path");
        Ok(())
    }

    fn set_watches(&self, payload: &[u8]) -> ReadResult {
        let record: SetWatches = self.record_without_nulls(payload)?;
        self.set(&SetWatches2 {
            relative_zxid: record.relative_zxid,
            data_watches: record.data_watches,
            exist_watches: record.exist_watches,
            child_watches: record.child_watches,
            ..SetWatches2::default()
        })
    }

    fn set_watches2(&self, payload: &[u8]) -> ReadResult {
        self.set(&self.record_without_nulls(payload)?)
    }

    fn set(&self, watches: &SetWatches2) -> ReadResult {
        let may_fire =
            [&watches.data_watches, &watches.exist_watches, &watches.child_watches].into_iter();
        let events: usize = may_fire.flatten().map(|path| EVENT_OVERHEAD + path.len()).sum();
        if events > SMALL_ANSWER {
            self.take_room(events)?;
        }
        let watcher = WatcherRef(Arc::clone(self.cnxn) as _);
        self.tree.set_watches(watches, &watcher)?;
        Ok(())
    }

    fn add_watch(&self, payload: &[u8], body: &mut Vec<u8>) -> ReadResult {
        let (path, mode) = self.watched_path(payload)?;
        let watcher = WatcherRef(Arc::clone(self.cnxn) as _);
        self.tree.add_watch(&path, &watcher, mode)?;
        ErrorResponse { err: 0 }.serialize(&mut BinaryOutputArchive::new(body));
        Ok(())
    }

    fn check_watches(&self, payload: &[u8]) -> ReadResult {
        let (path, kind) = self.watched_path(payload)?;
        let kind = WatcherType::from_code(kind)?;
        let watcher = WatcherRef(Arc::clone(self.cnxn) as _);
        if !self.tree.contains_watcher(&path, kind, &watcher)? {
            return Err(KeeperError::NoWatcher.into());
        }
        Ok(())
    }

    fn remove_watches(&self, payload: &[u8]) -> ReadResult {
        let (path, kind) = self.watched_path(payload)?;
        let kind = WatcherType::from_code(kind)?;
        let watcher = WatcherRef(Arc::clone(self.cnxn) as _);
        if !self.tree.remove_watch(&path, kind, &watcher)? {
            return Err(KeeperError::NoWatcher.into());
        }
        Ok(())
    }

    fn get_ephemerals(&self, payload: &[u8], body: &mut Vec<u8>) -> ReadResult {
        let record: GetEphemeralsRequest = self.record(payload)?;
        let prefix = record.prefix_path.filter(|prefix| !matches!(prefix.trim(), "" | "/"));
        let prefix = prefix.unwrap_or_default();
        let session_id = self.cnxn.session_id();
        let paths =
            || self.tree.ephemeral_paths(session_id).filter(|path| path.starts_with(&prefix));
        self.lists(self.tree.ephemeral_paths(session_id).take(MANY_CHILDREN + 1).count())?;
        self.append_texts(body, paths, paths().count())
    }

    fn get_all_children_number(&self, payload: &[u8], body: &mut Vec<u8>) -> ReadResult {
        let (path, _) = path_and_rest(payload, self.server.limits())?;
        self.readable(&path, perms::READ)?;
        let number = self.tree.all_children_number(&path);
        let number = i32::try_from(number).unwrap_or(i32::MAX);
        BinaryOutputArchive::new(body).write_int(number, "totalNumber");
        Ok(())
    }

    fn who_am_i(&self, body: &mut Vec<u8>) -> ReadResult {
        let client_info = auth_util::client_infos(self.server.provider_registry(), self.auth_info);
        WhoAmIResponse { client_info }.serialize(&mut BinaryOutputArchive::new(body));
        Ok(())
    }
}

/// The length of an ACL entry in an answer, in bytes: permissions, and two strings with their lengths.
fn acl_bytes(entry: &ACL) -> usize {
    3 * LENGTH_FIELD + entry.id.scheme.len() + entry.id.id.len()
}

/// The path that a payload starts with, without a copy, and what follows it.
fn path_and_rest(payload: &[u8], limits: Limits) -> Result<(Cow<'_, str>, &[u8]), InputError> {
    let (path, rest) = nullable_path_and_rest(payload, limits)?;
    Ok((path.ok_or(InputError::Null { tag: "path" })?, rest))
}

/// The same for a path that may be null.
fn nullable_path_and_rest(
    payload: &[u8],
    limits: Limits,
) -> Result<(Option<Cow<'_, str>>, &[u8]), InputError> {
    const END: InputError = InputError::EndOfInput { what: "path" };
    let (field, rest) = payload.split_at_checked(4).ok_or(END)?;
    let len = BigEndian::read_i32(field);
    if len == -1 {
        return Ok((None, rest));
    }
    let limit = limits.max_length();
    match usize::try_from(len) {
        Ok(len) if len <= limit => {
            let (path, rest) = rest.split_at_checked(len).ok_or(END)?;
            Ok((Some(decode_text(path)), rest))
        }
        _ => Err(InputError::UnreasonableLength { what: "path", len, limit }),
    }
}

fn path_and_watch(payload: &[u8], limits: Limits) -> Result<(Cow<'_, str>, bool), InputError> {
    let (path, rest) = path_and_rest(payload, limits)?;
    let watch = rest.first().ok_or(InputError::EndOfInput { what: "watch" })?;
    Ok((path, *watch != 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::GetDataRequest;

    #[test]
    fn a_path_is_read_in_place_and_a_short_payload_is_refused() {
        let payload = GetDataRequest { path: "/a/b".into(), watch: true }.to_bytes();
        let (path, watch) = path_and_watch(&payload, Limits::default()).unwrap();
        assert!(matches!(path, Cow::Borrowed("/a/b")) && watch);
        for len in 0..payload.len() {
            assert!(path_and_watch(&payload[..len], Limits::default()).is_err(), "{len}");
        }
        let too_long = [0x7f, 0xff, 0xff, 0xff];
        assert!(matches!(
            path_and_rest(&too_long, Limits::default()),
            Err(InputError::UnreasonableLength { .. })
        ));
    }
}
