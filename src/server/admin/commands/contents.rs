//! Commands about data, sessions and watches (Java: DirsCommand, DumpCommand, DigestCommand,
//! LastSnapshotCommand, WatchCommand, WatchesByPathCommand and WatchSummaryCommand of
//! server/admin/Commands.java).

use super::super::command_response::CommandResponse;
use super::super::json_outputter::Json;
use super::{Commands, Kwargs};
use crate::ids::SessionId;
use crate::server::admin::admin_context::AdminContext;

fn session_ids<'a>(ids: impl IntoIterator<Item = &'a SessionId>) -> Json {
    Json::List(ids.into_iter().map(|id| Json::Long(id.0)).collect())
}

fn texts<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Json {
    Json::List(texts.into_iter().map(|text| Json::from(text.as_ref())).collect())
}

/// `dirs`: the sizes of snapshots and transaction logs.
pub(super) fn dirs(
    _commands: &Commands,
    server: &dyn AdminContext,
    _kwargs: &Kwargs,
    response: &mut CommandResponse,
) {
    response.put("datadir_size", server.data_dir_size());
    response.put("logdir_size", server.log_dir_size());
}

/// `dump`: session expiry times and ephemeral nodes.
pub(super) fn dump(
    _commands: &Commands,
    server: &dyn AdminContext,
    _kwargs: &Kwargs,
    response: &mut CommandResponse,
) {
    let expiry = server.session_expiry_map();
    let expiry = expiry.iter().map(|(time, ids)| (time.to_string(), session_ids(ids)));
    response.put("expiry_time_to_session_ids", Json::Object(expiry.collect()));
    let ephemerals = server.ephemerals();
    let ephemerals = ephemerals.iter().map(|(id, paths)| (id.0.to_string(), texts(paths)));
    response.put("session_id_to_ephemeral_paths", Json::Object(ephemerals.collect()));
}

/// `hash`: the recent digests of the data tree.
pub(super) fn digests(
    _commands: &Commands,
    server: &dyn AdminContext,
    _kwargs: &Kwargs,
    response: &mut CommandResponse,
) {
    let digests = server.digest_log().into_iter().map(|entry| {
        Json::object([
            ("zxid", entry.zxid.0.into()),
            ("digest", entry.digest.into()),
            ("digest_version", entry.digest_version.into()),
        ])
    });
    response.put("digests", Json::List(digests.collect()));
}

/// `last_snapshot`: the most recent snapshot.
pub(super) fn last_snapshot(
    _commands: &Commands,
    server: &dyn AdminContext,
    _kwargs: &Kwargs,
    response: &mut CommandResponse,
) {
    let info = server.last_snapshot_info();
    let zxid = info.map_or(-1, |info| info.zxid.0);
    response.put("zxid", format!("{zxid:x}"));
    response.put("timestamp", info.map_or(-1, |info| info.timestamp));
}

/// `watches`: the watched paths of each session.
pub(super) fn watches(
    _commands: &Commands,
    server: &dyn AdminContext,
    _kwargs: &Kwargs,
    response: &mut CommandResponse,
) {
    let report = server.watches();
    let sessions = report.as_map().iter().map(|(id, paths)| (id.0.to_string(), texts(paths)));
    response.put("session_id_to_watched_paths", Json::Object(sessions.collect()));
}

/// `watches_by_path`: the sessions that watch each path.
pub(super) fn watches_by_path(
    _commands: &Commands,
    server: &dyn AdminContext,
    _kwargs: &Kwargs,
    response: &mut CommandResponse,
) {
    let report = server.watches_by_path();
    let paths = report.as_map().iter().map(|(path, ids)| (path.to_string(), session_ids(ids)));
    response.put("path_to_session_ids", Json::Object(paths.collect()));
}

/// `watch_summary`: the numbers of watches.
pub(super) fn watch_summary(
    _commands: &Commands,
    server: &dyn AdminContext,
    _kwargs: &Kwargs,
    response: &mut CommandResponse,
) {
    let summary = server.watches_summary();
    response.put("num_connections", summary.num_connections);
    response.put("num_paths", summary.num_paths);
    response.put("num_total_watches", summary.total_watches);
}
