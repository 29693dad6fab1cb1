//! Java: package org.apache.zookeeper.metrics.
