//! The bodies of answers to writes, and the statistics of answers (Java: within processRequest and updateStats of
//! server/FinalRequestProcessor.java).

use std::sync::Arc;

use crate::audit::audit_helper::{self, AuditedRequest, AuditedTxnResult};
use crate::common::net_utils;
use crate::ids::Zxid;
use crate::jute::{BinaryOutputArchive, Record};
use crate::keeper_exception::KeeperError;
use crate::multi_response::MultiResponse;
use crate::op_result::OpResult;
use crate::proto::{
    Create2Response, CreateResponse, GetDataResponse, SetACLResponse, SetDataResponse,
};
use crate::server::data_tree::ProcessTxnResult;
use crate::server::request::Request;
use crate::server::server_cnxn::ServerCnxn;
use crate::server::util::auth_util;
use crate::server::zookeeper_server::ZooKeeperServer;
use crate::zoo_defs::OpCode;

/// The usual length of a body, in bytes: that of a stat.
const BODY_ROOM: usize = 68;

/// The operation's short name, as `cons` shows it, and the body of its answer.
pub(super) fn write_body(
    server: &ZooKeeperServer,
    op: OpCode,
    result: &ProcessTxnResult,
) -> (&'static str, Result<Vec<u8>, KeeperError>) {
    let path = || result.path.clone().unwrap_or_default();
    let stat = || result.stat.clone().unwrap_or_default();
    let mut body = Vec::with_capacity(BODY_ROOM);
    let archive = &mut BinaryOutputArchive::new(&mut body);
    let name = match op {
        OpCode::Create => {
            CreateResponse { path: path() }.serialize(archive);
            "CREA"
        }
        OpCode::Create2 | OpCode::CreateTtl | OpCode::CreateContainer => {
            Create2Response { path: path(), stat: stat() }.serialize(archive);
            "CREA"
        }
        OpCode::Delete | OpCode::DeleteContainer => "DELE",
        OpCode::SetData => {
            SetDataResponse { stat: stat() }.serialize(archive);
            "SETD"
        }
        OpCode::SetAcl => {
            SetACLResponse { stat: stat() }.serialize(archive);
            "SETA"
        }
        OpCode::Reconfig => {
            let data = server.role().config_text().map(String::into_bytes);
            GetDataResponse { data, stat: stat() }.serialize(archive);
            "RECO"
        }
        OpCode::Multi => {
            return ("MULT", multi_results(result).map(|response| response.to_bytes()));
        }
        _ => "CLOS",
    };
    (name, Ok(body))
}

/// Java: the multi case of processRequest.
fn multi_results(result: &ProcessTxnResult) -> Result<MultiResponse, KeeperError> {
    let mut results = Vec::new();
    for part in result.multi_result.iter().flatten() {
        let path = || part.path.clone().unwrap_or_default();
        let stat = || part.stat.clone().unwrap_or_default();
        let op = OpCode::try_from(part.r#type).map_err(|_| KeeperError::MarshallingError)?;
        results.push(match op {
            OpCode::Check => OpResult::Check,
            OpCode::Create => OpResult::Create { path: path() },
            OpCode::Create2 | OpCode::CreateTtl | OpCode::CreateContainer => {
                OpResult::Create2 { path: path(), stat: stat() }
            }
            OpCode::Delete | OpCode::DeleteContainer => OpResult::Delete,
            OpCode::SetData => OpResult::SetData { stat: stat() },
            OpCode::Error if part.err == KeeperError::SessionMoved.code() => {
                return Err(KeeperError::SessionMoved);
            }
            OpCode::Error => OpResult::Error { err: part.err },
            _ => return Err(KeeperError::MarshallingError),
        });
    }
    Ok(MultiResponse { results })
}

/// Java: updateStats.
pub(super) fn update_stats(
    server: &ZooKeeperServer,
    cnxn: &Arc<ServerCnxn>,
    request: &Request,
    operation: &'static str,
    last_zxid: Zxid,
) {
    let now_ms = server.clock().elapsed_ms();
    let latency_ms = now_ms - request.create_time_ms;
    server.server_stats().update_latency(latency_ms, request.hdr.is_some(), 1);
    cnxn.stats().update_for_response(request.cxid, last_zxid, operation, latency_ms, now_ms, 1);
}

/// Counts an answer that nobody waits for any more.
pub(super) fn note_if_stale(server: &ZooKeeperServer, request: &Request) {
    if request.is_stale(server.settings().staleness, server.clock().elapsed_ms()) {
        server.server_metrics().stale_replies.add(1);
    }
}

/// Reports a change to the audit log, if there is one (Java: AuditHelper.addAuditLog).
pub(super) fn audit(
    server: &ZooKeeperServer,
    cnxn: &Arc<ServerCnxn>,
    request: &Request,
    result: Option<&ProcessTxnResult>,
) {
    if !server.audit().is_audit_enabled() {
        return;
    }
    let failed = match &request.hdr {
        Some(hdr) => hdr.r#type == OpCode::Error.code(),
        None => request.exception.is_some(),
    };
    let users = auth_util::users(server.provider_registry(), &request.auth_info);
    let host_address = net_utils::socket_host_address(cnxn.remote_socket_address());
    let audited = AuditedRequest {
        op_type: request.op_type,
        payload: request.payload.as_deref(),
        limits: server.limits(),
        users: users.as_deref(),
        session_id: request.session_id,
        host_address: &host_address,
    };
    let parts = result.and_then(|result| result.multi_result.as_deref()).unwrap_or_default();
    let parts: Vec<_> = parts.iter().map(|part| (part.r#type, part.path.as_deref())).collect();
    let txn_result = AuditedTxnResult {
        path: result.and_then(|result| result.path.as_deref()),
        err: result.map_or(0, |result| result.err),
        multi_result: &parts,
    };
    audit_helper::add_audit_log(server.audit(), &audited, &txn_result, failed);
}
