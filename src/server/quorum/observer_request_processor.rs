//! `ObserverRequestProcessor`: the first processor of observers (Java: server/quorum/ObserverRequestProcessor.java).
//!
//! Threads and locks: those of its `request_forwarder`.

use std::io;
use std::sync::Arc;

use log::info;

use super::commit_processor::CommitProcessor;
use super::learner::request_forwarder::RequestForwarder;
use super::learner_zookeeper_server::LearnerRole;
use crate::server::processor_queue::Worker;
use crate::server::request::Request;
use crate::server::request_processor::{Left, RequestProcessor};
use crate::server::sync_request_processor::SyncRequestProcessor;
use crate::server::zookeeper_server::ZooKeeperServer;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.quorum.ObserverRequestProcessor";

/// The first processor of the chain.
pub(super) struct ObserverRequestProcessor {
    forwarder: Arc<RequestForwarder>,
    commit_processor: Arc<CommitProcessor>,
    /// None when nothing is logged here.
    sync_processor: Option<Arc<SyncRequestProcessor>>,
}

impl ObserverRequestProcessor {
    /// With its thread started.
    ///
    /// # Errors
    /// When the system has no room for another thread.
    pub(super) fn start(
        server: &Arc<ZooKeeperServer>,
        role: &Arc<LearnerRole>,
        commit_processor: &Arc<CommitProcessor>,
        sync_processor: Option<Arc<SyncRequestProcessor>>,
    ) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            forwarder: RequestForwarder::start(server, role, commit_processor, LOG)?,
            commit_processor: Arc::clone(commit_processor),
            sync_processor,
        }))
    }
}

impl RequestProcessor for ObserverRequestProcessor {
    fn process_request(&self, request: Box<Request>) {
        self.forwarder.process_request(request);
    }

    fn flush(&self, by: Worker) -> Left {
        self.forwarder.flush(by);
        Left::Nothing
    }

    /// First what was proposed is brought to the log: an election is about what is there.
    fn shutdown(&self) {
        info!(target: LOG, "Shutting down");
        self.forwarder.shutdown();
        if let Some(sync_processor) = &self.sync_processor {
            sync_processor.shutdown();
        }
        self.commit_processor.shutdown();
    }
}
