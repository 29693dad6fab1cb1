//! A request on its way through the processors (Java: server/Request.java).
//!
//! One processor at a time owns it: it moves from queue to queue in its box. Differs from Java: Prep serializes the
//! transaction once, and the log and the learners share these bytes.
//!
//! Elsewhere: mustDrop, isStale, isThrottlable and setIsThrottled are in `zookeeper_server/throttling`;
//! readRequestRecordNoException is a part of `EagerCheck::of_request` in `zookeeper_server/access`.

use std::fmt;
use std::sync::Arc;

use byteorder::{BigEndian, ByteOrder};

use crate::data::Id;
use crate::ids::{SessionId, Zxid};
use crate::jute::{BinaryInputArchive, InputError, Limits, Record};
use crate::keeper_exception::KeeperError;
use crate::server::memory_account::HeldRequest;
use crate::server::server_cnxn::ServerCnxn;
use crate::server::session_tracker::Owner;
use crate::server::util::serialize_utils::TxnBody;
use crate::server::zoo_trace::{self, CLIENT_REQUEST_TRACE_MASK};
use crate::txn::{TxnDigest, TxnHeader};
use crate::zoo_defs::OpCode;

/// A request of a client or of the server itself, and the results of its processing so far.
pub struct Request {
    /// The connection that gets the answer; none for requests of the server itself.
    pub cnxn: Option<Arc<ServerCnxn>>,
    /// The session.
    pub session_id: SessionId,
    /// The client's number of the request.
    pub cxid: i32,
    /// The operation's code, as received.
    pub op_type: i32,
    /// The bytes after the request header.
    pub payload: Option<Box<[u8]>>,
    /// The ids of the client.
    pub auth_info: Arc<[Id]>,
    /// When it arrived, ms of the server's clock.
    pub create_time_ms: i64,
    /// When it was queued for its preparation, ms of the server's clock.
    pub prep_queue_start_ms: i64,
    /// When it was queued for the log, ms of the server's clock.
    pub sync_queue_start_ms: i64,
    /// When it began to wait for its commit, ms of the server's clock; 0 if another server answers it.
    pub commit_proc_queue_start_ms: i64,
    /// When its commit arrived, ms of the server's clock.
    pub commit_recv_ms: i64,
    /// The owner that its session must have.
    pub owner: Owner,
    /// The header of its transaction; none for requests that make no transaction.
    pub hdr: Option<TxnHeader>,
    /// The record of its transaction.
    pub txn: Option<TxnBody>,
    /// The tree's digest after the transaction.
    pub txn_digest: Option<TxnDigest>,
    /// Header, record and digest, as in the log and in proposals (Java: getSerializeData); empty without a header.
    pub txn_bytes: Arc<[u8]>,
    /// The transaction's zxid. For other requests, the last zxid that was assigned when Prep saw the request.
    pub zxid: Zxid,
    /// Why it was refused.
    pub exception: Option<KeeperError>,
    /// Whether it waited too long and is answered with an error instead of being processed.
    pub is_throttled: bool,
    /// Whether it was refused before the leader saw it. Its answer has the zxid 0.
    pub is_refused_eagerly: bool,
    /// Whether its session is known only to this server.
    pub is_local_session: bool,
    /// The bytes that it counts among the large requests.
    pub large_request_size: Option<usize>,
    /// What it counts in the memory accounts; only requests of connections count.
    pub held: Option<HeldRequest>,
}

impl Drop for Request {
    fn drop(&mut self) {
        if let (Some(held), Some(cnxn)) = (self.held.take(), &self.cnxn) {
            held.let_go(cnxn);
        }
    }
}

impl Request {
    /// A request that no processor has seen yet.
    #[must_use]
    pub fn new(
        cnxn: Option<Arc<ServerCnxn>>,
        session_id: SessionId,
        cxid: i32,
        op_type: i32,
        payload: Option<Box<[u8]>>,
        auth_info: Arc<[Id]>,
    ) -> Self {
        Self {
            cnxn,
            session_id,
            cxid,
            op_type,
            payload,
            auth_info,
            create_time_ms: 0,
            prep_queue_start_ms: 0,
            sync_queue_start_ms: 0,
            commit_proc_queue_start_ms: 0,
            commit_recv_ms: 0,
            owner: Owner::default(),
            hdr: None,
            txn: None,
            txn_digest: None,
            txn_bytes: Arc::default(),
            zxid: Zxid::NONE,
            exception: None,
            is_throttled: false,
            is_refused_eagerly: false,
            is_local_session: false,
            large_request_size: None,
            held: None,
        }
    }

    /// Counts a connection's request in the memory accounts until it is dropped.
    pub fn hold(&mut self) {
        if let Some(cnxn) = &self.cnxn
            && self.held.is_none()
        {
            let payload = self.payload.as_ref().map_or(0, |payload| payload.len());
            self.held = Some(HeldRequest::new(cnxn, size_of::<Self>() + payload));
        }
    }

    /// Decodes the payload as the record of this operation (Java: readRequestRecord).
    ///
    /// # Errors
    /// When there is no payload, or it is not such a record.
    pub fn read_request_record<T: Record>(&self, limits: Limits) -> Result<T, InputError> {
        let payload = self.payload.as_deref().ok_or(InputError::Null { tag: "request" })?;
        T::deserialize(&mut BinaryInputArchive::new(payload, limits))
    }

    /// The payload in hex, for the log (Java: requestDigest).
    #[must_use]
    pub fn request_digest(&self) -> String {
        match &self.payload {
            Some(payload) => payload.iter().map(|byte| format!("{byte:02x}")).collect(),
            None => "request buffer is null".into(),
        }
    }

    /// Whether the operation may arrive as a request of its own (Java: isValid).
    #[must_use]
    pub const fn is_valid(op: OpCode) -> bool {
        !matches!(
            op,
            OpCode::Notification | OpCode::Check | OpCode::Auth | OpCode::Sasl | OpCode::Error
        )
    }

    /// Whether the operation becomes a transaction, and so must pass Prep and the log.
    #[must_use]
    pub const fn is_write(op: OpCode) -> bool {
        matches!(
            op,
            OpCode::Create
                | OpCode::Create2
                | OpCode::CreateTtl
                | OpCode::CreateContainer
                | OpCode::Delete
                | OpCode::DeleteContainer
                | OpCode::SetAcl
                | OpCode::SetData
                | OpCode::Multi
                | OpCode::Reconfig
                | OpCode::CloseSession
                | OpCode::CreateSession
        )
    }

    /// Whether a client closes its session with this request.
    #[must_use]
    pub fn ends_session(&self) -> bool {
        self.op_type == OpCode::CloseSession.code() && self.cnxn.is_some()
    }

    /// Java's name of the operation (Java: op2String).
    #[must_use]
    pub fn op_name(op_type: i32) -> String {
        OpCode::try_from(op_type)
            .map_or_else(|_| format!("unknown {op_type}"), |op| op.java_name().to_owned())
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "sessionid:{} type:{} cxid:{:#x} zxid:{:#x} txntype:",
            self.session_id,
            Self::op_name(self.op_type),
            self.cxid,
            self.hdr.as_ref().map_or(-2, |hdr| hdr.zxid.0)
        )?;
        match &self.hdr {
            Some(hdr) => write!(f, "{}", hdr.r#type)?,
            None => write!(f, "unknown")?,
        }
        write!(f, " reqpath:{}", self.path_for_log().unwrap_or_else(|| "n/a".into()))
    }
}

impl Request {
    /// Writes the request to the log as the processor with this letter sees it, if the log traces requests. `ping` is the
    /// kind of a ping (Java: ZooTrace.logRequest).
    pub fn trace(&self, target: &str, ping: i64, processor: char) {
        let is_ping = self.op_type == OpCode::Ping.code();
        let kind = if is_ping { ping } else { CLIENT_REQUEST_TRACE_MASK };
        zoo_trace::log_trace_message(target, kind, format_args!(":{processor}{self}"));
    }

    /// The longest path that the log shows, in bytes.
    const LONGEST_PATH_SHOWN: usize = 4096;

    /// The path with which most payloads start.
    fn path_for_log(&self) -> Option<String> {
        let without_path =
            [OpCode::CreateSession, OpCode::CloseSession, OpCode::SetWatches, OpCode::SetWatches2];
        if without_path.map(OpCode::code).contains(&self.op_type) {
            return None;
        }
        let (len, rest) = self.payload.as_deref()?.split_at_checked(4)?;
        let len = usize::try_from(BigEndian::read_i32(len)).ok()?;
        let path = rest.get(..len).filter(|_| len < Self::LONGEST_PATH_SHOWN)?;
        Some(String::from_utf8_lossy(path).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::GetDataRequest;

    fn request(op: OpCode, payload: Option<Vec<u8>>) -> Request {
        let payload = payload.map(Vec::into_boxed_slice);
        Request::new(None, SessionId(0x10), 2, op.code(), payload, Arc::new([]))
    }

    #[test]
    fn a_request_prints_as_in_javas_log() {
        let payload = GetDataRequest { path: "/a".into(), watch: true }.to_bytes();
        assert_eq!(
            request(OpCode::GetData, Some(payload)).to_string(),
            "sessionid:0x10 type:getData cxid:0x2 zxid:0xfffffffffffffffe txntype:unknown reqpath:/a"
        );
        assert!(request(OpCode::CloseSession, None).to_string().ends_with("reqpath:n/a"));
        assert!(request(OpCode::GetData, Some(vec![0xff; 6])).to_string().ends_with("n/a"));
    }

    #[test]
    fn a_payload_of_another_shape_is_refused() {
        let request = request(OpCode::GetData, Some(vec![0, 0, 0, 9, b'/']));
        assert!(request.read_request_record::<GetDataRequest>(Limits::default()).is_err());
        assert_eq!(request.request_digest(), "000000092f");
    }
}
