//! A learner's `sync` on its way through the leader's processors (Java: server/quorum/LearnerSyncRequest.java).
//!
//! Differs from Java: There is no separate class. It is a sync request without a connection, owned by the learner. It
//! travels with the other requests, so that it keeps its place behind earlier ones.

use std::sync::Arc;

use crate::data::Id;
use crate::ids::SessionId;
use crate::server::request::Request;
use crate::server::session_tracker::Owner;
use crate::zoo_defs::OpCode;

/// A request from a learner; `payload` is its body.
#[must_use]
pub(crate) fn learner_request(
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
pub(crate) fn is_learner_sync(request: &Request) -> bool {
    request.op_type == OpCode::Sync.code() && request.cnxn.is_none()
}
