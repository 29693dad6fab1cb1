//! Java: package org.apache.zookeeper.server.persistence: transaction log and snapshots.
