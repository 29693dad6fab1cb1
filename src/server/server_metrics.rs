//! All metrics of a server (Java: server/ServerMetrics.java).
//!
//! One value for a server, shared by all its parts: Java has one for the process. The fields are Java's constants in
//! lower case, the strings are the names that `mntr` shows. Recording never waits; see `server::metric`.

use std::sync::Arc;

use log::info;

use crate::metrics::counter::Counter;
use crate::metrics::counter_set::CounterSet;
use crate::metrics::impls::default_metrics_provider::DefaultMetricsProvider;
use crate::metrics::impls::null_metrics_provider::NullMetricsProvider;
use crate::metrics::metrics_context::DetailLevel;
use crate::metrics::metrics_provider::MetricsProvider;
use crate::metrics::summary::Summary;
use crate::metrics::summary_set::SummarySet;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.ServerMetrics";

macro_rules! server_metrics {
    ($( $(#[$meta:meta])* $field:ident: $kind:ident, $make:ident($name:literal $(, $detail:expr)?); )*) => {
        /// The metrics of a server.
        pub struct ServerMetrics {
            $( $(#[$meta])* pub $field: Arc<dyn $kind>, )*
            metrics_provider: Arc<dyn MetricsProvider>,
        }

        impl ServerMetrics {
            /// The metrics of that provider (Java: metricsProviderInitialized).
            #[must_use]
            pub fn new(metrics_provider: Arc<dyn MetricsProvider>) -> Self {
                info!(target: LOG, "ServerMetrics initialized with provider {}", metrics_provider.class_name());
                let context = metrics_provider.root_context();
                Self {
                    $( $field: context.$make($name $(, $detail)?), )*
                    metrics_provider,
                }
            }
        }
    };
}

impl ServerMetrics {
    /// Metrics that remember and that nobody configured, for tests and tools (Java: DEFAULT_METRICS_FOR_TESTS).
    #[must_use]
    pub fn with_default_provider() -> Arc<Self> {
        Arc::new(Self::new(Arc::new(DefaultMetricsProvider::new())))
    }

    /// Metrics that forget (Java: NULL_METRICS).
    #[must_use]
    pub fn null() -> Arc<Self> {
        Arc::new(Self::new(Arc::new(NullMetricsProvider)))
    }

    /// Sets all of them back.
    pub fn reset_all(&self) {
        self.metrics_provider.reset_all_values();
    }

    /// Who collects them.
    #[must_use]
    pub fn metrics_provider(&self) -> &dyn MetricsProvider {
        &*self.metrics_provider
    }
}

server_metrics! {
    /// Time of a flush of the transaction log, in ms.
    fsync_time: Summary, summary("fsynctime", DetailLevel::Basic);
    /// Time to write a snapshot, in ms.
    snapshot_time: Summary, summary("snapshottime", DetailLevel::Basic);
    /// Snapshots that could not be taken by the AdminServer's command.
    snapshot_error_count: Counter, counter("snapshot_error_count");
    /// Snapshot commands refused because the last was too short ago.
    snapshot_rate_limited_count: Counter, counter("snapshot_rate_limited_count");
    /// Time to restore the tree from a snapshot given to the AdminServer, in ms.
    restore_time: Summary, summary("restore_time", DetailLevel::Basic);
    /// Restore commands that failed.
    restore_error_count: Counter, counter("restore_error_count");
    /// Restore commands refused because the last was too short ago.
    restore_rate_limited_count: Counter, counter("restore_rate_limited_count");
    /// Time to load snapshot and log at start, in ms.
    db_init_time: Summary, summary("dbinittime", DetailLevel::Basic);
    /// Time from the arrival of a read to its reply, in ms.
    read_latency: Summary, summary("readlatency", DetailLevel::Advanced);
    /// Time from the arrival of a write of this server's clients to its reply, in ms.
    update_latency: Summary, summary("updatelatency", DetailLevel::Advanced);
    /// Time from a transaction's header on the leader to its end here, in ms.
    propagation_latency: Summary, summary("propagation_latency", DetailLevel::Advanced);
    /// Time a follower took to catch up with its leader, in ms.
    follower_sync_time: Summary, summary("follower_sync_time", DetailLevel::Basic);
    /// Time an observer took to catch up with its leader, in ms.
    observer_sync_time: Summary, summary("observer_sync_time", DetailLevel::Basic);
    /// Time of an election, in ms.
    election_time: Summary, summary("election_time", DetailLevel::Basic);
    /// How often this server began to look for a leader.
    looking_count: Counter, counter("looking_count");
    /// Learners that were sent what they missed.
    diff_count: Counter, counter("diff_count");
    /// Learners that were sent a snapshot.
    snap_count: Counter, counter("snap_count");
    /// Proposals committed as leader.
    commit_count: Counter, counter("commit_count");
    /// Requests for a session.
    connection_request_count: Counter, counter("connection_request_count");
    /// Tokens that the connection throttle lacked.
    connection_token_deficit: Summary, summary("connection_token_deficit", DetailLevel::Basic);
    /// Connections refused by a limit.
    connection_rejected: Counter, counter("connection_rejected");
    /// Snapshots being sent to learners at once.
    inflight_snap_count: Summary, summary("inflight_snap_count", DetailLevel::Basic);
    /// Differences being sent to learners at once.
    inflight_diff_count: Summary, summary("inflight_diff_count", DetailLevel::Basic);
    /// Bytes of writes by first path element.
    write_per_namespace: SummarySet, summary_set("write_per_namespace", DetailLevel::Basic);
    /// Bytes of reads by first path element.
    read_per_namespace: SummarySet, summary_set("read_per_namespace", DetailLevel::Basic);
    /// Bytes received from clients.
    bytes_received_count: Counter, counter("bytes_received_count");
    /// Errors that ended the server.
    unrecoverable_error_count: Counter, counter("unrecoverable_error_count");
    /// Watches fired by the creation of a node.
    node_created_watcher: Summary, summary("node_created_watch_count", DetailLevel::Basic);
    /// Watches fired by the removal of a node.
    node_deleted_watcher: Summary, summary("node_deleted_watch_count", DetailLevel::Basic);
    /// Watches fired by a change of data.
    node_changed_watcher: Summary, summary("node_changed_watch_count", DetailLevel::Basic);
    /// Watches fired by a change of the list of children.
    node_children_watcher: Summary, summary("node_children_watch_count", DetailLevel::Basic);
    /// Time spent waiting to hand dead watchers to the cleaner, in ms.
    add_dead_watcher_stall_time: Counter, counter("add_dead_watcher_stall_time");
    /// Dead watchers handed to the cleaner.
    dead_watchers_queued: Counter, counter("dead_watchers_queued");
    /// Dead watchers that were cleaned up.
    dead_watchers_cleared: Counter, counter("dead_watchers_cleared");
    /// Time of a run of the cleaner, in ms.
    dead_watchers_cleaner_latency: Summary, summary("dead_watchers_cleaner_latency", DetailLevel::Advanced);
    /// Replies of getData found ready.
    response_packet_cache_hits: Counter, counter("response_packet_cache_hits");
    /// Replies of getData not found ready.
    response_packet_cache_missing: Counter, counter("response_packet_cache_misses");
    /// Replies of getChildren2 found ready.
    response_packet_get_children_cache_hits: Counter, counter("response_packet_get_children_cache_hits");
    /// Replies of getChildren2 not found ready.
    response_packet_get_children_cache_missing: Counter, counter("response_packet_get_children_cache_misses");
    /// Clients that named this ensemble.
    ensemble_auth_success: Counter, counter("ensemble_auth_success");
    /// Clients that named another ensemble.
    ensemble_auth_fail: Counter, counter("ensemble_auth_fail");
    /// Clients that named an ensemble where none is set.
    ensemble_auth_skip: Counter, counter("ensemble_auth_skip");
    /// Time of a request in front of PrepRequestProcessor, in ms.
    prep_processor_queue_time: Summary, summary("prep_processor_queue_time_ms", DetailLevel::Advanced);
    /// Requests in front of PrepRequestProcessor.
    prep_processor_queue_size: Summary, summary("prep_processor_queue_size", DetailLevel::Basic);
    /// Requests handed to PrepRequestProcessor.
    prep_processor_queued: Counter, counter("prep_processor_request_queued");
    /// Changes noted as outstanding.
    outstanding_changes_queued: Counter, counter("outstanding_changes_queued");
    /// Changes that are outstanding no more.
    outstanding_changes_removed: Counter, counter("outstanding_changes_removed");
    /// Time of a request in PrepRequestProcessor, in ms.
    prep_process_time: Summary, summary("prep_process_time", DetailLevel::Basic);
    /// Time to hand a request to the processor after PrepRequestProcessor, in ms.
    proposal_process_time: Summary, summary("proposal_process_time", DetailLevel::Basic);
    /// Time to prepare the end of a session, in ms.
    close_session_prep_time: Summary, summary("close_session_prep_time", DetailLevel::Advanced);
    /// Sessions that a learner asked its leader about.
    revalidate_count: Counter, counter("revalidate_count");
    /// Connections closed because their session is not valid.
    connection_drop_count: Counter, counter("connection_drop_count");
    /// Connections that wanted an old session back.
    connection_revalidate_count: Counter, counter("connection_revalidate_count");
    /// Connections closed because they opened no session in time.
    sessionless_connections_expired: Counter, counter("sessionless_connections_expired");
    /// Sessions that ran out.
    stale_sessions_expired: Counter, counter("stale_sessions_expired");
    /// Time between two spells of serving clients, in ms.
    unavailable_time: Summary, summary("unavailable_time", DetailLevel::Basic);
    /// Time between the end of one leader and the start of the next, in ms.
    leader_unavailable_time: Summary, summary("leader_unavailable_time", DetailLevel::Basic);
    /// Requests in a session's queue.
    requests_in_session_queue: Summary, summary("requests_in_session_queue", DetailLevel::Basic);
    /// Sessions with a queue.
    pending_session_queue_size: Summary, summary("pending_session_queue_size", DetailLevel::Basic);
    /// Reads in a row behind a write in a session's queue.
    reads_after_write_in_session_queue: Summary, summary("reads_after_write_in_session_queue", DetailLevel::Basic);
    /// Reads let go when their session's write was done.
    read_issued_from_session_queue: Summary, summary("reads_issued_from_session_queue", DetailLevel::Basic);
    /// Queues of sessions that became empty.
    session_queues_drained: Summary, summary("session_queues_drained", DetailLevel::Basic);
    /// Time the commit processor waited for reads to end, in ms.
    time_waiting_empty_pool_in_commit_processor_read: Summary, summary("time_waiting_empty_pool_in_commit_processor_read_ms", DetailLevel::Basic);
    /// Time of a batch of writes in the commit processor, in ms.
    write_batch_time_in_commit_processor: Summary, summary("write_batch_time_in_commit_processor", DetailLevel::Basic);
    /// Requests processed at once behind the commit processor.
    concurrent_request_processing_in_commit_processor: Summary, summary("concurrent_request_processing_in_commit_processor", DetailLevel::Basic);
    /// Reads in front of the commit processor.
    reads_queued_in_commit_processor: Summary, summary("read_commit_proc_req_queued", DetailLevel::Basic);
    /// Writes in front of the commit processor.
    writes_queued_in_commit_processor: Summary, summary("write_commit_proc_req_queued", DetailLevel::Basic);
    /// Commits in front of the commit processor.
    commits_queued_in_commit_processor: Summary, summary("commit_commit_proc_req_queued", DetailLevel::Basic);
    /// Commits handed to the commit processor.
    commits_queued: Counter, counter("request_commit_queued");
    /// Reads passed on by a run of the commit processor.
    reads_issued_in_commit_proc: Summary, summary("read_commit_proc_issued", DetailLevel::Basic);
    /// Writes passed on by a run of the commit processor.
    writes_issued_in_commit_proc: Summary, summary("write_commit_proc_issued", DetailLevel::Basic);
    /// Requests answered with "throttled".
    throttled_ops: Counter, counter("throttled_ops");
    /// Time of a read in the commit processor, in ms.
    read_commitproc_time: Summary, summary("read_commitproc_time_ms", DetailLevel::Advanced);
    /// Time of a write in the commit processor, in ms.
    write_commitproc_time: Summary, summary("write_commitproc_time_ms", DetailLevel::Advanced);
    /// Time of a committed write of this server's clients in the commit processor, in ms.
    local_write_committed_time: Summary, summary("local_write_committed_time_ms", DetailLevel::Advanced);
    /// Time of a committed write of another server's clients in the commit processor, in ms.
    server_write_committed_time: Summary, summary("server_write_committed_time_ms", DetailLevel::Advanced);
    /// Time to commit a write, in ms.
    commit_process_time: Summary, summary("commit_process_time", DetailLevel::Basic);
    /// Time an observer master took over a proposal, in ms.
    om_proposal_process_time: Summary, summary("om_proposal_process_time_ms", DetailLevel::Advanced);
    /// Time an observer master took over a commit, in ms.
    om_commit_process_time: Summary, summary("om_commit_process_time_ms", DetailLevel::Advanced);
    /// Time of a read in the final processor, in ms.
    read_final_proc_time: Summary, summary("read_final_proc_time_ms", DetailLevel::Advanced);
    /// Time of a write in the final processor, in ms.
    write_final_proc_time: Summary, summary("write_final_proc_time_ms", DetailLevel::Advanced);
    /// Time from a transaction's header to its proposal at a learner, in ms.
    proposal_latency: Summary, summary("proposal_latency", DetailLevel::Advanced);
    /// Time from a transaction's header to its acknowledgement, in ms.
    proposal_ack_creation_latency: Summary, summary("proposal_ack_creation_latency", DetailLevel::Advanced);
    /// Time from a transaction's header to its commit at a learner, in ms.
    commit_propagation_latency: Summary, summary("commit_propagation_latency", DetailLevel::Advanced);
    /// Proposals received as learner.
    learner_proposal_received_count: Counter, counter("learner_proposal_received_count");
    /// Commits received as learner.
    learner_commit_received_count: Counter, counter("learner_commit_received_count");
    /// Packets queued for a learner, by its sid.
    learner_handler_qp_size: SummarySet, summary_set("learner_handler_qp_size", DetailLevel::Basic);
    /// Time of a packet in a learner's queue in ms, by its sid.
    learner_handler_qp_time: SummarySet, summary_set("learner_handler_qp_time_ms", DetailLevel::Advanced);
    /// Transactions replayed at start.
    startup_txns_loaded: Summary, summary("startup_txns_loaded", DetailLevel::Basic);
    /// Time to replay transactions at start, in ms.
    startup_txns_load_time: Summary, summary("startup_txns_load_time", DetailLevel::Basic);
    /// Time to load the snapshot at start, in ms.
    startup_snap_load_time: Summary, summary("startup_snap_load_time", DetailLevel::Basic);
    /// Time of a request from SyncRequestProcessor's queue to the disk, in ms.
    sync_processor_queue_and_flush_time: Summary, summary("sync_processor_queue_and_flush_time_ms", DetailLevel::Advanced);
    /// Requests in front of SyncRequestProcessor.
    sync_processor_queue_size: Summary, summary("sync_processor_queue_size", DetailLevel::Basic);
    /// Requests handed to SyncRequestProcessor.
    sync_processor_queued: Counter, counter("sync_processor_request_queued");
    /// Time of a request in front of SyncRequestProcessor, in ms.
    sync_processor_queue_time: Summary, summary("sync_processor_queue_time_ms", DetailLevel::Advanced);
    /// Time of a flush of SyncRequestProcessor, in ms.
    sync_processor_flush_time: Summary, summary("sync_processor_queue_flush_time_ms", DetailLevel::Advanced);
    /// Time of a request in SyncRequestProcessor, in ms.
    sync_process_time: Summary, summary("sync_process_time", DetailLevel::Basic);
    /// Requests flushed together.
    batch_size: Summary, summary("sync_processor_batch_size", DetailLevel::Basic);
    /// Time from a proposal to its quorum of acknowledgements, in ms.
    quorum_ack_latency: Summary, summary("quorum_ack_latency", DetailLevel::Advanced);
    /// Time from a proposal to its acknowledgement in ms, by the sid of who sent it.
    ack_latency: SummarySet, summary_set("ack_latency", DetailLevel::Advanced);
    /// Proposals made as leader.
    proposal_count: Counter, counter("proposal_count");
    /// How often this leader gave up because a voter did not come.
    quit_leading_due_to_disloyal_voter: Counter, counter("quit_leading_due_to_disloyal_voter");
    /// Requests whose client is gone or was made to wait too long.
    stale_requests: Counter, counter("stale_requests");
    /// Such requests that were dropped.
    stale_requests_dropped: Counter, counter("stale_requests_dropped");
    /// Replies to such requests.
    stale_replies: Counter, counter("stale_replies");
    /// Time of a request in front of RequestThrottler, in ms.
    request_throttle_queue_time: Summary, summary("request_throttle_queue_time_ms", DetailLevel::Advanced);
    /// How often RequestThrottler made requests wait.
    request_throttle_wait_count: Counter, counter("request_throttle_wait_count");
    /// Requests refused because large ones took too much memory already.
    large_requests_rejected: Counter, counter("large_requests_rejected");
    /// Bytes received and not yet read. Only Netty's factory records it in Java.
    netty_queued_buffer: Summary, summary("netty_queued_buffer_capacity", DetailLevel::Basic);
    /// Transactions after which the tree's digest was not the leader's.
    digest_mismatches_count: Counter, counter("digest_mismatches_count");
    /// Requests in front of a learner's first processor.
    learner_request_processor_queue_size: Summary, summary("learner_request_processor_queue_size", DetailLevel::Basic);
    /// TLS handshakes that failed.
    unsuccessful_handshake: Counter, counter("unsuccessful_handshake");
    /// Connections without TLS to an AdminServer that takes both.
    insecure_admin: Counter, counter("insecure_admin_count");
    /// Connections closed because too many TLS handshakes were going on.
    tls_handshake_exceeded: Counter, counter("tls_handshake_exceeded");
    /// Connections closed because the server does not serve.
    cnxn_closed_without_zk_server_running: Counter, counter("cnxn_closed_without_zk_server_running");
    /// Learner requests that skipped a processor because their session is gone.
    skip_learner_request_to_next_processor_count: Counter, counter("skip_learner_request_to_next_processor_count");
    /// Time to close the socket between learner and leader, in ms.
    socket_closing_time: Summary, summary("socket_closing_time", DetailLevel::Basic);
    /// Requests that a learner did not pass on.
    requests_not_forwarded_to_commit_processor: Counter, counter("requests_not_forwarded_to_commit_processor");
    /// Bytes of replies sent to clients.
    response_bytes: Counter, counter("response_bytes");
    /// Bytes of watch events sent to clients.
    watch_bytes: Counter, counter("watch_bytes");
    /// Pauses of the whole process, in ms.
    jvm_pause_time: Summary, summary("jvm_pause_time_ms", DetailLevel::Advanced);
    /// Requests refused by a quota, by first path element.
    quota_exceeded_error_per_namespace: CounterSet, counter_set("quota_exceeded_error_per_namespace");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_dumped_in_javas_order() {
        // What a fresh standalone Java 3.9.5 answers to `mntr`; the gauges come first.
        let mntr = include_str!("../../tests/compat_data/mntr_standalone_3.9.5.txt");
        let names = mntr.lines().filter_map(|line| line.split('\t').next());
        let java: Vec<_> = names.skip_while(|name| *name != "zk_watch_bytes").collect();
        let mut dumped = Vec::new();
        let metrics = ServerMetrics::with_default_provider();
        metrics.metrics_provider().dump(&mut |name, _| dumped.push(format!("zk_{name}")));
        assert_eq!(dumped, java);
    }

    #[test]
    fn what_is_recorded_is_dumped_until_it_is_reset() {
        let metrics = ServerMetrics::with_default_provider();
        metrics.read_per_namespace.add("a", 71);
        metrics.quota_exceeded_error_per_namespace.inc("b");
        metrics.response_bytes.add(10);
        let dump = |metrics: &ServerMetrics| {
            let mut dumped = Vec::new();
            metrics
                .metrics_provider()
                .dump(&mut |name, value| dumped.push(format!("{name} {value}")));
            dumped
        };
        let dumped = dump(&metrics);
        for line in [
            "max_a_read_per_namespace 71",
            "b_quota_exceeded_error_per_namespace 1",
            "response_bytes 10",
        ] {
            assert!(dumped.iter().any(|other| other == line), "{line}");
        }
        metrics.reset_all();
        assert!(dump(&metrics).iter().all(|line| line.ends_with(" 0") || line.ends_with(" 0.0")));
    }

    #[test]
    fn null_metrics_show_nothing() {
        let metrics = ServerMetrics::null();
        metrics.watch_bytes.inc();
        metrics.metrics_provider().dump(&mut |name, _| panic!("{name}"));
    }
}
