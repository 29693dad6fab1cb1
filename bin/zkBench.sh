#!/usr/bin/env bash
# Measures servers: loads one that runs, or starts several and compares them; measures what the machine can do at most.
#
#     zkBench.sh run --connect 127.0.0.1:2181 --workload 90:10 --clients 64 --in-flight 16
#     zkBench.sh compare --server ours="bin/zkServer.sh start-foreground" --server java=/opt/apache-zookeeper-3.9.5-bin
#     zkBench.sh compare --members 3 --server ours="bin/zkServer.sh start-foreground" --server java=/opt/...
#     zkBench.sh probe --dir /var/lib/zookeeper
#
# A server is named by a label and the directory of a release, a directory with a Java server's jars, or a command that
# takes a zoo.cfg; --members makes an ensemble of each.
#
# zkBench.sh COMMAND --help lists the options.

# The script itself, behind the links by which it was called.
ZOOBIN="${BASH_SOURCE-$0}"
while [ -L "$ZOOBIN" ]; do
  ZOOLINK="$(readlink "$ZOOBIN")"
  ZOOBIN="$(cd -P "$(dirname "$ZOOBIN")" && cd -P "$(dirname "$ZOOLINK")" && pwd)/$(basename "$ZOOLINK")"
done
ZOOBINDIR="$(cd "$(dirname "$ZOOBIN")" && pwd)"

if [ -e "$ZOOBINDIR/../libexec/zkEnv.sh" ]; then
  ZKENV="$ZOOBINDIR/../libexec/zkEnv.sh"
else
  ZKENV="$ZOOBINDIR/zkEnv.sh"
fi
# shellcheck source=bin/zkEnv.sh
. "$ZKENV"

find_zookeeper
flags_to_array "$CLIENT_JVMFLAGS" "$JVMFLAGS"
exec "$ZOOKEEPER_BIN" "${LOG_FLAGS[@]}" "${FLAGS[@]}" bench "$@"
