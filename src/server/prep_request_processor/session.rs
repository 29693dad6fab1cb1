//! `createSession` and `closeSession` (Java: pRequest2Txn of server/PrepRequestProcessor.java).

use super::{Prep, PrepError, txn_position};
use crate::ids::Zxid;
use crate::keeper_exception::KeeperError;
use crate::server::request::Request;
use crate::server::util::serialize_utils::TxnBody;
use crate::txn::{CloseSessionTxn, CreateSessionTxn};

impl Prep<'_> {
    pub(super) fn create_session(&mut self, request: &mut Request) -> Result<(), PrepError> {
        let txn = self.read::<CreateSessionTxn>(request)?;
        let tracker = self.server.session_tracker();
        tracker.track_session(request.session_id, txn.time_out);
        tracker.set_owner(request.session_id, request.owner)?;
        request.txn = Some(TxnBody::CreateSession(txn));
        Ok(())
    }

    pub(super) fn close_session(&mut self, request: &mut Request) -> Result<(), KeeperError> {
        let start_ms = self.server.clock().elapsed_ms();
        let mut ephemerals = self.tree.ephemerals(request.session_id);
        self.changes.correct_ephemerals(request.session_id, &mut ephemerals);
        let (zxid, _) = txn_position(request);
        for path in &ephemerals {
            self.ephemeral_removed(zxid, path)?;
        }
        if self.close_session_txn_enabled {
            let txn = CloseSessionTxn { paths2_delete: ephemerals };
            request.txn = Some(TxnBody::CloseSession(txn));
        }
        self.server.session_tracker().set_session_closing(request.session_id);
        let took_ms = self.server.clock().elapsed_ms() - start_ms;
        self.server.server_metrics().close_session_prep_time.add(took_ms);
        Ok(())
    }

    fn ephemeral_removed(&mut self, zxid: Zxid, path: &str) -> Result<(), KeeperError> {
        if self.digest_enabled {
            let parent = self.record_for_path(self.get_parent_path_and_validate(path)?)?;
            let mut parent = parent.duplicate(zxid);
            parent.stat_mut().pzxid = zxid;
            self.add_change_record(parent);
        }
        self.add_removal(zxid, path, 0);
        Ok(())
    }
}
