#!/usr/bin/env bash
# Removes old snapshots and transaction logs: zkCleanup.sh -n COUNT keeps that many snapshots (3 or more).

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
