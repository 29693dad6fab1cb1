//! Writes audit events (Java: audit/AuditLogger.java).

use super::audit_event::AuditEvent;

/// Writes audit events. It runs on the thread that applies transactions, so it must not block for long.
pub trait AuditLogger: Send + Sync {
    /// Called once, before the first event.
    fn initialize(&self) {}

    /// Writes one event.
    fn log_audit_event(&self, event: &AuditEvent);
}
