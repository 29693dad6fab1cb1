//! Java: package org.apache.zookeeper.admin: the client of those who administer an ensemble.

pub mod zookeeper_admin;
