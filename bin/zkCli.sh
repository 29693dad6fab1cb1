#!/usr/bin/env bash
# Runs the ZooKeeper shell: zkCli.sh [-server host:port] [command].

# Follow symbolic links to the script itself.
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
exec "$ZOOKEEPER_BIN" "${LOG_FLAGS[@]}" "${FLAGS[@]}" cli "$@"
