//! Java: package org.apache.zookeeper.audit: a log of who changed what.
//!
//! The audit log is off unless `audit.enable` is true. When it is on, every change and every start and stop of
//! the server is one line of the logger `org.apache.zookeeper.audit.Slf4jAuditLogger`.

pub(crate) mod audit_constants;

pub(crate) mod audit_event;
pub(crate) mod audit_logger;
pub(crate) mod slf4j_audit_logger;

pub(crate) mod audit_helper;
pub(crate) mod zk_audit_provider;
