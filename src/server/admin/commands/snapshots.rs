//! Taking and restoring snapshots (Java: SnapshotCommand and RestoreCommand of
//! server/admin/Commands.java).

use std::fs::File;
use std::io::Read;

use log::warn;

use super::super::command_response::CommandResponse;
use super::super::http_message::Status;
use super::{Commands, Kwargs, LOG};
use crate::server::admin::admin_context::AdminContext;

/// `snapshot`: takes a snapshot and sends it. With `streaming=false` it only reports success.
pub(super) fn snapshot(
    commands: &Commands,
    server: &dyn AdminContext,
    kwargs: &Kwargs,
    response: &mut CommandResponse,
) {
    let metrics = &commands.parts.metrics;
    if !commands.parts.config.snapshot_enabled {
        response.set_status(Status::SERVICE_UNAVAILABLE);
        warn!(target: LOG, "Snapshot command is disabled");
        return;
    }
    if !server.is_serialize_last_processed_zxid_enabled() {
        response.set_status(Status::INTERNAL_SERVER_ERROR);
        warn!(
            target: LOG,
            "Snapshot command requires serializeLastProcessedZxidEnable flag is set to true"
        );
        return;
    }
    if !commands.snapshot_limiter.allow() {
        response.set_status(Status::TOO_MANY_REQUESTS);
        metrics.snapshot_rate_limited_count.inc();
        warn!(target: LOG, "Snapshot request was rate limited");
        return;
    }
    let streaming = kwargs.iter().find(|(name, _)| name == "streaming");
    let streaming = streaming.is_none_or(|(_, value)| value.eq_ignore_ascii_case("true"));
    if let Err(problem) = take(server, streaming, response) {
        response.set_status(Status::INTERNAL_SERVER_ERROR);
        metrics.snapshot_error_count.inc();
        warn!(target: LOG, "Snapshot command failed: {problem}");
    }
}

fn take(
    server: &dyn AdminContext,
    streaming: bool,
    response: &mut CommandResponse,
) -> Result<(), String> {
    let taken = server.take_snapshot()?;
    response.add_header("last_zxid", taken.last_zxid.to_string());
    let cannot = |problem| format!("{}: {problem}", taken.path.display());
    let file = File::open(&taken.path).map_err(cannot)?;
    let size = file.metadata().map_err(cannot)?.len();
    response.add_header("snapshot_size", size.to_string());
    if size == 0 {
        return Err(format!("Snapshot file {} is empty", taken.path.display()));
    }
    if streaming {
        response.set_stream(file);
    }
    Ok(())
}

/// The error message of `restore`.
const CANNOT_RESTORE: &str = "a running server cannot take a snapshot in yet: stop the server (in an ensemble all of them), \
     replace what is in version-2 of its dataDir and dataLogDir by the snapshot's file, which must be named snapshot.ZXID \
     (the header last_zxid of the answer that brought the snapshot, without 0x), and start it again";

/// `restore`: always refused. In Java it replaces the data tree by the snapshot in the request. Requests that
/// are under way at that time may be applied to a tree that they were not checked against.
pub(super) fn restore(
    commands: &Commands,
    server: &dyn AdminContext,
    _body: &mut dyn Read,
    response: &mut CommandResponse,
) {
    if !commands.parts.config.restore_enabled {
        response.set_status(Status::SERVICE_UNAVAILABLE);
        warn!(target: LOG, "Restore command is disabled");
        return;
    }
    response.set_status(Status::INTERNAL_SERVER_ERROR);
    if !server.is_serialize_last_processed_zxid_enabled() {
        warn!(
            target: LOG,
            "Restore command requires serializeLastProcessedZxidEnable flag is set to true"
        );
        return;
    }
    response.set_error(CANNOT_RESTORE);
    commands.parts.metrics.restore_error_count.inc();
    warn!(target: LOG, "Restore command failed: {CANNOT_RESTORE}");
}
