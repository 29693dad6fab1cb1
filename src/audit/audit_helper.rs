//! Turns a client's request into audit events (Java: audit/AuditHelper.java).
//!
//! This file does not depend on Java's Request and ProcessTxnResult. The code that applies requests passes the
//! fields that are needed, and only when the audit log is on.

use std::collections::HashMap;

use log::error;

use super::audit_constants::{
    OP_CREATE, OP_DELETE, OP_MULTI_OP, OP_RECONFIG, OP_SETACL, OP_SETDATA,
};
use super::audit_event::AuditResult;
use super::zk_audit_provider::{Audited, ZKAuditProvider};
use crate::create_mode::CreateMode;
use crate::ids::SessionId;
use crate::jute::{BinaryInputArchive, InputError, Limits, Record};
use crate::keeper_exception::KeeperError;
use crate::multi_operation_record::MultiOperationRecord;
use crate::op::Op;
use crate::proto::{CreateRequest, CreateTTLRequest, DeleteRequest, SetACLRequest, SetDataRequest};
use crate::zk_util;
use crate::zoo_defs::OpCode;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.audit.AuditHelper";

/// A client's request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AuditedRequest<'a> {
    /// The operation's code.
    pub op_type: i32,
    /// The bytes after the request header.
    pub payload: Option<&'a [u8]>,
    /// The longest lengths that are accepted when the payload is read.
    pub limits: Limits,
    /// The users of the connection (Java: getUsersForAudit; see `auth_util::users`).
    pub users: Option<&'a str>,
    /// The session.
    pub session_id: SessionId,
    /// The client's address (Java: getHostAddress).
    pub host_address: &'a str,
}

/// The result of applying the request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AuditedTxnResult<'a> {
    /// The node, if the request was applied.
    pub path: Option<&'a str>,
    /// The code of a [`KeeperError`], 0 for success.
    pub err: i32,
    /// The operations of a `multi`: transaction type and node.
    pub multi_result: &'a [(i32, Option<&'a str>)],
}

/// Why a request cannot be logged.
#[derive(Debug, thiserror::Error)]
enum AuditError {
    #[error("{0}")]
    Input(#[from] InputError),
    #[error("{0:?}")]
    Keeper(#[from] KeeperError),
}

/// Logs a request that changes something, if the audit log is on. `failed_txn` says that the request became an
/// error transaction; the node's path is then read from the request.
pub(crate) fn add_audit_log(
    audit: &ZKAuditProvider,
    request: &AuditedRequest<'_>,
    txn_result: &AuditedTxnResult<'_>,
    failed_txn: bool,
) {
    if !audit.is_audit_enabled() {
        return;
    }
    if let Err(error) = try_add_audit_log(audit, request, txn_result, failed_txn) {
        error!(target: LOG, "Failed to audit log request {}: {error}", request.op_type);
    }
}

/// The parts of an audit line that depend on the operation.
#[derive(Default)]
struct Told {
    operation: &'static str,
    requested_path: Option<String>,
    acl: Option<String>,
    create_mode: Option<String>,
}

fn try_add_audit_log(
    audit: &ZKAuditProvider,
    request: &AuditedRequest<'_>,
    txn_result: &AuditedTxnResult<'_>,
    failed_txn: bool,
) -> Result<(), AuditError> {
    let Ok(op) = OpCode::try_from(request.op_type) else { return Ok(()) };
    if op == OpCode::Multi && !failed_txn {
        return log_multi_operation(audit, request, txn_result);
    }
    let Some(told) = tell(op, request, failed_txn)? else { return Ok(()) };
    let result =
        if failed_txn || txn_result.err != 0 { AuditResult::Failure } else { AuditResult::Success };
    let path = told.requested_path.as_deref().filter(|_| failed_txn).or(txn_result.path);
    let audited = Audited {
        acl: told.acl.as_deref(),
        create_mode: told.create_mode.as_deref(),
        ..audited(request, told.operation, path)
    };
    audit.log(&audited, result);
    Ok(())
}

/// Reads what the audit line needs from the request. `None` if the operation is not audited.
fn tell(
    op: OpCode,
    request: &AuditedRequest<'_>,
    failed_txn: bool,
) -> Result<Option<Told>, AuditError> {
    Ok(Some(match op {
        OpCode::Create | OpCode::Create2 | OpCode::CreateContainer => {
            let create: CreateRequest = read(request)?;
            Told {
                operation: OP_CREATE,
                create_mode: Some(mode_name(create.flags)?),
                requested_path: Some(create.path),
                acl: None,
            }
        }
        OpCode::CreateTtl => {
            let create: CreateTTLRequest = read(request)?;
            Told {
                operation: OP_CREATE,
                create_mode: Some(mode_name(create.flags)?),
                requested_path: Some(create.path),
                acl: None,
            }
        }
        OpCode::Delete | OpCode::DeleteContainer => {
            let path = if failed_txn { Some(read::<DeleteRequest>(request)?.path) } else { None };
            Told { operation: OP_DELETE, requested_path: path, ..Told::default() }
        }
        OpCode::SetData => {
            let path = if failed_txn { Some(read::<SetDataRequest>(request)?.path) } else { None };
            Told { operation: OP_SETDATA, requested_path: path, ..Told::default() }
        }
        OpCode::SetAcl => {
            let set_acl: SetACLRequest = read(request)?;
            let acl = zk_util::acl_to_string(set_acl.acl.as_deref().unwrap_or_default());
            Told {
                operation: OP_SETACL,
                requested_path: Some(set_acl.path),
                acl: Some(acl),
                create_mode: None,
            }
        }
        OpCode::Multi => Told { operation: OP_MULTI_OP, ..Told::default() },
        OpCode::Reconfig => Told { operation: OP_RECONFIG, ..Told::default() },
        _ => return Ok(None),
    }))
}

/// Logs one line for each operation that changed something, and one line if an operation failed.
fn log_multi_operation(
    audit: &ZKAuditProvider,
    request: &AuditedRequest<'_>,
    txn_result: &AuditedTxnResult<'_>,
) -> Result<(), AuditError> {
    let create_modes = create_modes(request)?;
    let mut multi_failed = false;
    for (op_type, path) in txn_result.multi_result {
        let operation = match OpCode::try_from(*op_type) {
            Ok(OpCode::Create | OpCode::Create2 | OpCode::CreateTtl | OpCode::CreateContainer) => {
                OP_CREATE
            }
            Ok(OpCode::Delete | OpCode::DeleteContainer) => OP_DELETE,
            Ok(OpCode::SetData) => OP_SETDATA,
            Ok(OpCode::Error) => {
                multi_failed = true;
                continue;
            }
            _ => continue,
        };
        let mut audited = audited(request, operation, *path);
        if operation == OP_CREATE {
            audited.create_mode = path.and_then(|path| create_modes.get(path)).map(String::as_str);
        }
        audit.log(&audited, AuditResult::Success);
    }
    if multi_failed {
        audit.log(&audited(request, OP_MULTI_OP, txn_result.path), AuditResult::Failure);
    }
    Ok(())
}

/// The kinds of the nodes that a `multi` creates, by the path in the request. As in Java, a sequential node
/// gets no kind because its real path differs from the requested one, and a node with a time to live gets none
/// either.
fn create_modes(request: &AuditedRequest<'_>) -> Result<HashMap<String, String>, AuditError> {
    let multi: MultiOperationRecord = read(request)?;
    let mut modes = HashMap::new();
    for op in multi.into_ops() {
        if let Op::Create(create) | Op::Create2(create) | Op::CreateContainer(create) = op {
            modes.insert(create.path, mode_name(create.flags)?);
        }
    }
    Ok(modes)
}

fn audited<'a>(
    request: &AuditedRequest<'a>,
    operation: &'static str,
    znode: Option<&'a str>,
) -> Audited<'a> {
    Audited {
        user: request.users,
        operation,
        znode,
        acl: None,
        create_mode: None,
        session: Some(request.session_id),
        ip: Some(request.host_address),
    }
}

fn read<T: Record>(request: &AuditedRequest<'_>) -> Result<T, InputError> {
    let payload = request.payload.ok_or(InputError::Null { tag: "request" })?;
    T::deserialize(&mut BinaryInputArchive::new(payload, request.limits))
}

/// The kind of node as the audit log shows it: Java's constant in lower case.
fn mode_name(flags: i32) -> Result<String, KeeperError> {
    let name = match CreateMode::from_flag(flags)? {
        CreateMode::Persistent => "persistent",
        CreateMode::Ephemeral => "ephemeral",
        CreateMode::PersistentSequential => "persistent_sequential",
        CreateMode::EphemeralSequential => "ephemeral_sequential",
        CreateMode::Container => "container",
        CreateMode::PersistentWithTtl => "persistent_with_ttl",
        CreateMode::PersistentSequentialWithTtl => "persistent_sequential_with_ttl",
    };
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::zk_audit_provider::tests::Lines;
    use super::*;
    use crate::data::{ACL, Id};
    use crate::jute::BinaryOutputArchive;
    use crate::zoo_defs::{ids, perms};

    /// The audit lines of a request, without the fields that are the same for all requests.
    fn lines<T: Record>(
        op: OpCode,
        record: &T,
        txn_result: &AuditedTxnResult<'_>,
        failed_txn: bool,
    ) -> Vec<String> {
        let lines = Lines::new();
        let audit = ZKAuditProvider::with_logger(lines.clone(), "root".into());
        let mut payload = Vec::new();
        record.serialize(&mut BinaryOutputArchive::new(&mut payload));
        let request = AuditedRequest {
            op_type: op.code(),
            payload: Some(&payload),
            limits: Limits::default(),
            users: Some("127.0.0.1,bob"),
            session_id: SessionId(0x0100_0037_f1d2_0000),
            host_address: "127.0.0.1",
        };
        add_audit_log(&audit, &request, txn_result, failed_txn);
        let same = "session=0x1000037f1d20000\tuser=127.0.0.1,bob\tip=127.0.0.1\t";
        lines.take().iter().map(|line| line.strip_prefix(same).unwrap().to_owned()).collect()
    }

    fn applied(path: &str) -> AuditedTxnResult<'_> {
        AuditedTxnResult { path: Some(path), ..AuditedTxnResult::default() }
    }

    fn create(path: &str, flags: i32) -> CreateRequest {
        let acl = Some(ids::open_acl_unsafe());
        CreateRequest { path: path.into(), data: None, acl, flags }
    }

    #[test]
    fn creates_name_the_node_that_was_made_and_its_kind() {
        // The expected lines in this test and below come from a Java 3.9.5 server.
        assert_eq!(
            lines(OpCode::Create, &create("/a/s-", 3), &applied("/a/s-0000000000"), false),
            ["operation=create\tznode=/a/s-0000000000\tznode_type=ephemeral_sequential\t\
              result=success"]
        );
        assert_eq!(
            lines(OpCode::Create, &create("/a", 0), &AuditedTxnResult::default(), true),
            ["operation=create\tznode=/a\tznode_type=persistent\tresult=failure"]
        );
        let ttl =
            CreateTTLRequest { path: "/t".into(), data: None, acl: None, flags: 5, ttl: 3_600_000 };
        assert_eq!(
            lines(OpCode::CreateTtl, &ttl, &applied("/t"), false),
            ["operation=create\tznode=/t\tznode_type=persistent_with_ttl\tresult=success"]
        );
        assert_eq!(
            lines(OpCode::CreateContainer, &create("/c", 4), &applied("/c"), false),
            ["operation=create\tznode=/c\tznode_type=container\tresult=success"]
        );
    }

    #[test]
    fn other_changes_name_the_node_and_reads_are_not_logged() {
        let set_data = SetDataRequest { path: "/a".into(), data: None, version: 77 };
        assert_eq!(
            lines(OpCode::SetData, &set_data, &AuditedTxnResult::default(), true),
            ["operation=setData\tznode=/a\tresult=failure"]
        );
        let delete = DeleteRequest { path: "/t".into(), version: -1 };
        assert_eq!(
            lines(OpCode::Delete, &delete, &applied("/t"), false),
            ["operation=delete\tznode=/t\tresult=success"]
        );
        let failed = AuditedTxnResult { err: -101, ..applied("/t") };
        assert_eq!(
            lines(OpCode::Delete, &delete, &failed, false),
            ["operation=delete\tznode=/t\tresult=failure"]
        );
        let local = Id { scheme: "ip".into(), id: "127.0.0.1".into() };
        let acl = vec![
            ACL { perms: perms::READ | perms::CREATE, id: ids::anyone_id_unsafe() },
            ACL { perms: perms::ALL, id: local },
        ];
        let set_acl = SetACLRequest { path: "/a".into(), acl: Some(acl), version: 9 };
        assert_eq!(
            lines(OpCode::SetAcl, &set_acl, &AuditedTxnResult::default(), true),
            ["operation=setAcl\tznode=/a\tacl=world:anyone:crip:127.0.0.1:cdrwa\tresult=failure"]
        );
        assert!(lines(OpCode::Exists, &delete, &applied("/t"), false).is_empty());
    }

    #[test]
    fn a_multi_is_a_line_a_part_or_one_for_its_failure() {
        let multi = MultiOperationRecord::new(vec![
            Op::create("/m", None, ids::open_acl_unsafe(), CreateMode::Persistent),
            Op::SetData(SetDataRequest { path: "/m".into(), data: None, version: -1 }),
            Op::Delete(DeleteRequest { path: "/m".into(), version: -1 }),
        ])
        .unwrap();
        let m = Some("/m");
        let parts = [(1, m), (5, m), (13, m), (2, m)];
        let result = AuditedTxnResult { multi_result: &parts, ..AuditedTxnResult::default() };
        assert_eq!(
            lines(OpCode::Multi, &multi, &result, false),
            [
                "operation=create\tznode=/m\tznode_type=persistent\tresult=success",
                "operation=setData\tznode=/m\tresult=success",
                "operation=delete\tznode=/m\tresult=success",
            ]
        );
        let parts = [(-1, None), (-1, None)];
        let result = AuditedTxnResult { multi_result: &parts, ..AuditedTxnResult::default() };
        let failure = ["operation=multiOperation\tresult=failure"];
        assert_eq!(lines(OpCode::Multi, &multi, &result, false), failure);
        assert_eq!(lines(OpCode::Multi, &multi, &AuditedTxnResult::default(), true), failure);
    }

    #[test]
    fn nothing_is_logged_while_the_audit_log_is_off() {
        let request = AuditedRequest {
            op_type: OpCode::Create.code(),
            payload: None,
            limits: Limits::default(),
            users: None,
            session_id: SessionId(1),
            host_address: "",
        };
        let audit = ZKAuditProvider::disabled();
        add_audit_log(&audit, &request, &AuditedTxnResult::default(), false);
        assert!(!audit.is_audit_enabled());
    }
}
