//! Java: package org.apache.zookeeper.server.admin: commands over HTTP.

pub(crate) mod http_message;
pub(crate) mod http_server;

pub(crate) mod admin_server;
pub(crate) mod admin_server_factory;
pub(crate) mod dummy_admin_server;
pub(crate) mod http_admin_server;

pub(crate) mod admin_context;
pub(crate) mod auth_request;
pub(crate) mod command_response;
pub(crate) mod commands;

pub(crate) mod json_outputter;
pub(crate) mod stream_outputter;
