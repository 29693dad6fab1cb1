//! Who writes audit events down (Java: audit/AuditLogger.java).

use super::audit_event::AuditEvent;

/// Writes events down. Called on the thread that applies changes: it must not wait for long.
pub trait AuditLogger: Send + Sync {
    /// Called once, before the first event.
    fn initialize(&self) {}

    /// Writes the event down.
    fn log_audit_event(&self, event: &AuditEvent);
}
