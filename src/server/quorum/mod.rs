//! Java: package org.apache.zookeeper.server.quorum: the ensemble.
