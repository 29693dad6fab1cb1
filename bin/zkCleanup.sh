#!/usr/bin/env bash
# Removes old snapshots and transaction logs: zkCleanup.sh -n COUNT keeps that many snapshots (3 or more).

# A link to this script works, too.
ZOOBINDIR="$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"
ZKENV="$ZOOBINDIR/../libexec/zkEnv.sh"
# shellcheck source=bin/zkEnv.sh
if [ -e "$ZKENV" ]; then . "$ZKENV"; else . "$ZOOBINDIR/zkEnv.sh"; fi

ZOODATADIR="$(config_value dataDir)"
ZOODATALOGDIR="$(config_value dataLogDir)"
if [ -z "$ZOODATADIR" ]; then
  echo "Unable to determine dataDir from $ZOOCFG" >&2
  exit 1
fi

find_zookeeper
flags_to_array "$JVMFLAGS"
if [ -z "$ZOODATALOGDIR" ]; then
  exec "$ZOOKEEPER_BIN" "${LOG_FLAGS[@]}" "${FLAGS[@]}" purge "$ZOODATADIR" "$@"
fi
exec "$ZOOKEEPER_BIN" "${LOG_FLAGS[@]}" "${FLAGS[@]}" purge "$ZOODATALOGDIR" "$ZOODATADIR" "$@"
