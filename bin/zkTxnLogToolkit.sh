#!/usr/bin/env bash
# Prints, checks and repairs transaction logs.

# A link to this script works, too.
ZOOBINDIR="$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"
ZKENV="$ZOOBINDIR/../libexec/zkEnv.sh"
# shellcheck source=bin/zkEnv.sh
if [ -e "$ZKENV" ]; then . "$ZKENV"; else . "$ZOOBINDIR/zkEnv.sh"; fi

find_zookeeper
flags_to_array "$JVMFLAGS"
exec "$ZOOKEEPER_BIN" "${LOG_FLAGS[@]}" "${FLAGS[@]}" txnlog "$@"
