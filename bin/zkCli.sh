#!/usr/bin/env bash
# The shell: zkCli.sh [-server host:port] [command].

ZOOBIN="${BASH_SOURCE-$0}"
ZOOBIN="$(dirname "${ZOOBIN}")"
ZOOBINDIR="$(cd "${ZOOBIN}" && pwd)"

if [ -e "$ZOOBIN/../libexec/zkEnv.sh" ]; then
  ZKENV="$ZOOBINDIR/../libexec/zkEnv.sh"
else
  ZKENV="$ZOOBINDIR/zkEnv.sh"
fi
# shellcheck source=bin/zkEnv.sh
. "$ZKENV"

find_zookeeper
flags_to_array "$CLIENT_JVMFLAGS" "$JVMFLAGS"
exec "$ZOOKEEPER_BIN" "${LOG_FLAGS[@]}" "${FLAGS[@]}" cli "$@"
