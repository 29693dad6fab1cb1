//! The input of a connection: requests from frames (Java: readLength, readPayload,
//! readRequest and readConnectRequest of server/NIOServerCnxn.java, processPacket of server/ZooKeeperServer.java).
//!
//! A frame's length is checked before memory is reserved for it, and the buffer grows only with the bytes that
//! arrive. Reads of a session that has nothing under way are answered here. All reads of one batch share one lock of
//! the tree.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use byteorder::{BigEndian, ByteOrder};
use log::{debug, info, warn};

use super::input_buffer::{CnxnInput, LEN_FIELD};
use super::{DisconnectReason, LOG, ServerCnxn};
use crate::ids::Zxid;
use crate::jute::{BinaryInputArchive, Limits};
use crate::keeper_exception::KeeperError;
use crate::proto::ConnectRequest;
use crate::server::command::four_letter_commands;
// tidy: layer: reads are answered on the thread of their connection
use crate::server::final_request_processor::{NotAnswered, Reads, may_take_long};
use crate::server::first_bytes::looks_like;
// tidy: layer: the input of a connection becomes requests, as in Java
use crate::server::request::Request;
use crate::server::server_cnxn_factory::ServerCnxnFactory;
use crate::server::zoo_trace::{self, CLIENT_REQUEST_TRACE_MASK, SERVER_PING_TRACE_MASK};
// tidy: layer: a connection knows its server, as in Java
use crate::server::zookeeper_server::ZooKeeperServer;
use crate::zoo_defs::OpCode;

/// The answer to a four-letter word counts as packets of this many bytes, because Java's writer splits it so.
const WORD_PACKET: usize = 8192;

/// The bytes of a RequestHeader: xid and type.
const REQUEST_HEADER: usize = 8;

/// How many reads of a connection wait for the requests before them. The thread that applies the write before answers
/// them while the tree is locked, so further ones are not read.
const MOST_PARKED: usize = 256;

/// The name of another logger in Java.
const FINAL_REQUEST_PROCESSOR: &str = "org.apache.zookeeper.server.FinalRequestProcessor";

/// What the reader does after the input was processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputState {
    /// Read more.
    More,
    /// Wait until the connection may be read again, then process what is left.
    Stopped,
    /// A four-letter word was answered, or the last reply is queued: read no more.
    Done,
    /// Close for this reason.
    Close(DisconnectReason),
}

impl ServerCnxn {
    /// Processes all complete frames. The result says whether the caller reads on, waits or closes.
    pub fn process_input(self: &Arc<Self>, input: &mut CnxnInput) -> InputState {
        self.process(input, usize::MAX)
    }

    /// For a thread of the pool: as [`process_input`](Self::process_input), but stops at the second read that takes long,
    /// so that it is the turn of other connections.
    pub(in crate::server) fn process_one_long_read(
        self: &Arc<Self>,
        input: &mut CnxnInput,
    ) -> InputState {
        self.process(input, 1)
    }

    fn process(self: &Arc<Self>, input: &mut CnxnInput, long_reads: usize) -> InputState {
        let mut requests = Vec::new();
        let state = self.gather(input, &mut requests, long_reads);
        if let Some(server) = self.server() {
            server.submit_requests(requests, self.worker());
        }
        self.flush();
        if let Some(server) = self.server() {
            server.flush_list().flush();
        }
        input.shrink();
        state
    }

    /// For a selector: as [`process_input`](Self::process_input), but requests for the processors are added to
    /// `requests`. The caller submits those of all its connections together, and flushes the connection. It stops at a
    /// read that takes long: [`CnxnInput::begins_with_long_request`].
    pub(in crate::server) fn gather_input(
        self: &Arc<Self>,
        input: &mut CnxnInput,
        requests: &mut Vec<Box<Request>>,
    ) -> InputState {
        self.gather(input, requests, 0)
    }

    fn gather(
        self: &Arc<Self>,
        input: &mut CnxnInput,
        requests: &mut Vec<Box<Request>>,
        long_reads: usize,
    ) -> InputState {
        while !input.initialized {
            if self.is_recv_stopped() {
                return InputState::Stopped;
            }
            match self.process_first_frame(input) {
                Ok(true) => {}
                Ok(false) => return InputState::More,
                Err(state) => return state,
            }
        }
        let Some(server) = self.server() else {
            return InputState::Close(DisconnectReason::IoException);
        };
        self.process_requests(server, input, requests, long_reads)
    }

    /// Reads a frame's length and checks it. `Ok(None)` if it has not arrived yet.
    fn checked_len(&self, input: &CnxnInput) -> Result<Option<usize>, InputState> {
        let Some(len) = input.next_len() else { return Ok(None) };
        let close = InputState::Close(DisconnectReason::IoException);
        let Some(server) = self.server().filter(|server| server.is_running()) else {
            warn!(target: LOG, "Close of session {}: ZooKeeperServer not running", self.session_id());
            return Err(close);
        };
        let limit = server.limits().max_buffer;
        match usize::try_from(len) {
            Ok(len) if len <= limit => {
                if let Err(rejected) = server.large_requests().check_when_receiving(len) {
                    server.server_metrics().large_requests_rejected.add(1);
                    warn!(target: LOG, "Close of session {}: {rejected}", self.session_id());
                    return Err(close);
                }
                Ok(Some(len))
            }
            _ => {
                warn!(
                    target: LOG,
                    "Close of session {}: Len error. A message from /{} with advertised length of {len} is \
                     either a malformed message or too large to process (length is greater than \
                     jute.maxbuffer={limit}){}",
                    self.session_id(),
                    self.remote,
                    stranger(server, input.initialized, input.unprocessed())
                );
                Err(close)
            }
        }
    }

    /// Processes a four-letter word or a ConnectRequest. `Ok(false)` if it has not arrived completely.
    fn process_first_frame(self: &Arc<Self>, input: &mut CnxnInput) -> Result<bool, InputState> {
        let Some(word) = input.next_len() else { return Ok(false) };
        if four_letter_commands::is_known(word) {
            return self.process_word(word, input);
        }
        let Some(len) = self.checked_len(input)? else { return Ok(false) };
        // The start of the frame's length field, for the log in case no client sent the frame.
        let from = input.start;
        let close = |reason| Err(InputState::Close(reason));
        let Some(server) = self.server() else { return close(DisconnectReason::IoException) };
        let Some(frame) = input.take_frame(len) else {
            return Err(self.wait_for_rest(server, input, len));
        };
        self.frame_is_here(input);
        input.room = None;
        self.note_packet_received(server, LEN_FIELD + len);
        let request = match self.read_connect_request(&input.buffer[frame], server.limits()) {
            Ok(request) => request,
            Err(error) => {
                warn!(
                    target: LOG,
                    "Close of session {}: what /{} has sent is not a ConnectRequest: {error}{}",
                    self.session_id(),
                    self.remote,
                    stranger(server, false, &input.buffer[from..input.end])
                );
                return close(DisconnectReason::IoException);
            }
        };
        self.greeted.store(true, Ordering::Relaxed);
        self.disable_recv();
        if let Err(reason) = server.process_connect_request(self, &request) {
            return close(reason);
        }
        input.initialized = true;
        Ok(true)
    }

    /// Java: ProtocolManager.deserializeConnectRequest.
    fn read_connect_request(
        &self,
        frame: &[u8],
        limits: Limits,
    ) -> Result<ConnectRequest, crate::jute::InputError> {
        let mut archive = BinaryInputArchive::new(frame, limits);
        let mut request = ConnectRequest {
            protocol_version: archive.read_int()?,
            last_zxid_seen: Zxid(archive.read_long()?),
            time_out: archive.read_int()?,
            session_id: crate::ids::SessionId(archive.read_long()?),
            passwd: archive.read_buffer("passwd")?,
            read_only: false,
        };
        // Clients before 3.4 do not send this field.
        if let Ok(read_only) = archive.read_bool() {
            request.read_only = read_only;
            self.read_only_available.store(true, Ordering::Relaxed);
        }
        Ok(request)
    }

    fn process_word(&self, word: i32, input: &mut CnxnInput) -> Result<bool, InputState> {
        let Some(factory) = self.factory.upgrade() else {
            return Err(InputState::Close(DisconnectReason::ServerShutdown));
        };
        let mut argument = None;
        if factory.word_argument_bytes(word) > 0 {
            let from = input.start + LEN_FIELD;
            let mask = input.buffer[..input.end].get(from..).and_then(|bytes| bytes.get(..8));
            let Some(mask) = mask else { return Ok(false) };
            argument = Some(BigEndian::read_i64(mask));
        }
        let answer = || self.answer_word(&*factory, word, argument);
        let answered = match self.server().filter(|_| four_letter_commands::may_be_long(word)) {
            Some(server) => match server.memory().make_report(answer) {
                Some(answered) => answered,
                None => return Err(self.await_answer_room(1)),
            },
            None => answer(),
        };
        if answered.is_none() {
            return Err(InputState::Close(DisconnectReason::IoException));
        }
        self.output.close_when_sent();
        Err(InputState::Done)
    }

    /// Answers a four-letter word. None if the word is not a command.
    fn answer_word(
        &self,
        factory: &dyn ServerCnxnFactory,
        word: i32,
        argument: Option<i64>,
    ) -> Option<()> {
        match self.server() {
            Some(server) => self.note_packet_received(server, LEN_FIELD),
            None => self.stats.packet_received(),
        }
        info!(
            target: LOG,
            "Processing {} command from /{}",
            four_letter_commands::command_string(word).unwrap_or("null"),
            self.remote
        );
        self.probe.store(true, Ordering::Relaxed);
        self.greeted.store(true, Ordering::Relaxed);
        let answer = factory.four_letter_word(word, argument)?;
        let packets = answer.len().div_ceil(WORD_PACKET);
        self.append_raw(answer.into_bytes(), packets);
        Some(())
    }

    fn note_packet_received(&self, server: &ZooKeeperServer, bytes: usize) {
        self.stats.packet_received();
        server.server_stats().packet_received(bytes);
    }

    /// Waits for the rest of a frame. A long frame gets its buffer, if there is room for it.
    fn wait_for_rest(
        &self,
        server: &ZooKeeperServer,
        input: &mut CnxnInput,
        len: usize,
    ) -> InputState {
        if input.needs_room(len) {
            match self.frame_room(server, LEN_FIELD + len) {
                Ok(room) => input.grow(len, room),
                Err(stopped) => return stopped,
            }
        }
        InputState::More
    }

    /// Called when a frame was taken. A long one keeps its room until it is processed. What is kept of it then counts as
    /// a request.
    fn frame_is_here(&self, input: &CnxnInput) {
        if input.room.is_some() {
            self.frame_is_whole();
        }
    }

    /// Processes all complete requests: answers reads that may run now, and adds requests for the processors to the
    /// batch. Stops after as many reads that take long.
    fn process_requests(
        self: &Arc<Self>,
        server: &Arc<ZooKeeperServer>,
        input: &mut CnxnInput,
        requests: &mut Vec<Box<Request>>,
        long_reads: usize,
    ) -> InputState {
        input.is_head_long = false;
        // One lock of the tree for all consecutive reads.
        let mut reads = Reads::new(server, self, long_reads);
        loop {
            if self.is_stale() {
                return InputState::Close(DisconnectReason::Unknown);
            }
            let len = match self.next_request_len(server, input, &mut reads) {
                Ok(len) => len,
                Err(state) => return state,
            };
            let head = input.start;
            let Some(frame) = input.take_frame(len) else {
                return self.wait_for_rest(server, input, len);
            };
            let is_counted = mem::take(&mut input.is_head_counted);
            if !is_counted {
                self.frame_is_here(input);
                self.note_packet_received(server, LEN_FIELD + len);
            }
            let frame = &input.buffer[frame];
            let (Some(xid), Some(op_type)) = (int(frame, 0), int(frame, 4)) else {
                warn!(target: LOG, "Close of session {}: a frame of {len} bytes has no header", self.session_id());
                return InputState::Close(DisconnectReason::IoException);
            };
            let payload = &frame[REQUEST_HEADER..];
            if xid > 0 && !is_counted {
                self.outstanding.fetch_add(1, Ordering::Relaxed);
            }
            match OpCode::try_from(op_type) {
                Ok(op @ (OpCode::Auth | OpCode::Sasl)) => {
                    reads.finish();
                    if let Some(state) = self.authenticate(server, op, xid, payload) {
                        return state;
                    }
                }
                Ok(_) if !server.enforce_authentication(self, xid) => {
                    reads.finish();
                    return InputState::Done;
                }
                Ok(op) if !enters_pipeline(server, op) => {
                    if let Err(why) = self.read(server, &mut reads, op, xid, payload) {
                        (input.start, input.is_head_counted) = (head, true);
                        return self.stop_at_read(input, why);
                    }
                }
                // Unknown operations, too: they are refused in their turn.
                _ => {
                    reads.finish();
                    if let Some(close) = self.submit_later(server, requests, xid, op_type, payload)
                    {
                        return close;
                    }
                }
            }
            input.room = None;
        }
    }

    /// Answers a read, or queues it behind the requests before it.
    fn read(
        self: &Arc<Self>,
        server: &ZooKeeperServer,
        reads: &mut Reads<'_>,
        op: OpCode,
        xid: i32,
        payload: &[u8],
    ) -> Result<(), NotAnswered> {
        if !self.pending_is_idle() {
            // What follows looks into the tree.
            reads.finish();
            if self.waits_for_all(server, op, payload) {
                return Err(NotAnswered::WaitsForAll);
            }
        }
        if !self.is_next(server, xid, op.code(), payload) {
            return Ok(());
        }
        self.trace_read(server, xid, op.code(), payload);
        reads.answer(op, xid, payload)
    }

    /// What to do when the first request is a read that was not answered.
    fn stop_at_read(&self, input: &mut CnxnInput, why: NotAnswered) -> InputState {
        match why {
            NotAnswered::NoRoom { bytes } => {
                // A selector then hands it over without a look at it.
                input.is_head_long = true;
                self.await_answer_room(bytes)
            }
            NotAnswered::WaitsForAll => {
                self.recv_stopped.store(true, Ordering::Release);
                InputState::Stopped
            }
            NotAnswered::TakesLong => {
                input.is_head_long = true;
                InputState::More
            }
        }
    }

    /// Reads do not pass the processors, but the log shows them as FinalRequestProcessor does.
    fn trace_read(self: &Arc<Self>, server: &ZooKeeperServer, xid: i32, op: i32, payload: &[u8]) {
        let kinds = CLIENT_REQUEST_TRACE_MASK | SERVER_PING_TRACE_MASK;
        if zoo_trace::is_trace_enabled(FINAL_REQUEST_PROCESSOR, kinds) {
            let request = self.request(server, xid, op, payload);
            request.trace(FINAL_REQUEST_PROCESSOR, SERVER_PING_TRACE_MASK, 'E');
        }
    }

    /// The length of the next request, if it may be processed now.
    fn next_request_len(
        &self,
        server: &ZooKeeperServer,
        input: &CnxnInput,
        reads: &mut Reads<'_>,
    ) -> Result<usize, InputState> {
        if self.is_recv_stopped() || self.is_output_full(reads) {
            return Err(InputState::Stopped);
        }
        let len = self.checked_len(input)?.ok_or(InputState::More)?;
        // The check comes only when there is a next request: a client that waits for each answer has none, and its
        // reader need not be stopped and woken.
        if self.stops_before_next(server) {
            return Err(InputState::Stopped);
        }
        Ok(len)
    }

    /// Authenticates the client. Returns what to do with the connection if it must not be read on.
    fn authenticate(
        self: &Arc<Self>,
        server: &ZooKeeperServer,
        op: OpCode,
        xid: i32,
        payload: &[u8],
    ) -> Option<InputState> {
        if op == OpCode::Auth {
            server.process_auth(self, xid, payload)
        } else {
            server.process_sasl(self, xid, payload)
        }
    }

    /// Whether a read that may take long must wait until all requests before it are answered. The reader stops then. Other
    /// reads are answered by the thread that applies the write before them, while the tree is locked.
    fn waits_for_all(&self, server: &ZooKeeperServer, op: OpCode, payload: &[u8]) -> bool {
        (self.pending.parked() >= MOST_PARKED || may_take_long(server, op, payload))
            && self.pending.await_idle()
    }

    /// Whether a read may run now. Otherwise it is queued behind the requests before it.
    fn is_next(
        self: &Arc<Self>,
        server: &ZooKeeperServer,
        xid: i32,
        op_type: i32,
        payload: &[u8],
    ) -> bool {
        if self.pending_is_idle() {
            return true;
        }
        self.pending.park(self.request(server, xid, op_type, payload)).is_some()
    }

    /// Whether too many answers wait for the socket. Then the reader stops.
    fn is_output_full(&self, reads: &mut Reads<'_>) -> bool {
        if !self.output.is_full() {
            return false;
        }
        // The answers that the batch has gathered were not offered to the socket yet.
        reads.finish();
        self.flush();
        let is_full = self.output.is_full();
        if is_full {
            self.recv_stopped.store(true, Ordering::Release);
        }
        is_full
    }

    fn request(
        self: &Arc<Self>,
        server: &ZooKeeperServer,
        xid: i32,
        op_type: i32,
        payload: &[u8],
    ) -> Box<Request> {
        let mut payload: Box<[u8]> = payload.into();
        if op_type == OpCode::CreateSession.code() {
            limit_session_timeout(server, &mut payload);
        }
        let mut request = Request::new(
            Some(Arc::clone(self)),
            self.session_id(),
            xid,
            op_type,
            Some(payload),
            self.auth_info(),
        );
        request.create_time_ms = server.clock().elapsed_ms();
        request.owner = server.local_owner();
        request.hold();
        Box::new(request)
    }

    /// Adds a request to the batch for the processors. If the request is too large, the connection must be closed
    /// instead.
    fn submit_later(
        self: &Arc<Self>,
        server: &ZooKeeperServer,
        requests: &mut Vec<Box<Request>>,
        xid: i32,
        op_type: i32,
        payload: &[u8],
    ) -> Option<InputState> {
        let mut request = self.request(server, xid, op_type, payload);
        match server.large_requests().received(payload.len()) {
            Ok(size) => request.large_request_size = size,
            Err(rejected) => {
                server.server_metrics().large_requests_rejected.add(1);
                warn!(target: LOG, "Close of session {}: {rejected}", self.session_id());
                return Some(InputState::Close(DisconnectReason::IoException));
            }
        }
        self.pipeline_entered();
        requests.push(request);
        None
    }

    /// Answers a request with an unknown operation, and closes the connection (Java: UnimplementedRequestProcessor).
    pub fn refuse_unknown(&self, xid: i32) {
        debug!(target: LOG, "unknown operation on session {}", self.session_id());
        self.append_reply(xid, Zxid::NONE, KeeperError::Unimplemented.code(), |_| {});
        self.send_close_session();
    }
}

/// Whether a request goes through the processors: writes, requests that the processors refuse, and a `sync` if
/// another server must confirm that everything before it is committed.
fn enters_pipeline(server: &ZooKeeperServer, op: OpCode) -> bool {
    Request::is_write(op)
        || !Request::is_valid(op)
        || op == OpCode::Sync && server.role().orders_syncs()
}

/// Limits the timeout in a `createSession` request, which normally only servers send each other. A client that sends
/// one gets no timeout that it could not have asked for when it connected (Java: no limit).
fn limit_session_timeout(server: &ZooKeeperServer, payload: &mut [u8]) {
    if let Some(bytes) = payload.get_mut(..4) {
        let settings = server.settings();
        let asked_ms = BigEndian::read_i32(bytes);
        let timeout_ms =
            asked_ms.max(settings.min_session_timeout_ms).min(settings.max_session_timeout_ms);
        BigEndian::write_i32(bytes, timeout_ms);
    }
}

/// A hint for the log, if the first bytes look like those for another port.
fn stranger(server: &ZooKeeperServer, is_known: bool, first: &[u8]) -> String {
    let other = if is_known { None } else { looks_like(first) };
    other.map_or_else(String::new, |other| {
        format!("; {}", other.hint(Some(server.settings().http_ports)))
    })
}

fn int(bytes: &[u8], at: usize) -> Option<i32> {
    bytes.get(at..)?.get(..4).map(BigEndian::read_i32)
}
