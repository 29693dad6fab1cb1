//! Writes audit events to the log (Java: audit/Slf4jAuditLogger.java).

use log::{error, info};

use super::audit_event::{AuditEvent, AuditResult};
use super::audit_logger::AuditLogger;

/// The name of the Java class. It is the default of `audit.impl.class` and the logger's name.
pub(crate) const CLASS_NAME: &str = "org.apache.zookeeper.audit.Slf4jAuditLogger";

/// Logs failures at ERROR and everything else at INFO.
#[derive(Debug)]
pub(crate) struct Slf4jAuditLogger;

impl AuditLogger for Slf4jAuditLogger {
    fn log_audit_event(&self, event: &AuditEvent) {
        if event.result() == AuditResult::Failure {
            error!(target: CLASS_NAME, "{event}");
        } else {
            info!(target: CLASS_NAME, "{event}");
        }
    }
}
