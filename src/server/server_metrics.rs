//! All metrics of a server (Java: server/ServerMetrics.java).
//!
//! One value per server, shared by all its parts; Java has one per process. The fields are Java's constants in lower
//! case, and the strings are the names that `mntr` shows. Recording never waits; see `server::metric`.

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

/// The trait of a kind of metric.
macro_rules! kind {
    (counter) => { dyn Counter };
    (counter_set) => { dyn CounterSet };
    (basic) => { dyn Summary };
    (advanced) => { dyn Summary };
    (basic_set) => { dyn SummarySet };
    (advanced_set) => { dyn SummarySet };
}

/// Creates a metric of a kind from its context.
macro_rules! make {
    (counter, $context:ident, $name:literal) => {
        $context.counter($name)
    };
    (counter_set, $context:ident, $name:literal) => {
        $context.counter_set($name)
    };
    (basic, $context:ident, $name:literal) => {
        $context.summary($name, DetailLevel::Basic)
    };
    (advanced, $context:ident, $name:literal) => {
        $context.summary($name, DetailLevel::Advanced)
    };
    (basic_set, $context:ident, $name:literal) => {
        $context.summary_set($name, DetailLevel::Basic)
    };
    (advanced_set, $context:ident, $name:literal) => {
        $context.summary_set($name, DetailLevel::Advanced)
    };
}

macro_rules! server_metrics {
    ($( $(#[$meta:meta])* $field:ident = $kind:ident $name:literal; )*) => {
        /// The metrics of a server.
        pub struct ServerMetrics {
            $( $(#[$meta])* pub $field: Arc<kind!($kind)>, )*
            metrics_provider: Arc<dyn MetricsProvider>,
        }

        impl ServerMetrics {
            /// Creates the metrics of this provider (Java: metricsProviderInitialized).
            #[must_use]
            pub fn new(metrics_provider: Arc<dyn MetricsProvider>) -> Self {
                let class_name = metrics_provider.class_name();
                info!(target: LOG, "ServerMetrics initialized with provider {class_name}");
                let context = metrics_provider.root_context();
                Self {
                    $( $field: make!($kind, context, $name), )*
                    metrics_provider,
                }
            }
        }
    };
}

impl ServerMetrics {
    /// Metrics that keep their values without any configuration, for tests and tools (Java:
    /// DEFAULT_METRICS_FOR_TESTS).
    #[must_use]
    pub fn with_default_provider() -> Arc<Self> {
        Arc::new(Self::new(Arc::new(DefaultMetricsProvider::new())))
    }

    /// Metrics that discard all values (Java: NULL_METRICS).
    #[must_use]
    pub fn null() -> Arc<Self> {
        Arc::new(Self::new(Arc::new(NullMetricsProvider)))
    }

    /// Resets all metrics.
    pub fn reset_all(&self) {
        self.metrics_provider.reset_all_values();
    }

    /// The provider that collects the metrics.
    #[must_use]
    pub fn metrics_provider(&self) -> &dyn MetricsProvider {
        &*self.metrics_provider
    }
}

server_metrics! {
    /// Time of a flush of the transaction log, in ms.
    fsync_time = basic "fsynctime";
    /// Time to write a snapshot, in ms.
    snapshot_time = basic "snapshottime";
    /// Snapshots that could not be taken by the AdminServer's command.
    snapshot_error_count = counter "snapshot_error_count";
    /// Snapshot commands refused because the last was too short ago.
    snapshot_rate_limited_count = counter "snapshot_rate_limited_count";
    /// Time to restore the tree from a snapshot given to the AdminServer, in ms.
    restore_time = basic "restore_time";
    /// Restore commands that failed.
    restore_error_count = counter "restore_error_count";
    /// Restore commands refused because the last was too short ago.
    restore_rate_limited_count = counter "restore_rate_limited_count";
    /// Time to load snapshot and log at start, in ms.
    db_init_time = basic "dbinittime";
    /// Time from the arrival of a read to its reply, in ms.
    read_latency = advanced "readlatency";
    /// Time from the arrival of a write of this server's clients to its reply, in ms.
    update_latency = advanced "updatelatency";
    /// Time from the creation of a transaction's header on the leader until it is applied here, in ms.
    propagation_latency = advanced "propagation_latency";
    /// Time a follower took to catch up with its leader, in ms.
    follower_sync_time = basic "follower_sync_time";
    /// Time an observer took to catch up with its leader, in ms.
    observer_sync_time = basic "observer_sync_time";
    /// Time of an election, in ms.
    election_time = basic "election_time";
    /// How often this server began to look for a leader.
    looking_count = counter "looking_count";
    /// Learners that were sent the transactions that they missed.
    diff_count = counter "diff_count";
    /// Learners that were sent a snapshot.
    snap_count = counter "snap_count";
    /// Proposals committed as leader.
    commit_count = counter "commit_count";
    /// Requests for a session.
    connection_request_count = counter "connection_request_count";
    /// Tokens that the connection throttle lacked.
    connection_token_deficit = basic "connection_token_deficit";
    /// Connections refused by a limit.
    connection_rejected = counter "connection_rejected";
    /// Snapshots being sent to learners at once.
    inflight_snap_count = basic "inflight_snap_count";
    /// Differences being sent to learners at once.
    inflight_diff_count = basic "inflight_diff_count";
    /// Bytes of writes by first path element.
    write_per_namespace = basic_set "write_per_namespace";
    /// Bytes of reads by first path element.
    read_per_namespace = basic_set "read_per_namespace";
    /// Bytes received from clients.
    bytes_received_count = counter "bytes_received_count";
    /// Errors that ended the server.
    unrecoverable_error_count = counter "unrecoverable_error_count";
    /// Watches fired by the creation of a node.
    node_created_watcher = basic "node_created_watch_count";
    /// Watches fired by the removal of a node.
    node_deleted_watcher = basic "node_deleted_watch_count";
    /// Watches fired by a change of data.
    node_changed_watcher = basic "node_changed_watch_count";
    /// Watches fired by a change of the list of children.
    node_children_watcher = basic "node_children_watch_count";
    /// Time spent waiting to hand dead watchers to the cleaner, in ms.
    add_dead_watcher_stall_time = counter "add_dead_watcher_stall_time";
    /// Dead watchers handed to the cleaner.
    dead_watchers_queued = counter "dead_watchers_queued";
    /// Dead watchers that were cleaned up.
    dead_watchers_cleared = counter "dead_watchers_cleared";
    /// Time of a run of the cleaner, in ms.
    dead_watchers_cleaner_latency = advanced "dead_watchers_cleaner_latency";
    /// Replies of getData found in the cache.
    response_packet_cache_hits = counter "response_packet_cache_hits";
    /// Replies of getData not found in the cache.
    response_packet_cache_missing = counter "response_packet_cache_misses";
    /// Replies of getChildren2 found in the cache.
    response_packet_get_children_cache_hits = counter "response_packet_get_children_cache_hits";
    /// Replies of getChildren2 not found in the cache.
    response_packet_get_children_cache_missing =
        counter "response_packet_get_children_cache_misses";
    /// Clients that named this ensemble.
    ensemble_auth_success = counter "ensemble_auth_success";
    /// Clients that named another ensemble.
    ensemble_auth_fail = counter "ensemble_auth_fail";
    /// Clients that named an ensemble where none is set.
    ensemble_auth_skip = counter "ensemble_auth_skip";
    /// Time that a request waits for PrepRequestProcessor, in ms.
    prep_processor_queue_time = advanced "prep_processor_queue_time_ms";
    /// Requests that wait for PrepRequestProcessor.
    prep_processor_queue_size = basic "prep_processor_queue_size";
    /// Requests handed to PrepRequestProcessor.
    prep_processor_queued = counter "prep_processor_request_queued";
    /// Changes added to the outstanding ones.
    outstanding_changes_queued = counter "outstanding_changes_queued";
    /// Changes that are no longer outstanding.
    outstanding_changes_removed = counter "outstanding_changes_removed";
    /// Time of a request in PrepRequestProcessor, in ms.
    prep_process_time = basic "prep_process_time";
    /// Time to hand a request to the processor after PrepRequestProcessor, in ms.
    proposal_process_time = basic "proposal_process_time";
    /// Time to prepare the end of a session, in ms.
    close_session_prep_time = advanced "close_session_prep_time";
    /// Sessions that a learner asked its leader about.
    revalidate_count = counter "revalidate_count";
    /// Connections closed because their session is not valid.
    connection_drop_count = counter "connection_drop_count";
    /// Connections of clients that wanted to continue a session.
    connection_revalidate_count = counter "connection_revalidate_count";
    /// Connections closed because they opened no session in time.
    sessionless_connections_expired = counter "sessionless_connections_expired";
    /// Sessions that expired.
    stale_sessions_expired = counter "stale_sessions_expired";
    /// Time between two periods of serving clients, in ms.
    unavailable_time = basic "unavailable_time";
    /// Time between the end of one leader and the start of the next, in ms.
    leader_unavailable_time = basic "leader_unavailable_time";
    /// Requests in a session's queue.
    requests_in_session_queue = basic "requests_in_session_queue";
    /// Sessions with a queue.
    pending_session_queue_size = basic "pending_session_queue_size";
    /// Reads in a row behind a write in a session's queue.
    reads_after_write_in_session_queue = basic "reads_after_write_in_session_queue";
    /// Reads released when their session's write was done.
    read_issued_from_session_queue = basic "reads_issued_from_session_queue";
    /// Queues of sessions that became empty.
    session_queues_drained = basic "session_queues_drained";
    /// Time the commit processor waited for reads to end, in ms.
    time_waiting_empty_pool_in_commit_processor_read =
        basic "time_waiting_empty_pool_in_commit_processor_read_ms";
    /// Time of a batch of writes in the commit processor, in ms.
    write_batch_time_in_commit_processor = basic "write_batch_time_in_commit_processor";
    /// Requests processed at once behind the commit processor.
    concurrent_request_processing_in_commit_processor =
        basic "concurrent_request_processing_in_commit_processor";
    /// Reads that wait for the commit processor.
    reads_queued_in_commit_processor = basic "read_commit_proc_req_queued";
    /// Writes that wait for the commit processor.
    writes_queued_in_commit_processor = basic "write_commit_proc_req_queued";
    /// Commits that wait for the commit processor.
    commits_queued_in_commit_processor = basic "commit_commit_proc_req_queued";
    /// Commits handed to the commit processor.
    commits_queued = counter "request_commit_queued";
    /// Reads passed on by a run of the commit processor.
    reads_issued_in_commit_proc = basic "read_commit_proc_issued";
    /// Writes passed on by a run of the commit processor.
    writes_issued_in_commit_proc = basic "write_commit_proc_issued";
    /// Requests answered with "throttled".
    throttled_ops = counter "throttled_ops";
    /// Time of a read in the commit processor, in ms.
    read_commitproc_time = advanced "read_commitproc_time_ms";
    /// Time of a write in the commit processor, in ms.
    write_commitproc_time = advanced "write_commitproc_time_ms";
    /// Time of a committed write of this server's clients in the commit processor, in ms.
    local_write_committed_time = advanced "local_write_committed_time_ms";
    /// Time of a committed write of another server's clients in the commit processor, in ms.
    server_write_committed_time = advanced "server_write_committed_time_ms";
    /// Time to commit a write, in ms.
    commit_process_time = basic "commit_process_time";
    /// Time that an observer master needed for a proposal, in ms.
    om_proposal_process_time = advanced "om_proposal_process_time_ms";
    /// Time that an observer master needed for a commit, in ms.
    om_commit_process_time = advanced "om_commit_process_time_ms";
    /// Time of a read in the final processor, in ms.
    read_final_proc_time = advanced "read_final_proc_time_ms";
    /// Time of a write in the final processor, in ms.
    write_final_proc_time = advanced "write_final_proc_time_ms";
    /// Time from the creation of a transaction's header to its proposal at a learner, in ms.
    proposal_latency = advanced "proposal_latency";
    /// Time from the creation of a transaction's header to its acknowledgement, in ms.
    proposal_ack_creation_latency = advanced "proposal_ack_creation_latency";
    /// Time from the creation of a transaction's header to its commit at a learner, in ms.
    commit_propagation_latency = advanced "commit_propagation_latency";
    /// Proposals received as learner.
    learner_proposal_received_count = counter "learner_proposal_received_count";
    /// Commits received as learner.
    learner_commit_received_count = counter "learner_commit_received_count";
    /// Packets queued for a learner, by its sid.
    learner_handler_qp_size = basic_set "learner_handler_qp_size";
    /// Time of a packet in a learner's queue in ms, by its sid.
    learner_handler_qp_time = advanced_set "learner_handler_qp_time_ms";
    /// Transactions replayed at start.
    startup_txns_loaded = basic "startup_txns_loaded";
    /// Time to replay transactions at start, in ms.
    startup_txns_load_time = basic "startup_txns_load_time";
    /// Time to load the snapshot at start, in ms.
    startup_snap_load_time = basic "startup_snap_load_time";
    /// Time of a request from SyncRequestProcessor's queue to the disk, in ms.
    sync_processor_queue_and_flush_time = advanced "sync_processor_queue_and_flush_time_ms";
    /// Requests that wait for SyncRequestProcessor.
    sync_processor_queue_size = basic "sync_processor_queue_size";
    /// Requests handed to SyncRequestProcessor.
    sync_processor_queued = counter "sync_processor_request_queued";
    /// Time that a request waits for SyncRequestProcessor, in ms.
    sync_processor_queue_time = advanced "sync_processor_queue_time_ms";
    /// Time of a flush of SyncRequestProcessor, in ms.
    sync_processor_flush_time = advanced "sync_processor_queue_flush_time_ms";
    /// Time of a request in SyncRequestProcessor, in ms.
    sync_process_time = basic "sync_process_time";
    /// Requests flushed together.
    batch_size = basic "sync_processor_batch_size";
    /// Time from a proposal to its quorum of acknowledgements, in ms.
    quorum_ack_latency = advanced "quorum_ack_latency";
    /// Time from a proposal to its acknowledgement in ms, by the sid of the sender.
    ack_latency = advanced_set "ack_latency";
    /// Proposals made as leader.
    proposal_count = counter "proposal_count";
    /// How often this leader gave up because a voter did not come.
    quit_leading_due_to_disloyal_voter = counter "quit_leading_due_to_disloyal_voter";
    /// Requests whose client is gone, or that waited too long.
    stale_requests = counter "stale_requests";
    /// Stale requests that were dropped.
    stale_requests_dropped = counter "stale_requests_dropped";
    /// Replies to stale requests.
    stale_replies = counter "stale_replies";
    /// Time that a request waits for RequestThrottler, in ms.
    request_throttle_queue_time = advanced "request_throttle_queue_time_ms";
    /// How often RequestThrottler made requests wait.
    request_throttle_wait_count = counter "request_throttle_wait_count";
    /// Requests refused because large ones took too much memory already.
    large_requests_rejected = counter "large_requests_rejected";
    /// Bytes received and not read yet. Only Netty's factory records it in Java.
    netty_queued_buffer = basic "netty_queued_buffer_capacity";
    /// Transactions after which the tree's digest was not the leader's.
    digest_mismatches_count = counter "digest_mismatches_count";
    /// Requests that wait for a learner's first processor.
    learner_request_processor_queue_size = basic "learner_request_processor_queue_size";
    /// TLS handshakes that failed.
    unsuccessful_handshake = counter "unsuccessful_handshake";
    /// Connections without TLS to an AdminServer that takes both.
    insecure_admin = counter "insecure_admin_count";
    /// Connections closed because too many TLS handshakes were in progress.
    tls_handshake_exceeded = counter "tls_handshake_exceeded";
    /// Connections closed because no server is running.
    cnxn_closed_without_zk_server_running = counter "cnxn_closed_without_zk_server_running";
    /// Learner requests that skipped a processor because their session is gone.
    skip_learner_request_to_next_processor_count =
        counter "skip_learner_request_to_next_processor_count";
    /// Time to close the socket between learner and leader, in ms.
    socket_closing_time = basic "socket_closing_time";
    /// Requests that a learner did not pass on.
    requests_not_forwarded_to_commit_processor =
        counter "requests_not_forwarded_to_commit_processor";
    /// Bytes of replies sent to clients.
    response_bytes = counter "response_bytes";
    /// Bytes of watch events sent to clients.
    watch_bytes = counter "watch_bytes";
    /// Pauses of the whole process, in ms.
    jvm_pause_time = advanced "jvm_pause_time_ms";
    /// Requests refused by a quota, by first path element.
    quota_exceeded_error_per_namespace = counter_set "quota_exceeded_error_per_namespace";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_dumped_in_javas_order() {
        // The answer of a fresh standalone Java 3.9.5 to `mntr`. The gauges come first.
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
