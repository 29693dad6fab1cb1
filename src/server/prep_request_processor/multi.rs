//! `multi`: several writes, all or nothing (Java: within pRequestHelper of server/PrepRequestProcessor.java).

use std::io;

use log::debug;

use super::{LOG, Prep, PrepError, create::NewNode, txn_position};
use crate::ids::Zxid;
use crate::jute::{InputError, Record};
use crate::keeper_exception::KeeperError;
use crate::multi_operation_record::MultiOperationRecord;
use crate::op::Op;
use crate::server::request::Request;
use crate::txn::{ErrorTxn, MultiTxn, Txn};
use crate::zoo_defs::OpCode;

impl Prep<'_> {
    pub(super) fn multi(&mut self, request: &mut Request) -> Result<(), PrepError> {
        // A multi takes a zxid even when it cannot be decoded.
        let record = self.read::<MultiOperationRecord>(request);
        self.begin(request, OpCode::Multi);
        let record = record?;
        let (zxid, _) = txn_position(request);
        let pending = self.changes.pending_changes(paths_to_restore(record.ops()));
        let mut pending = Some(pending);
        let mut failed = None;
        let mut txns = Vec::with_capacity(record.ops().len());
        let mut bytes = 0;
        for op in record.into_ops() {
            let sub_type = op.op_code();
            let result = match failed {
                // No server could read a longer transaction. Even a short part can make a long one, because its ACL
                // may name `auth`.
                None if bytes > self.server.limits().max_length() => {
                    Err(PrepError::Answer(KeeperError::MarshallingError))
                }
                None => self.multi_part(request, op),
                Some(_) => Err(PrepError::Answer(KeeperError::RuntimeInconsistency)),
            };
            txns.push(match result {
                // A part cannot be answered with this error, so it fails the whole multi, like bytes that cannot be
                // decoded.
                Err(PrepError::Answer(KeeperError::MarshallingError)) => {
                    self.rollback_pending_changes(zxid, &mut pending);
                    request.txn_digest = None;
                    return Err(KeeperError::MarshallingError.into());
                }
                Ok(()) => {
                    let data = request.txn.as_ref().map(|txn| txn.to_bytes());
                    bytes += data.as_ref().map_or(0, Vec::len);
                    Txn { r#type: sub_type.code(), data }
                }
                Err(PrepError::Answer(answer)) => {
                    if failed.is_none() {
                        debug!(
                            target: LOG,
                            "Got user-level KeeperException when processing {request} aborting remaining multi \
                             ops. Error:{answer}"
                        );
                        failed = Some(answer);
                        request.exception = Some(answer);
                        self.rollback_pending_changes(zxid, &mut pending);
                    }
                    let err = ErrorTxn { err: answer.code() };
                    Txn { r#type: OpCode::Error.code(), data: Some(err.to_bytes()) }
                }
                Err(malformed) => {
                    self.rollback_pending_changes(zxid, &mut pending);
                    request.txn_digest = None;
                    return Err(malformed);
                }
            });
        }
        request.txn = Some(crate::server::util::serialize_utils::TxnBody::Multi(MultiTxn { txns }));
        self.set_txn_digest(request);
        Ok(())
    }

    fn rollback_pending_changes(
        &mut self,
        zxid: Zxid,
        pending: &mut Option<
            Vec<std::sync::Arc<crate::server::zookeeper_server::outstanding_changes::ChangeRecord>>,
        >,
    ) {
        if let Some(pending) = pending.take() {
            self.changes.rollback_pending_changes(zxid, pending);
        }
    }

    /// Java: pRequest2Txn for a part.
    fn multi_part(&mut self, request: &mut Request, op: Op) -> Result<(), PrepError> {
        match op {
            Op::Create(record) => {
                self.p_request_2_txn_create(request, OpCode::Create, NewNode::from(record))?
            }
            Op::Create2(record) => {
                self.p_request_2_txn_create(request, OpCode::Create2, NewNode::from(record))?
            }
            Op::CreateContainer(record) => {
                self.p_request_2_txn_create(
                    request,
                    OpCode::CreateContainer,
                    NewNode::from(record),
                )?;
            }
            Op::CreateTtl(record) => {
                self.p_request_2_txn_create(request, OpCode::CreateTtl, NewNode::from(record))?;
            }
            Op::Delete(record) => self.delete(request, &record)?,
            Op::SetData(record) => self.set_data(request, record)?,
            Op::Check(record) => self.check(request, record)?,
            Op::GetChildren(_) | Op::GetData(_) => {
                return Err(PrepError::Malformed(InputError::Io(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "a read is no part of multi",
                ))));
            }
        }
        Ok(())
    }
}

/// The nodes whose outstanding changes a part may replace: its own node and the parent. As in Java, a sequential
/// node has its name without the number here.
fn paths_to_restore(ops: &[Op]) -> impl Iterator<Item = &str> {
    ops.iter().flat_map(|op| {
        let path = op.path();
        let parent = path.rfind('/').filter(|_| !path.contains('\0'));
        let parent = parent.map(|slash| super::parent_or_root(path, slash));
        [Some(path), parent].into_iter().flatten()
    })
}
