//! Authentication requests, which never enter the processors (Java: processPacket and processSasl of
//! server/ZooKeeperServer.java).

use std::net::IpAddr;
use std::sync::Arc;

use log::{error, info, warn};

use super::{LOG, ZooKeeperServer};
use crate::data::Id;
use crate::ids::{SessionId, Zxid};
use crate::jute::{BinaryInputArchive, BinaryOutputArchive, InputError, Record};
use crate::keeper_exception::KeeperError;
use crate::proto::{AuthPacket, GetSASLRequest, SetSASLResponse};
use crate::server::auth::authentication_provider::{AuthConnection, AuthOutcome};
use crate::server::auth::server_authentication_provider::{AuthServer, EnsembleAuth, ServerObjs};
use crate::server::server_cnxn::{DisconnectReason, InputState, ServerCnxn};

/// The maximum length of all ids of one connection together, in bytes. A learner sends them to the leader with each
/// request, and they replace `auth` in an ACL.
const MAX_ID_BYTES: usize = 64 << 10;

impl ZooKeeperServer {
    /// Processes an auth packet. Returns what to do with the connection if it must not be read on.
    pub(in crate::server) fn process_auth(
        &self,
        cnxn: &Arc<ServerCnxn>,
        xid: i32,
        payload: &[u8],
    ) -> Option<InputState> {
        let remote = cnxn.remote_socket_address();
        info!(target: LOG, "got auth packet /{remote}");
        let packet = match AuthPacket::deserialize(&mut BinaryInputArchive::new(
            payload,
            self.limits(),
        )) {
            Ok(packet) => packet,
            Err(InputError::Null { .. }) => {
                warn!(target: LOG, "No authentication provider for scheme: null");
                return Some(self.refuse_auth(cnxn, xid));
            }
            Err(problem) => {
                warn!(target: LOG, "Close of session {}: not an AuthPacket: {problem}", cnxn.session_id());
                return Some(InputState::Close(DisconnectReason::IoException));
            }
        };
        let more = packet.scheme.len() + packet.auth.as_ref().map_or(0, Vec::len);
        if cnxn.auth_info_bytes() + more > MAX_ID_BYTES {
            warn!(
                target: LOG,
                "Authentication refused of /{remote}: the ids of a connection may have {MAX_ID_BYTES} bytes together"
            );
            return Some(self.refuse_auth(cnxn, xid));
        }
        let objs = ServerObjs { server: self, cnxn: &**cnxn };
        match self.parts.access.authenticate(&packet, objs) {
            AuthOutcome::Accepted => {
                cnxn.append_reply(xid, Zxid::ZERO, 0, |_| {});
                None
            }
            AuthOutcome::Refused => Some(self.refuse_auth(cnxn, xid)),
            AuthOutcome::WrongEnsemble => {
                Some(InputState::Close(DisconnectReason::ConnectionCloseForced))
            }
        }
    }

    fn refuse_auth(&self, cnxn: &Arc<ServerCnxn>, xid: i32) -> InputState {
        self.server_stats().increment_auth_failed_count();
        cnxn.append_reply(xid, Zxid::ZERO, KeeperError::AuthFailed.code(), |_| {});
        cnxn.send_close_session();
        InputState::Done
    }

    /// Processes a SASL token on a server without a SASL login. As in Java, the answer has no token, and the
    /// connection continues. Returns what to do with the connection if the packet has no token.
    pub(in crate::server) fn process_sasl(
        &self,
        cnxn: &Arc<ServerCnxn>,
        xid: i32,
        payload: &[u8],
    ) -> Option<InputState> {
        let mut archive = BinaryInputArchive::new(payload, self.limits());
        let token = GetSASLRequest::deserialize(&mut archive).ok().and_then(|packet| packet.token);
        if token.is_none() {
            warn!(target: LOG, "Close of session {}: a SASL packet without a token", cnxn.session_id());
            return Some(InputState::Close(DisconnectReason::IoException));
        }
        error!(
            target: LOG,
            "cnxn.saslServer is null: cnxn object did not initialize its saslServer properly."
        );
        cnxn.append_reply(xid, Zxid::ZERO, 0, |body| {
            SetSASLResponse { token: None }.serialize(&mut BinaryOutputArchive::new(body));
        });
        None
    }

    /// Whether the client may send requests other than for authentication. If not, it gets an error and the
    /// connection closes (Java: AuthenticationHelper.enforceAuthentication).
    pub(in crate::server) fn enforce_authentication(
        &self,
        cnxn: &Arc<ServerCnxn>,
        xid: i32,
    ) -> bool {
        if !self.parts.authentication.is_enforce_auth_enabled() {
            return true;
        }
        match self.parts.authentication.enforce_authentication(&cnxn.auth_info()) {
            Ok(()) => true,
            Err(refusal) => {
                cnxn.append_reply(xid, Zxid::ZERO, refusal.code(), |_| {});
                cnxn.send_close_session();
                false
            }
        }
    }
}

impl AuthServer for ZooKeeperServer {
    fn node_data(&self, path: &str) -> Option<Vec<u8>> {
        let tree = self.zk_database().tree().read();
        tree.node(path).and_then(|node| node.data().map(<[u8]>::to_vec))
    }

    fn ensemble_auth(&self, result: EnsembleAuth) {
        let metrics = self.server_metrics();
        match result {
            EnsembleAuth::Skip => metrics.ensemble_auth_skip.add(1),
            EnsembleAuth::Success => metrics.ensemble_auth_success.add(1),
            EnsembleAuth::Fail => metrics.ensemble_auth_fail.add(1),
        }
    }
}

impl AuthConnection for ServerCnxn {
    fn remote_ip(&self) -> Option<IpAddr> {
        Some(self.remote_socket_address().ip())
    }

    fn session_id(&self) -> SessionId {
        self.session_id()
    }

    fn add_auth_info(&self, id: Id) {
        self.add_auth_info(id);
    }
}
