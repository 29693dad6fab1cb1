//! Sets up the sessions of clients (Java: processConnectRequest, createSession, reopenSession and finishSessionInit
//! of server/ZooKeeperServer.java).

use std::sync::Arc;

use byteorder::{BigEndian, ByteOrder};
use log::{debug, info, warn};

use super::{LOG, ZooKeeperServer};
use crate::ids::SessionId;
use crate::jute::{BinaryOutputArchive, OutputArchive, Record};
use crate::proto::ConnectRequest;
use crate::server::request::Request;
use crate::server::server_cnxn::{DisconnectReason, ServerCnxn};
use crate::server::server_role::RoleServer;
use crate::server::session_password;
use crate::server::session_tracker::SessionTracker;
use crate::txn::CreateSessionTxn;
use crate::zoo_defs::OpCode;

/// The password in an answer without a session.
const NO_PASSWORD: [u8; session_password::LEN] = [0; session_password::LEN];

impl ZooKeeperServer {
    /// Gives the client a new session, or lets it continue the one it had.
    ///
    /// # Errors
    /// The reason to close the connection without an answer.
    pub fn process_connect_request(
        &self,
        cnxn: &Arc<ServerCnxn>,
        request: &ConnectRequest,
    ) -> Result<(), DisconnectReason> {
        let remote = cnxn.remote_socket_address();
        debug!(
            target: LOG,
            "Session establishment request from client /{remote} client's lastZxid is {}",
            request.last_zxid_seen
        );
        self.check_connect_throttle(request)?;
        if !cnxn.is_read_only_available() {
            warn!(
                target: LOG,
                "Connection request from old client /{remote}; will be dropped if server is in r-o mode"
            );
        }
        if !request.read_only && self.role().is_read_only() {
            info!(target: LOG, "Refusing session request for not-read-only client /{remote}");
            return Err(DisconnectReason::NotReadOnlyClient);
        }
        let last_processed = self.zk_database().last_processed_zxid();
        if request.last_zxid_seen > last_processed {
            info!(
                target: LOG,
                "Refusing session({}) request for client /{remote} as it has seen zxid {} our last zxid is \
                 {last_processed} client must try another server",
                request.session_id,
                request.last_zxid_seen
            );
            return Err(DisconnectReason::ClientZxidAhead);
        }
        let settings = self.settings();
        // Not clamp(), which panics if an operator has swapped the two limits.
        let timeout_ms = request
            .time_out
            .max(settings.min_session_timeout_ms)
            .min(settings.max_session_timeout_ms);
        cnxn.set_session_timeout_ms(timeout_ms);
        if request.session_id == SessionId(0) {
            self.create_session(cnxn, timeout_ms);
        } else {
            self.role().validate_session(cnxn, request.session_id)?;
            self.close_cnxn_of_session(request.session_id, DisconnectReason::ClientReconnect);
            cnxn.set_session_id(request.session_id);
            let passwd = request.passwd.as_deref().unwrap_or_default();
            self.reopen_session(cnxn, request.session_id, passwd, timeout_ms);
            self.server_metrics().connection_revalidate_count.add(1);
        }
        Ok(())
    }

    fn check_connect_throttle(&self, request: &ConnectRequest) -> Result<(), DisconnectReason> {
        let throttle = self.conn_throttle();
        let tokens = throttle.config().tokens_needed(
            request.session_id != SessionId(0),
            self.session_tracker().is_local_sessions_enabled(),
        );
        let metrics = self.server_metrics();
        if !throttle.check_limit(tokens) {
            metrics.connection_rejected.add(1);
            return Err(DisconnectReason::ClientCnxLimit);
        }
        metrics.connection_token_deficit.add(i64::from(throttle.deficit()));
        metrics.connection_request_count.add(1);
        Ok(())
    }

    fn create_session(&self, cnxn: &Arc<ServerCnxn>, timeout_ms: i32) {
        let session_id = self.session_tracker().create_session(timeout_ms);
        cnxn.set_session_id(session_id);
        let txn = CreateSessionTxn { time_out: timeout_ms };
        let mut request = Request::new(
            Some(Arc::clone(cnxn)),
            session_id,
            0,
            OpCode::CreateSession.code(),
            Some(txn.to_bytes().into_boxed_slice()),
            Arc::new([]),
        );
        request.create_time_ms = self.clock().elapsed_ms();
        request.owner = self.local_owner();
        cnxn.pipeline_entered();
        self.submit_request(request);
    }

    fn reopen_session(
        &self,
        cnxn: &Arc<ServerCnxn>,
        session_id: SessionId,
        passwd: &[u8],
        timeout_ms: i32,
    ) {
        if session_password::check(session_id, passwd) {
            self.role().revalidate_session(self, cnxn, session_id, timeout_ms);
        } else {
            warn!(
                target: LOG,
                "Incorrect password from /{} for session {session_id}",
                cnxn.remote_socket_address()
            );
            self.finish_session_init(cnxn, false);
        }
    }

    /// Answers the ConnectRequest and lets the client's requests in. The caller must hold no lock.
    pub fn finish_session_init(&self, cnxn: &Arc<ServerCnxn>, valid: bool) {
        let session_id = cnxn.session_id();
        let session = if valid { self.session_tracker().session(session_id) } else { None };
        let passwd = if valid { session_password::generate(session_id) } else { NO_PASSWORD };
        let mut response = vec![0; 4];
        let mut archive = BinaryOutputArchive::new(&mut response);
        archive.write_int(0, "protocolVersion");
        archive.write_int(if valid { cnxn.session_timeout_ms() } else { 0 }, "timeOut");
        archive.write_long(if valid { session_id.0 } else { 0 }, "sessionId");
        archive.write_buffer(Some(&passwd), "passwd");
        if cnxn.is_read_only_available() {
            archive.write_bool(self.role().is_read_only(), "readOnly");
        }
        let len = u32::try_from(response.len() - 4).unwrap_or_default();
        BigEndian::write_u32(&mut response[..4], len);
        cnxn.append_raw(response, 1);
        if valid {
            debug!(
                target: LOG,
                "Established session {session_id} with negotiated timeout {} for client /{}",
                cnxn.session_timeout_ms(),
                cnxn.remote_socket_address()
            );
            if let Some(session) = session {
                cnxn.session_established(session);
            }
            cnxn.flush_by_reader(true);
            cnxn.enable_recv();
        } else {
            info!(
                target: LOG,
                "Invalid session {session_id} for client /{}, probably expired",
                cnxn.remote_socket_address()
            );
            cnxn.send_close_session();
            cnxn.flush();
        }
    }
}

impl RoleServer for ZooKeeperServer {
    fn session_tracker(&self) -> &Arc<dyn SessionTracker> {
        self.session_tracker()
    }

    fn finish_session_init(&self, cnxn: &Arc<ServerCnxn>, valid: bool) {
        self.finish_session_init(cnxn, valid);
    }
}
