#!/usr/bin/env bash
# Prints, checks and repairs transaction logs.

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
flags_to_array "$JVMFLAGS"
exec "$ZOOKEEPER_BIN" "${LOG_FLAGS[@]}" "${FLAGS[@]}" txnlog "$@"
