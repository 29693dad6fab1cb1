//! Java: package org.apache.zookeeper.server.auth: the ids of clients, and the ACL entries that match them.
//!
//! Java loads providers by class name at run time. Here the names of Java's own classes select one of the
//! providers below. Any other name stops the start with a message that lists the accepted names.

pub mod authentication_provider;
pub mod server_authentication_provider;

pub mod digest_authentication_provider;
pub mod ensemble_authentication_provider;
pub mod ip_authentication_provider;
pub mod key_authentication_provider;

pub mod auth_info;
pub mod provider_registry;
