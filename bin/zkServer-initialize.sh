#!/usr/bin/env bash
# Creates the directories of a new server, and its myid. Options and messages are those of Apache ZooKeeper 3.9.5.

# A link to this script works, too.
ZOOBINDIR="$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"
ZKENV="$ZOOBINDIR/../libexec/zkEnv.sh"
# shellcheck source=bin/zkEnv.sh
if [ -e "$ZKENV" ]; then . "$ZKENV"; else . "$ZOOBINDIR/zkEnv.sh"; fi

usage() {
  printf 'usage: %s <parameters>
  Optional parameters:
     -h                                                    Display this message
     --help                                                Display this message
     --configfile=%-40s ZooKeeper config file
     --myid=#                                              Set the myid to be used, if any (1-255)
     --force                                               Force creation of the data/txnlog dirs
' "$0" "$ZOOCFG"
  exit 1
}

# make_directory DIR: creates an empty version-2 in DIR. Removes only the server's files, so that DIR itself keeps its
# owner and its permissions.
make_directory() {
  rm -rf "${1:?}/myid" "${1:?}/version-2" 2> /dev/null
  mkdir -p "$1/version-2"
}

# check_myid ID: accepts 1 to 255, as the usage says. Nodes with a time to live leave no room for larger ids.
check_myid() {
  if ! [[ "$1" =~ ^[0-9]{1,3}$ ]] || ((10#$1 < 1 || 10#$1 > 255)); then
    echo "Invalid myid $1: a whole number from 1 to 255 is needed"
    exit 1
  fi
}

initialize() {
  if [ ! -e "$ZOOCFG" ]; then
    echo "Unable to find config file at $ZOOCFG"
    exit 1
  fi
  ZOO_DATADIR="$(config_value dataDir)"
  ZOO_DATALOGDIR="$(config_value dataLogDir)"
  if [ -z "$ZOO_DATADIR" ]; then
    echo "Unable to determine dataDir from $ZOOCFG"
    exit 1
  fi

  if [ -n "$MYID" ]; then
    check_myid "$MYID"
  fi

  if [ -n "$FORCE" ]; then
    echo "Force enabled, data/txnlog directories will be re-initialized"
  else
    if [ -d "$ZOO_DATADIR/version-2" ]; then
      echo "ZooKeeper data directory already exists at $ZOO_DATADIR (or use --force to force re-initialization)"
      exit 1
    fi
    if [ -n "$ZOO_DATALOGDIR" ] && [ -d "$ZOO_DATALOGDIR/version-2" ]; then
      echo "ZooKeeper txnlog directory already exists at $ZOO_DATALOGDIR (or use --force to force re-initialization)"
      exit 1
    fi
  fi

  make_directory "$ZOO_DATADIR" || exit 1
  if [ -n "$ZOO_DATALOGDIR" ]; then
    make_directory "$ZOO_DATALOGDIR" || exit 1
  fi

  if [ -n "$MYID" ]; then
    echo "Using myid of $MYID"
    echo "$MYID" > "$ZOO_DATADIR/myid"
  else
    echo "No myid provided, be sure to specify it in $ZOO_DATADIR/myid if using non-standalone"
  fi

  # This file tells the server that the directory is empty on purpose.
  touch "$ZOO_DATADIR/initialize"
}

while [ -n "$1" ]; do
  case "$1" in
  --configfile)
    ZOOCFG="$2"
    shift 2 || usage
    ;;
  --configfile=?*)
    ZOOCFG="${1#*=}"
    shift
    ;;
  --myid)
    MYID="$2"
    shift 2 || usage
    ;;
  --myid=?*)
    MYID="${1#*=}"
    shift
    ;;
  --force)
    FORCE=1
    shift
    ;;
  -h | --help)
    usage
    ;;
  *)
    echo "Unknown option: $1"
    usage
    ;;
  esac
done
initialize
