//! The server as seen by the commands of the AdminServer (Java: what server/admin/Commands.java calls of
//! server/ZooKeeperServer.java).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::ZooKeeperServer;
use crate::data::{ACL, Id};
use crate::ids::SessionId;
use crate::keeper_exception::KeeperError;
use crate::server::admin::admin_context::{AdminContext, EnsembleContext, TakenSnapshot};
use crate::server::auth::provider_registry::ProviderRegistry;
use crate::server::memory_account::MemoryAccounts;
use crate::server::persistence::snapshot_info::SnapshotInfo;
use crate::server::persistence::util::{SNAPSHOT_FILE_PREFIX, zxid_from_name};
use crate::server::watch::watches_path_report::WatchesPathReport;
use crate::server::watch::watches_report::WatchesReport;
use crate::server::watch::watches_summary::WatchesSummary;
use crate::server::zookeeper_server_conf::ZooKeeperServerConf;

impl AdminContext for ZooKeeperServer {
    fn conf(&self) -> ZooKeeperServerConf {
        self.conf()
    }

    fn initial_config(&self) -> String {
        self.settings().initial_config.clone()
    }

    fn session_expiry_map(&self) -> BTreeMap<i64, BTreeSet<SessionId>> {
        self.session_tracker().session_expiry_map()
    }

    fn ephemerals(&self) -> Vec<(SessionId, Vec<String>)> {
        let database = self.zk_database();
        // The tree's lock is released between two sessions.
        let paths_of = |session_id| {
            let tree = database.tree().read();
            (session_id, tree.ephemeral_paths(session_id).map(str::to_owned).collect())
        };
        database.sessions_with_ephemerals().into_iter().map(paths_of).collect()
    }

    fn watches(&self) -> WatchesReport {
        let watches = self.zk_database().tree().read().data_watches();
        watches.watches()
    }

    fn watches_by_path(&self) -> WatchesPathReport {
        let watches = self.zk_database().tree().read().data_watches();
        watches.watches_by_path()
    }

    fn watches_summary(&self) -> WatchesSummary {
        self.zk_database().tree().read().watches_summary()
    }

    fn last_snapshot_info(&self) -> Option<SnapshotInfo> {
        self.zk_database().snap_log().last_snapshot_info()
    }

    fn is_serialize_last_processed_zxid_enabled(&self) -> bool {
        self.settings().serialize_last_processed_zxid_enabled
    }

    fn take_snapshot(&self) -> Result<TakenSnapshot, String> {
        let path = self.save_snapshot().map_err(|problem| problem.to_string())?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let last_zxid = zxid_from_name(&name, SNAPSHOT_FILE_PREFIX);
        Ok(TakenSnapshot { path, last_zxid })
    }

    fn provider_registry(&self) -> &ProviderRegistry {
        self.provider_registry()
    }

    fn node_acl(&self, path: &str) -> Option<Arc<[ACL]>> {
        self.zk_database().tree().read().acl(path).ok().map(|(acl, _)| acl)
    }

    fn check_admin_acl(
        &self,
        acl: &[ACL],
        perm: i32,
        ids: &[Id],
        path: &str,
    ) -> Result<(), KeeperError> {
        self.check_acl(acl, perm, ids, path, None)
    }

    fn ensemble(&self) -> Option<&dyn EnsembleContext> {
        self.role().ensemble()
    }

    fn memory(&self) -> Option<&Arc<MemoryAccounts>> {
        Some(self.memory())
    }

    fn close_clients_for_room(&self) {
        self.close_stalled();
    }
}
