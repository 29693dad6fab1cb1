//! A server's parts that know no connection (Java: parts of server/ZooKeeperServer.java).

pub mod access;
pub mod large_requests;
pub mod monitor;
