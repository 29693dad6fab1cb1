//! Learners before 3.5 and the transactions they cannot read (no Java twin; Java sends it without a word, and the
//! learner is gone).
//!
//! A learner that receives such a transaction leaves the ensemble, and does so again each time it comes back. It is
//! sent all the same, because the other servers commit it. The log names the learner and the transaction in time.

use byteorder::{BigEndian, ByteOrder};

use log::error;

use crate::server::quorum::learner_handler::LearnerHandler;
use crate::zoo_defs::OpCode;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.quorum.Leader";

/// The offset of the type in a transaction header: after session id, cxid, zxid and time.
const TYPE_AT: usize = 8 + 4 + 8 + 8;

/// Logs an error if this learner cannot read this transaction.
pub(in crate::server::quorum) fn check(handler: &LearnerHandler, txn: &[u8]) {
    if handler.is_before_3_5()
        && let Some(op) = unreadable(txn)
    {
        error!(
            target: LOG,
            "learner sid {} is of a version before 3.5 and cannot read a transaction of type {op:?}: it will leave the \
             ensemble, and cannot come back before it is upgraded or gets a snapshot",
            handler.sid()
        );
    }
}

/// The operation in the transaction that 3.4 does not know, if there is one.
fn unreadable(txn: &[u8]) -> Option<OpCode> {
    let op = op_at(txn, TYPE_AT)?;
    if op != OpCode::Multi {
        return is_new(op).then_some(op);
    }
    let mut at = TYPE_AT + 4;
    let count = int_at(txn, at)?;
    at += 4;
    for _ in 0..count {
        let (op, len) = (op_at(txn, at), int_at(txn, at + 4)?);
        if let Some(op) = op.filter(|op| is_new(*op)) {
            return Some(op);
        }
        at = at.checked_add(8)?.checked_add(usize::try_from(len).ok()?)?;
    }
    None
}

const fn is_new(op: OpCode) -> bool {
    matches!(
        op,
        OpCode::Create2
            | OpCode::Reconfig
            | OpCode::CreateContainer
            | OpCode::DeleteContainer
            | OpCode::CreateTtl
    )
}

fn op_at(txn: &[u8], at: usize) -> Option<OpCode> {
    OpCode::try_from(int_at(txn, at)?).ok()
}

fn int_at(txn: &[u8], at: usize) -> Option<i32> {
    txn.get(at..)?.get(..4).map(BigEndian::read_i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn txn(op: OpCode, body: &[u8]) -> Vec<u8> {
        let mut txn = vec![0; TYPE_AT];
        txn.extend_from_slice(&op.code().to_be_bytes());
        txn.extend_from_slice(body);
        txn
    }

    fn part(op: OpCode, len: u8) -> Vec<u8> {
        let mut part = op.code().to_be_bytes().to_vec();
        part.extend_from_slice(&[0, 0, 0, len]);
        part.extend(std::iter::repeat_n(0, usize::from(len)));
        part
    }

    #[test]
    fn what_3_4_does_not_know_is_found_also_inside_a_multi() {
        assert_eq!(unreadable(&txn(OpCode::Create, &[])), None);
        assert_eq!(unreadable(&txn(OpCode::Create2, &[])), Some(OpCode::Create2));
        assert_eq!(unreadable(&txn(OpCode::CreateTtl, &[])), Some(OpCode::CreateTtl));
        let mut body = vec![0, 0, 0, 2];
        body.extend(part(OpCode::SetData, 5));
        assert_eq!(unreadable(&txn(OpCode::Multi, &body)), None, "the second is cut off");
        body.extend(part(OpCode::CreateContainer, 0));
        assert_eq!(unreadable(&txn(OpCode::Multi, &body)), Some(OpCode::CreateContainer));
        assert_eq!(unreadable(&[1, 2, 3]), None);
    }
}
