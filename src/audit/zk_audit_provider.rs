//! The server's audit log, if it has one, and its events (Java: audit/ZKAuditProvider.java).
//!
//! Each server owns one provider; Java has one for the process. Java logs the stop from a JVM shutdown hook.
//! Here the code that stops the server calls [`ZKAuditProvider::add_zk_stop_audit_log`].

use std::sync::Arc;

use log::info;

use super::audit_constants::{OP_DEL_EZNODE_EXP, OP_START, OP_STOP};
use super::audit_event::{AuditEvent, AuditResult, FieldName};
use super::audit_logger::AuditLogger;
use super::slf4j_audit_logger::{self, Slf4jAuditLogger};
use crate::common::zk_config::SystemProperties;
use crate::environment;
use crate::ids::SessionId;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.audit.ZKAuditProvider";

const AUDIT_ENABLE: &str = "zookeeper.audit.enable";
const AUDIT_IMPL_CLASS: &str = "zookeeper.audit.impl.class";

/// The requested audit log does not exist. The server then refuses to start: an operator who asked for an audit
/// log must not run without one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "couldn't instantiate {class_name}: {AUDIT_IMPL_CLASS} may only be {}",
    slf4j_audit_logger::CLASS_NAME
)]
pub struct UnknownAuditLogger {
    /// The class that the setting names.
    pub class_name: String,
}

/// Who did what to which node. Fields that are `None` are left out of the line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Audited<'a> {
    /// The users, joined by commas.
    pub user: Option<&'a str>,
    /// One of `audit_constants`.
    pub operation: &'a str,
    /// The node.
    pub znode: Option<&'a str>,
    /// The new ACL of the node.
    pub acl: Option<&'a str>,
    /// The kind of the created node.
    pub create_mode: Option<&'a str>,
    /// The session.
    pub session: Option<SessionId>,
    /// The client's address.
    pub ip: Option<&'a str>,
}

/// The audit log of a server.
pub struct ZKAuditProvider {
    audit_logger: Option<Arc<dyn AuditLogger>>,
    zk_user: String,
}

impl ZKAuditProvider {
    /// Creates the audit log that `audit.enable` and `audit.impl.class` ask for.
    ///
    /// # Errors
    /// When the audit log is enabled with a class that this server does not have.
    pub fn from_properties(properties: &SystemProperties) -> Result<Self, UnknownAuditLogger> {
        let zk_user = properties.get("user.name").map_or_else(environment::user_name, Into::into);
        if !properties.bool(AUDIT_ENABLE) {
            info!(target: LOG, "ZooKeeper audit is disabled.");
            return Ok(Self { audit_logger: None, zk_user });
        }
        let class_name = properties.get(AUDIT_IMPL_CLASS).unwrap_or(slf4j_audit_logger::CLASS_NAME);
        if class_name != slf4j_audit_logger::CLASS_NAME {
            return Err(UnknownAuditLogger { class_name: class_name.to_owned() });
        }
        let provider = Self::with_logger(Arc::new(Slf4jAuditLogger), zk_user);
        info!(target: LOG, "ZooKeeper audit is enabled.");
        Ok(provider)
    }

    /// A provider without an audit log.
    #[must_use]
    pub const fn disabled() -> Self {
        Self { audit_logger: None, zk_user: String::new() }
    }

    /// A provider that writes to the given logger; `zk_user` is the user who runs the server.
    #[must_use]
    pub fn with_logger(audit_logger: Arc<dyn AuditLogger>, zk_user: String) -> Self {
        audit_logger.initialize();
        Self { audit_logger: Some(audit_logger), zk_user }
    }

    /// Whether the audit log is on. Callers check this before they build an event.
    #[must_use]
    pub const fn is_audit_enabled(&self) -> bool {
        self.audit_logger.is_some()
    }

    /// Logs one operation.
    pub fn log(&self, audited: &Audited<'_>, result: AuditResult) {
        let Some(audit_logger) = &self.audit_logger else { return };
        let session = audited.session.map(|session| session.to_string());
        let event = AuditEvent::new(result)
            .with(FieldName::Session, session.as_deref())
            .with(FieldName::User, audited.user)
            .with(FieldName::Ip, audited.ip)
            .with(FieldName::Operation, Some(audited.operation))
            .with(FieldName::Znode, audited.znode)
            .with(FieldName::ZnodeType, audited.create_mode)
            .with(FieldName::Acl, audited.acl);
        audit_logger.log_audit_event(&event);
    }

    /// Logs that an ephemeral node was deleted with its session (Java: within DataTree.deleteNodes).
    pub fn log_ephemeral_deletion(&self, znode: &str, session: SessionId, result: AuditResult) {
        let audited = Audited {
            user: Some(&self.zk_user),
            operation: OP_DEL_EZNODE_EXP,
            znode: Some(znode),
            session: Some(session),
            ..Audited::default()
        };
        self.log(&audited, result);
    }

    fn log_server(&self, operation: &'static str, result: AuditResult) {
        let audited = Audited { user: Some(&self.zk_user), operation, ..Audited::default() };
        self.log(&audited, result);
    }

    /// Logs that the server has started (Java: addZKStartStopAuditLog, the first half).
    pub fn add_zk_start_audit_log(&self) {
        self.log_server(OP_START, AuditResult::Success);
    }

    /// Logs that the server was told to stop (Java: addZKStartStopAuditLog, the second half).
    pub fn add_zk_stop_audit_log(&self) {
        self.log_server(OP_STOP, AuditResult::Invoked);
    }

    /// Logs that the server could not start.
    pub fn add_server_start_failure_audit_log(&self) {
        self.log_server(OP_START, AuditResult::Failure);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::util::lock_rank::{Rank, RankedMutex};

    /// A logger that keeps the lines in memory.
    pub(crate) struct Lines(RankedMutex<Vec<String>>);

    impl Lines {
        pub(crate) fn new() -> Arc<Self> {
            Arc::new(Self(RankedMutex::new(Rank::Leaf, "lines", Vec::new())))
        }

        pub(crate) fn take(&self) -> Vec<String> {
            std::mem::take(&mut *self.0.lock())
        }
    }

    impl AuditLogger for Lines {
        fn log_audit_event(&self, event: &AuditEvent) {
            self.0.lock().push(event.to_string());
        }
    }

    #[test]
    fn what_the_server_does_itself_is_logged_with_its_user() {
        // The expected lines come from a Java 3.9.5 server.
        let lines = Lines::new();
        let provider = ZKAuditProvider::with_logger(lines.clone(), "root".into());
        provider.add_zk_start_audit_log();
        let session = SessionId(0x0100_0037_f1d2_0000);
        provider.log_ephemeral_deletion("/a/s-0000000000", session, AuditResult::Success);
        provider.add_zk_stop_audit_log();
        provider.add_server_start_failure_audit_log();
        assert_eq!(
            lines.take(),
            [
                "user=root\toperation=serverStart\tresult=success",
                "session=0x1000037f1d20000\tuser=root\t\
                 operation=ephemeralZNodeDeletionOnSessionCloseOrExpire\tznode=/a/s-0000000000\t\
                 result=success",
                "user=root\toperation=serverStop\tresult=invoked",
                "user=root\toperation=serverStart\tresult=failure",
            ]
        );
    }

    #[test]
    fn it_is_off_by_default_and_an_unknown_class_is_refused_only_when_it_is_on() {
        let from = |pairs: &[(&str, &str)]| {
            let properties = SystemProperties::from_pairs(pairs.iter().copied());
            ZKAuditProvider::from_properties(&properties).map(|audit| audit.is_audit_enabled())
        };
        let class = (AUDIT_IMPL_CLASS, "com.example.Audit");
        assert_eq!(from(&[]), Ok(false));
        assert_eq!(from(&[class]), Ok(false));
        assert_eq!(from(&[(AUDIT_ENABLE, "true")]), Ok(true));
        let refused = from(&[(AUDIT_ENABLE, "true"), class]).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "couldn't instantiate com.example.Audit: zookeeper.audit.impl.class may only be \
             org.apache.zookeeper.audit.Slf4jAuditLogger"
        );
    }
}
