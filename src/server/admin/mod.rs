//! Java: package org.apache.zookeeper.server.admin: commands over HTTP.

pub mod http_message;
pub mod http_server;

pub mod admin_server;
pub mod admin_server_factory;
pub mod dummy_admin_server;
pub mod http_admin_server;

pub mod admin_context;
pub mod auth_request;
pub mod command_response;
pub mod commands;

pub mod json_outputter;
pub mod stream_outputter;
