//! A transaction in the form that a leader sends (Java: PacketInFlight of server/quorum/Learner.java, and
//! TxnLogEntry.toRequest).

use std::sync::Arc;

use super::LearnerError;
use crate::ids::{SessionId, Zxid};
use crate::server::request::Request;
use crate::server::util::serialize_utils::{TxnBody, TxnFormat, deserialize_txn};
use crate::txn::{TxnDigest, TxnHeader};
use crate::zoo_defs::OpCode;

/// A transaction, parsed.
#[derive(Debug)]
pub(in crate::server::quorum) struct LearnerTxn {
    pub(in crate::server::quorum) header: TxnHeader,
    pub(in crate::server::quorum) txn: Option<TxnBody>,
    pub(in crate::server::quorum) digest: Option<TxnDigest>,
    /// The whole transaction, in the form that is logged.
    pub(in crate::server::quorum) bytes: Arc<[u8]>,
}

impl LearnerTxn {
    /// Parses the data of a PROPOSAL or INFORM with that zxid.
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

    /// The text of the new configuration, if the transaction is a reconfiguration.
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

    /// The request for the log.
    pub(in crate::server::quorum) fn log_request(&self) -> Box<Request> {
        self.bare_request()
    }

    /// The request to apply at commit.
    pub(in crate::server::quorum) fn commit_request(self) -> Box<Request> {
        let mut request = self.bare_request();
        request.txn = self.txn;
        request.txn_digest = self.digest;
        request
    }
}

/// The answer to a `sync`, in the form that the processors expect.
pub(in crate::server::quorum) fn sync_request(session_id: SessionId, cxid: i32) -> Box<Request> {
    let op = OpCode::Sync.code();
    Box::new(Request::new(None, session_id, cxid, op, None, Arc::default()))
}

/// Whether `zxid` may directly follow `last`: it is the next one, or of a later epoch.
pub(in crate::server::quorum) const fn follows(last: Zxid, zxid: Zxid) -> bool {
    zxid.0 == last.next().0 || zxid.epoch() > last.epoch()
}
