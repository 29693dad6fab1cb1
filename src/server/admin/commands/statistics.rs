//! Commands about statistics (Java: CnxnStatResetCommand, ConsCommand, MonitorCommand, SrvrCommand,
//! StatCommand and StatResetCommand of server/admin/Commands.java).

use log::info;

use super::super::command_response::CommandResponse;
use super::super::json_outputter::Json;
use super::{Commands, Kwargs, LOG};
use crate::server::admin::admin_context::AdminContext;
use crate::server::buffer_stats::BufferStats;
use crate::server::cnxn_stats::{ConnectionInfo, java_socket_address};
use crate::version;

/// `connection_stat_reset`: resets the statistics of the connections of the plain-text port, as in Java.
pub(super) fn reset_connections(
    _commands: &Commands,
    server: &dyn AdminContext,
    _kwargs: &Kwargs,
    _response: &mut CommandResponse,
) {
    server.reset_all_connection_stats(false);
}

/// `connections`: details of all connections.
pub(super) fn connections(
    _commands: &Commands,
    server: &dyn AdminContext,
    _kwargs: &Kwargs,
    response: &mut CommandResponse,
) {
    put_connections(server, false, response);
}

fn put_connections(server: &dyn AdminContext, brief: bool, response: &mut CommandResponse) {
    for (name, secure) in [("connections", false), ("secure_connections", true)] {
        let mut connections = Vec::new();
        server.for_each_connection(secure, &mut |info| connections.push(connection(info, brief)));
        response.put(name, Json::List(connections));
    }
}

/// One connection (Java: ServerCnxn.getConnectionInfo).
fn connection(info: &ConnectionInfo<'_>, brief: bool) -> Json {
    let stats = info.stats;
    let address = java_socket_address(info.remote);
    let mut entries = vec![
        ("remote_socket_address", address.trim_start_matches('/').into()),
        ("interest_ops", info.interest_ops.into()),
        ("outstanding_requests", info.outstanding_requests.into()),
        ("packets_received", stats.packets_received().into()),
        ("packets_sent", stats.packets_sent().into()),
    ];
    if !brief {
        entries.extend([
            ("session_id", info.session_id.0.into()),
            ("last_operation", stats.last_operation().map_or(Json::Null, Json::from)),
            ("established", stats.established_ms().into()),
            ("session_timeout", info.session_timeout_ms.into()),
            ("last_cxid", stats.last_cxid().into()),
            ("last_zxid", stats.last_zxid().0.into()),
            ("last_response_time", stats.last_response_time_ms().into()),
            ("last_latency", stats.last_latency_ms().into()),
            ("min_latency", stats.min_latency_ms().into()),
            ("avg_latency", stats.avg_latency_ms().into()),
            ("max_latency", stats.max_latency_ms().into()),
        ]);
    }
    Json::Object(entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// `monitor`: all metrics. Java fails while there is no server; here the metrics are shown anyway.
pub(super) fn monitor(
    commands: &Commands,
    server: Option<&dyn AdminContext>,
    _kwargs: &Kwargs,
    response: &mut CommandResponse,
) {
    if let Some(server) = server {
        server.dump_monitor_values(&mut |name, value| response.put(name, value));
    }
    let provider = commands.parts.metrics.metrics_provider();
    provider.dump(&mut |name, value| response.put(name, value));
}

/// `server_stats`: a summary of the server.
pub(super) fn server(
    _commands: &Commands,
    server: &dyn AdminContext,
    _kwargs: &Kwargs,
    response: &mut CommandResponse,
) {
    info!(target: LOG, "running stat");
    response.put("version", version::full_version());
    response.put("read_only", server.is_read_only());
    response.put("server_stats", server_stats(server));
    response.put("client_response", buffer_stats(server.server_stats().client_response_stats()));
    if let Some(sizes) = server.proposal_stats() {
        response.put("proposal_stats", buffer_stats(&sizes));
    }
    response.put("node_count", server.node_count());
}

/// The statistics, with the names and the order that Java's JSON library derives from ServerStats.
fn server_stats(server: &dyn AdminContext) -> Json {
    let stats = server.server_stats();
    Json::object([
        ("packets_sent", stats.packets_sent().into()),
        ("packets_received", stats.packets_received().into()),
        ("fsync_threshold_exceed_count", stats.fsync_threshold_exceed_count().into()),
        ("client_response_stats", buffer_stats(stats.client_response_stats())),
        ("data_dir_size", server.data_dir_size().into()),
        ("log_dir_size", server.log_dir_size().into()),
        ("provider_null", false.into()),
        ("last_processed_zxid", server.last_processed_zxid().0.into()),
        ("outstanding_requests", server.outstanding_requests().into()),
        ("server_state", server.server_state().into()),
        ("avg_latency", Json::Double(stats.avg_latency())),
        ("max_latency", stats.max_latency().into()),
        ("min_latency", stats.min_latency().into()),
        ("num_alive_client_connections", server.num_alive_connections().into()),
        ("uptime", stats.uptime_ms().into()),
        ("auth_failed_count", stats.auth_failed_count().into()),
        ("non_mtlsremote_conn_count", stats.non_mtls_remote_conn_count().into()),
        ("non_mtlslocal_conn_count", stats.non_mtls_local_conn_count().into()),
    ])
}

fn buffer_stats(sizes: &BufferStats) -> Json {
    Json::object([
        ("last_buffer_size", sizes.last_buffer_size().into()),
        ("min_buffer_size", sizes.min_buffer_size().into()),
        ("max_buffer_size", sizes.max_buffer_size().into()),
    ])
}

/// `stats`: a summary of the server, and its connections.
pub(super) fn server_and_connections(
    commands: &Commands,
    context: &dyn AdminContext,
    kwargs: &Kwargs,
    response: &mut CommandResponse,
) {
    server(commands, context, kwargs, response);
    put_connections(context, true, response);
}

/// `stat_reset`: resets statistics and metrics. As in Java, the proposal sizes are not reset.
pub(super) fn reset(
    _commands: &Commands,
    server: &dyn AdminContext,
    _kwargs: &Kwargs,
    _response: &mut CommandResponse,
) {
    server.server_stats().reset();
}
