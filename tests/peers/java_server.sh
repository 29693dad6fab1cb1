#!/usr/bin/env bash
# Runs a Java server of one version in the foreground, as its own zkServer.sh would:
#
#     tests/peers/java_server.sh VERSION zoo.cfg [LOGFILE]
#
# JVMFLAGS holds further flags of the JVM, -Dkey=value among them. The log goes to LOGFILE
# (default: beside the zoo.cfg).
set -euo pipefail
# shellcheck source=tests/peers/env.sh
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

[ $# -ge 2 ] || die "usage: java_server.sh VERSION zoo.cfg [LOGFILE]"
version="$1" cfg="$2" log="${3:-$2.java-$1.log}"
classpath="$(java_classpath "$version")"
read -r -a flags <<<"${JVMFLAGS:-}"

# The heap is small and there is one compiler, because many servers share the machine. The serial collector starts
# fastest.
exec java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto \
    -Dzookeeper.jmx.log4j.disable=true -Dorg.slf4j.simpleLogger.logFile="$log" \
    -Dorg.slf4j.simpleLogger.showDateTime=true \
    -Dorg.slf4j.simpleLogger.dateTimeFormat="yyyy-MM-dd HH:mm:ss,SSS" \
    -Dorg.slf4j.simpleLogger.defaultLogLevel="${JAVA_LOG_LEVEL:-info}" \
    "${flags[@]}" -cp "$classpath" org.apache.zookeeper.server.quorum.QuorumPeerMain "$cfg"
