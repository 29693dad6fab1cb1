//! A learner's `sync` on its way through the leader's processors (Java: server/quorum/LearnerSyncRequest.java).
//!
//! Differs from Java: no class of its own but a request of that operation without a connection, whose owner is the learner's.
//! It travels with the others, so that it keeps its place behind what came before it.

use std::sync::Arc;

use crate::data::Id;
use crate::ids::SessionId;
use crate::server::request::Request;
use crate::server::session_tracker::Owner;
use crate::zoo_defs::OpCode;

/// The request of a learner that asks for what `payload` says.
#[must_use]
pub fn learner_request(
    owner: Owner,
    session_id: SessionId,
    cxid: i32,
    op_type: i32,
    payload: &[u8],
    auth_info: Arc<[Id]>,
) -> Box<Request> {
    let payload = Some(payload.into());
    let mut request = Request::new(None, session_id, cxid, op_type, payload, auth_info);
    request.owner = owner;
    Box::new(request)
}

/// Whether the request is a learner's `sync`.
#[must_use]
pub fn is_learner_sync(request: &Request) -> bool {
    request.op_type == OpCode::Sync.code() && request.cnxn.is_none()
}
