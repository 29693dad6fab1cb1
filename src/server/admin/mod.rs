//! Java: package org.apache.zookeeper.server.admin: commands over HTTP.

pub mod http_message;
pub mod http_server;
