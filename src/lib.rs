//! A ZooKeeper server, and a client: the Java server's classes and threads, under their own names, in Rust.
//!
//! # The client
//! [`zookeeper::ZooKeeper`] has a method for each operation, and
//! [`admin::zookeeper_admin::ZooKeeperAdmin`] also changes the members of an ensemble.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use zookeeper_server::create_mode::CreateMode;
//! use zookeeper_server::zoo_defs::ids;
//! use zookeeper_server::zookeeper::{ClientConfig, ZooKeeper};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (client, events) = ZooKeeper::connect("127.0.0.1:2181", ClientConfig::default())?;
//! client.wait_connected(Duration::from_secs(10));
//! client.create("/task", Some(b"first"), ids::open_acl_unsafe(), CreateMode::Persistent)?;
//! let (data, stat) = client.get_data("/task", true)?;
//! println!("{data:?}, version {}; {:?}", stat.version, events.recv()?);
//! # Ok(())
//! # }
//! ```
//!
//! # A server in a program of your own
//! [`embedded::StandaloneServer`] is a server without an ensemble. It has no global state except the log, for which the
//! program chooses a logger of the crate `log`.
//!
//! ```no_run
//! use zookeeper_server::embedded::{ServerConfig, StandaloneServer, SystemProperties};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = ServerConfig::new(Some(2181), "/var/lib/zookeeper");
//! let server = StandaloneServer::start(&config, &SystemProperties::default())?;
//! println!("clients connect to port {}", server.client_port());
//! server.shutdown();
//! # Ok(())
//! # }
//! ```
//!
//! # The source
//! The module tree follows the tree of Java's packages (`org.apache.zookeeper` is the root of the crate). Modules
//! depend on each other in one direction only: `jute` uses no other module; the records (`data`, `proto`, `txn`) use
//! jute; storage and the data tree use the records; `server` uses those; `server::quorum` uses `server`; the binary
//! uses all of them. `ARCHITECTURE.md` describes the threads, the lock order and the paths of requests;
//! `docs/classes.md` maps Java's classes to files.

mod jute;
pub(crate) use jute::record::record;

pub mod ids;

pub mod data;
mod proto;
mod txn;

pub mod add_watch_mode;
pub mod create_mode;
mod digest_watcher;
pub mod keeper_exception;
pub mod watched_event;
pub mod watcher;
pub mod zoo_defs;

mod quotas;
mod stats_track;

mod delete_container_request;
mod multi_operation_record;
mod multi_response;
pub mod op;
pub mod op_result;

mod common;
mod util;

mod environment;
mod zk_util;

mod audit;
mod metrics;

mod server;

pub mod admin;
mod client;
mod client_cnxn;
pub mod zookeeper;

mod cli;
mod zookeeper_main;

mod bench;

pub mod version;
mod zookeeper_banner;

mod command_line;
mod logging;

/// A server in a program of your own.
pub mod embedded {
    pub use crate::common::config_exception::ConfigError;
    pub use crate::common::zk_config::SystemProperties;
    pub use crate::server::exit_code::ExitCode;
    pub use crate::server::server_config::ServerConfig;
    pub use crate::server::zookeeper_server_main::{StandaloneServer, StartError};
}

#[doc(hidden)]
pub mod internals;
