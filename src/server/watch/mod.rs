//! Java: package org.apache.zookeeper.server.watch: watches.
