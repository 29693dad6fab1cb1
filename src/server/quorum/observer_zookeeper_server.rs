//! The server of an observer (Java: server/quorum/ObserverZooKeeperServer.java).
//!
//! `ObserverRequestProcessor` > `CommitProcessor` > `FinalRequestProcessor`, plus a `SyncRequestProcessor` unless
//! `syncEnabled` is false. Threads: those of its processors; commits arrive on the peer's thread. Locks: none of its
//! own.

use std::io;
use std::sync::Arc;

use log::info;

use super::commit_processor::CommitProcessor;
use super::leader_link::SyncAsker;
use super::learner::Learner;
use super::learner::learner_txn::{LearnerTxn, sync_request};
use super::learner_session_tracker::LearnerSessionTracker;
use super::observer_request_processor::ObserverRequestProcessor;
use crate::server::final_request_processor::FinalRequestProcessor;
use crate::server::processor_queue::Worker;
use crate::server::request_processor::RequestProcessor;
use crate::server::sync_request_processor::SyncRequestProcessor;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.quorum.ObserverZooKeeperServer";

/// The server of an observer.
pub(super) struct ObserverZooKeeperServer {
    commit_processor: Arc<CommitProcessor>,
    sync_processor: Option<Arc<SyncRequestProcessor>>,
}

impl ObserverZooKeeperServer {
    /// Starts to serve (Java: setupRequestProcessors, startup).
    ///
    /// # Errors
    /// When a thread cannot be started; then no thread is left running.
    pub(super) fn start(
        learner: &Learner,
        tracker: &Arc<LearnerSessionTracker>,
    ) -> io::Result<Self> {
        let (server, role) = (learner.zookeeper_server(), learner.role());
        info!(target: LOG, "syncEnabled ={}", role.writes_log());
        let final_processor = Arc::new(FinalRequestProcessor::new(server));
        let commit_processor = CommitProcessor::start(server, final_processor)?;
        let sync_processor = if role.writes_log() {
            let log = server.zk_database().appender(server.settings().snap);
            let started = SyncRequestProcessor::start(server, log, None);
            Some(started.inspect_err(|_| commit_processor.shutdown())?)
        } else {
            None
        };
        let (commit, sync) = (&commit_processor, sync_processor.clone());
        let first =
            ObserverRequestProcessor::start(server, role, commit, sync).inspect_err(|_| {
                sync_processor.iter().for_each(|sync| sync.shutdown());
                commit_processor.shutdown();
            })?;
        role.startup(server, tracker, Arc::clone(&first) as _).inspect_err(|_| first.shutdown())?;
        Ok(Self { commit_processor, sync_processor })
    }

    /// Logs and applies a committed transaction (Java: commitRequest). The caller flushes.
    pub(super) fn commit_request(&self, txn: LearnerTxn) {
        if let Some(sync_processor) = &self.sync_processor {
            sync_processor.process_request(txn.log_request());
        }
        self.commit_processor.commit(txn.commit_request());
    }

    /// The leader has committed everything before a client's `sync`. The caller flushes.
    pub(super) fn sync(&self, learner: &Learner) {
        match learner.link().take_sync() {
            Some(SyncAsker::Client((session_id, cxid))) => {
                self.commit_processor.commit(sync_request(session_id, cxid));
            }
            // No learner follows an observer.
            Some(SyncAsker::Learner(_)) | None => {}
        }
    }

    /// Sends, applies and logs what has been collected.
    pub(super) fn flush(&self, learner: &Learner) {
        learner.link().flush();
        self.commit_processor.flush(Worker::Caller);
        if let Some(sync_processor) = &self.sync_processor {
            sync_processor.flush(Worker::Caller);
        }
    }
}
