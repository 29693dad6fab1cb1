//! A transaction as a leader sends it (Java: PacketInFlight of server/quorum/Learner.java, and TxnLogEntry.toRequest).

use std::sync::Arc;

use super::LearnerError;
use crate::ids::{SessionId, Zxid};
use crate::server::request::Request;
use crate::server::util::serialize_utils::{TxnBody, TxnFormat, deserialize_txn};
use crate::txn::{TxnDigest, TxnHeader};
use crate::zoo_defs::OpCode;

/// A transaction.
#[derive(Debug)]
pub(in crate::server::quorum) struct LearnerTxn {
    pub(in crate::server::quorum) header: TxnHeader,
    pub(in crate::server::quorum) txn: Option<TxnBody>,
    pub(in crate::server::quorum) digest: Option<TxnDigest>,
    /// All of it, as it goes to the log.
    pub(in crate::server::quorum) bytes: Arc<[u8]>,
}

impl LearnerTxn {
    /// Reads the data of PROPOSAL or INFORM. `zxid` is the packet's.
    pub(in crate::server::quorum) fn read(
        data: &[u8],
        zxid: Zxid,
        format: &TxnFormat,
    ) -> Result<Self, LearnerError> {
        let entry =
            deserialize_txn(data, format).map_err(|source| LearnerError::Txn { zxid, source })?;
        Ok(Self { header: entry.header, txn: entry.txn, digest: entry.digest, bytes: data.into() })
    }

    pub(in crate::server::quorum) const fn zxid(&self) -> Zxid {
        self.header.zxid
    }

    /// The text of the ensemble's configuration that it sets, if it does.
    pub(in crate::server::quorum) fn config(&self) -> Option<String> {
        match &self.txn {
            Some(TxnBody::SetData(txn)) if self.header.r#type == OpCode::Reconfig.code() => {
                Some(String::from_utf8_lossy(txn.data.as_deref().unwrap_or_default()).into_owned())
            }
            _ => None,
        }
    }

    fn bare_request(&self) -> Box<Request> {
        let TxnHeader { client_id, cxid, r#type, .. } = self.header;
        let mut request = Request::new(None, client_id, cxid, r#type, None, Arc::default());
        request.hdr = Some(self.header.clone());
        request.txn_bytes = Arc::clone(&self.bytes);
        request.zxid = self.header.zxid;
        Box::new(request)
    }

    /// What the log needs of it.
    pub(in crate::server::quorum) fn log_request(&self) -> Box<Request> {
        self.bare_request()
    }

    /// What is applied when it is committed.
    pub(in crate::server::quorum) fn commit_request(self) -> Box<Request> {
        let mut request = self.bare_request();
        request.txn = self.txn;
        request.txn_digest = self.digest;
        request
    }
}

/// The answer to a `sync`, as it comes back to the processors.
pub(in crate::server::quorum) fn sync_request(session_id: SessionId, cxid: i32) -> Box<Request> {
    let op = OpCode::Sync.code();
    Box::new(Request::new(None, session_id, cxid, op, None, Arc::default()))
}

/// Whether `zxid` can come right after `last`: nothing is between, or its epoch is a later one.
pub(in crate::server::quorum) const fn follows(last: Zxid, zxid: Zxid) -> bool {
    zxid.0 == last.next().0 || zxid.epoch() > last.epoch()
}
