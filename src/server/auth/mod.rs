//! Java: package org.apache.zookeeper.server.auth: who a client is, and whom an ACL entry means.
//!
//! Java loads providers by class name at run time; here the names of Java's own classes pick one of the providers below,
//! and any other name stops the start with a message that says which names there are.

pub mod authentication_provider;
pub mod server_authentication_provider;

pub mod digest_authentication_provider;
pub mod ensemble_authentication_provider;
pub mod ip_authentication_provider;
pub mod key_authentication_provider;

pub mod auth_info;
pub mod provider_registry;
