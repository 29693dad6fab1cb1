//! Java: package org.apache.zookeeper.server.command: four-letter words.
