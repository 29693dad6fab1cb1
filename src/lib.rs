//! A ZooKeeper server: the Java server's classes and threads, under their own names, in Rust.
//!
//! The module tree follows the tree of Java's packages (`org.apache.zookeeper` is the root of the crate). Modules
//! depend on each other in one direction only: [`jute`] uses no other module; the records ([`data`], [`proto`],
//! [`txn`]) use jute; storage and the data tree use the records; [`server`] uses those; `server::quorum` uses
//! `server`; the binary uses all of them. `ARCHITECTURE.md` describes the threads, the lock order and the paths of
//! requests; `docs/classes.md` maps Java's classes to files.

pub mod jute;

pub mod ids;

pub mod data;
pub mod proto;
pub mod txn;

pub mod add_watch_mode;
pub mod create_mode;
pub mod digest_watcher;
pub mod keeper_exception;
pub mod watched_event;
pub mod watcher;
pub mod zoo_defs;

pub mod quotas;
pub mod stats_track;

pub mod delete_container_request;
pub mod multi_operation_record;
pub mod multi_response;
pub mod op;
pub mod op_result;

pub mod common;
pub mod util;

pub mod environment;
pub mod zk_util;

pub mod audit;
pub mod metrics;

pub mod server;

pub mod client;
pub mod client_cnxn;
pub mod zookeeper;

pub mod cli;
pub mod zookeeper_main;

pub mod bench;

pub mod version;
pub mod zookeeper_banner;

pub mod command_line;
pub mod logging;
