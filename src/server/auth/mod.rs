//! Java: package org.apache.zookeeper.server.auth: authentication providers.
