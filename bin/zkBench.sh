#!/usr/bin/env bash
# Measures servers: loads a running one, or starts several and compares them. Also measures the machine's upper limits.
#
#     zkBench.sh run --connect 127.0.0.1:2181 --workload 90:10 --clients 64 --in-flight 16
#     zkBench.sh compare --server ours="bin/zkServer.sh start-foreground" --server java=/opt/apache-zookeeper-3.9.5-bin
#     zkBench.sh compare --members 3 --server ours="bin/zkServer.sh start-foreground" --server java=/opt/...
#     zkBench.sh probe --dir /var/lib/zookeeper
#
# --server takes a label and one of: the directory of a release, a directory with a Java server's jars, or a command that
# takes a zoo.cfg. With --members, each of them runs as an ensemble.
#
# zkBench.sh COMMAND --help lists the options.

# A link to this script works, too.
ZOOBINDIR="$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"
ZKENV="$ZOOBINDIR/../libexec/zkEnv.sh"
# shellcheck source=bin/zkEnv.sh
if [ -e "$ZKENV" ]; then . "$ZKENV"; else . "$ZOOBINDIR/zkEnv.sh"; fi

find_zookeeper
flags_to_array "$CLIENT_JVMFLAGS" "$JVMFLAGS"
exec "$ZOOKEEPER_BIN" "${LOG_FLAGS[@]}" "${FLAGS[@]}" bench "$@"
