//! Java: package org.apache.zookeeper.server.auth: the ids of clients, and the ACL entries that match them.
//!
//! Java loads providers by class name at run time. Here the names of Java's own classes select one of the
//! providers below. Any other name stops the start with a message that lists the accepted names.

pub(crate) mod authentication_provider;
pub(crate) mod server_authentication_provider;

pub(crate) mod digest_authentication_provider;
pub(crate) mod ensemble_authentication_provider;
pub(crate) mod ip_authentication_provider;
pub(crate) mod key_authentication_provider;

pub(crate) mod auth_info;
pub(crate) mod provider_registry;
