//! The common part of the servers of all roles in an ensemble (Java: server/quorum/QuorumZooKeeperServer.java).

use std::fmt::Write;
use std::sync::Arc;

use log::info;

use super::states::LearnerType;
use super::upgradeable_session_tracker::UpgradeableSessionTracker;
use crate::common::net_utils::InetSocketAddress;
use crate::create_mode::CreateMode;
use crate::ids::SessionId;
use crate::jute::{Limits, Record};
use crate::keeper_exception::KeeperError;
use crate::multi_operation_record::MultiOperationRecord;
use crate::op::Op;
use crate::proto::CreateRequest;
use crate::server::request::Request;
use crate::txn::CreateSessionTxn;
use crate::zoo_defs::OpCode;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.quorum.QuorumZooKeeperServer";

/// The request that must precede this one: a local session must become a global one before it creates an ephemeral
/// node (Java: checkUpgradeSession).
///
/// # Errors
/// [`KeeperError::EphemeralOnLocalSession`] when local sessions stay local; [`KeeperError::BadArguments`] for an
/// invalid create mode. A request that cannot be decoded passes, and Prep refuses it.
pub(crate) fn check_upgrade_session(
    upgrading_enabled: bool,
    tracker: &dyn UpgradeableSessionTracker,
    limits: Limits,
    request: &Request,
) -> Result<Option<Box<Request>>, KeeperError> {
    if request.is_throttled || !tracker.is_local_session(request.session_id) {
        return Ok(None);
    }
    let makes_ephemeral = match OpCode::try_from(request.op_type) {
        Ok(OpCode::Create | OpCode::Create2) => {
            match request.read_request_record::<CreateRequest>(limits) {
                Ok(create) => CreateMode::from_flag(create.flags)?.is_ephemeral(),
                Err(_) => false,
            }
        }
        Ok(OpCode::Multi) => match request.read_request_record::<MultiOperationRecord>(limits) {
            Ok(multi) => multi.ops().iter().any(Op::makes_ephemeral),
            Err(_) => false,
        },
        _ => false,
    };
    if !makes_ephemeral {
        return Ok(None);
    }
    if !upgrading_enabled {
        return Err(KeeperError::EphemeralOnLocalSession);
    }
    Ok(upgrade_request(tracker, request.session_id))
}

/// The createSession request that makes a local session known to the ensemble (Java: makeUpgradeRequest).
fn upgrade_request(
    tracker: &dyn UpgradeableSessionTracker,
    session_id: SessionId,
) -> Option<Box<Request>> {
    let timeout_ms = tracker.upgrade_session(session_id)?;
    let payload = CreateSessionTxn { time_out: timeout_ms }.to_bytes().into_boxed_slice();
    let op = OpCode::CreateSession.code();
    Some(Box::new(Request::new(None, session_id, 0, op, Some(payload), Arc::new([]))))
}

/// Marks a request that creates or closes a local session (Java: setLocalSessionFlag).
pub(crate) fn set_local_session_flag(
    local_sessions_enabled: bool,
    tracker: &dyn UpgradeableSessionTracker,
    request: &mut Request,
) {
    match OpCode::try_from(request.op_type) {
        Ok(OpCode::CreateSession) => request.is_local_session = local_sessions_enabled,
        Ok(OpCode::CloseSession) => {
            request.is_local_session = tracker.is_local_session(request.session_id);
            let kind = if request.is_local_session { "local" } else { "global" };
            info!(
                target: LOG,
                "Submitting {kind} closeSession request for session {}", request.session_id
            );
        }
        _ => {}
    }
}

/// The member's part of the output of `conf`.
pub(crate) struct MemberConf {
    /// The limit for a learner to connect and to load the leader's data.
    pub init_limit_ticks: i32,
    /// How far a learner may fall behind.
    pub sync_limit_ticks: i32,
    /// The member's election addresses.
    pub election_addresses: Vec<InetSocketAddress>,
    /// The addresses that learners connect to.
    pub quorum_addresses: Vec<InetSocketAddress>,
    /// Whether the member is a participant or an observer.
    pub learner_type: LearnerType,
    /// The members of the ensemble, unless they are left out.
    pub membership: Option<String>,
}

/// Appends the member's part of the output of `conf` (Java: dumpConf).
pub(crate) fn dump_conf(member: &MemberConf, out: &mut String) {
    let ports = |addresses: &[InetSocketAddress]| {
        let mut ports: Vec<String> = Vec::new();
        for address in addresses {
            let port = address.port.to_string();
            if !ports.contains(&port) {
                ports.push(port);
            }
        }
        ports.join("|")
    };
    let written = write!(
        out,
        "initLimit={}\nsyncLimit={}\nelectionAlg=3\nelectionPort={}\nquorumPort={}\npeerType={}\n",
        member.init_limit_ticks,
        member.sync_limit_ticks,
        ports(&member.election_addresses),
        ports(&member.quorum_addresses),
        member.learner_type as i32
    );
    debug_assert!(written.is_ok(), "a text takes everything");
    if let Some(membership) = &member.membership {
        out.push_str("membership: \n");
        out.push_str(membership);
    }
}
