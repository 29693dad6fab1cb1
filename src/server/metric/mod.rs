//! Java: package org.apache.zookeeper.server.metric: what metrics are made of.
