#!/usr/bin/env bash
# Runs the ZooKeeper shell: zkCli.sh [-server host:port] [command].

# A link to this script works, too.
ZOOBINDIR="$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"
ZKENV="$ZOOBINDIR/../libexec/zkEnv.sh"
# shellcheck source=bin/zkEnv.sh
if [ -e "$ZKENV" ]; then . "$ZKENV"; else . "$ZOOBINDIR/zkEnv.sh"; fi

find_zookeeper
flags_to_array "$CLIENT_JVMFLAGS" "$JVMFLAGS"
exec "$ZOOKEEPER_BIN" "${LOG_FLAGS[@]}" "${FLAGS[@]}" cli "$@"
