#!/usr/bin/env bash
# Starts and stops a server, and shows its status. Commands, variables, messages and exit codes are those of Apache
# ZooKeeper 3.9.5.
#
# To call this script from elsewhere, link to it. Do not copy it: it needs the other scripts next to it.

# A link to this script works, too.
ZOOBINDIR="$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"
ZKENV="$ZOOBINDIR/../libexec/zkEnv.sh"
# shellcheck source=bin/zkEnv.sh
if [ -e "$ZKENV" ]; then . "$ZKENV"; else . "$ZOOBINDIR/zkEnv.sh"; fi

usage() {
  echo "Usage: $0 [--config <conf-dir>] {start|start-foreground|stop|version|restart|status|print-cmd}" >&2
}

case $1 in
start | start-foreground | stop | restart | status | print-cmd) ;;
version)
  find_zookeeper
  exec "$ZOOKEEPER_BIN" version
  ;;
upgrade)
  echo "There is nothing to upgrade: data of ZooKeeper 3.4 and later is read as it is." >&2
  exit 0
  ;;
*)
  usage
  exit 0
  ;;
esac

if [ -n "$2" ]; then
  ZOOCFG_NAMED="$2"
  ZOOCFG="$ZOOCFGDIR/$2"
fi
# A path with directories is relative to the user's working directory, not to the configuration directory.
if [ "$(dirname "$ZOOCFG")" != "$ZOOCFGDIR" ] && [ -n "$2" ]; then
  ZOOCFG="$2"
fi
if [ ! -f "$ZOOCFG" ] && [ -z "$ZOOCFG_NAMED" ] && [ -f "$ZOOCFGDIR/zoo_sample.cfg" ]; then
  echo "No $ZOOCFG: the sample configuration is used" >&2
  ZOOCFG="$ZOOCFGDIR/zoo_sample.cfg"
fi

echo "Using config: $ZOOCFG" >&2
if [ ! -r "$ZOOCFG" ]; then
  echo "Error: cannot read $ZOOCFG" >&2
  exit 1
fi

ZOO_DATADIR="$(config_value dataDir)"
ZOO_DATALOGDIR="$(config_value dataLogDir)"
if [ -z "$ZOO_DATADIR" ]; then
  echo "Error: dataDir is not set in $ZOOCFG" >&2
  exit 1
fi

# If autocreate is off, missing directories are an error, and nothing is written.
SERVER_FLAGS=()
if [ -n "$ZOO_DATADIR_AUTOCREATE_DISABLE" ]; then
  if [ ! -d "$ZOO_DATADIR/version-2" ]; then
    echo "ZooKeeper data directory is missing at $ZOO_DATADIR fix the path or run initialize"
    exit 1
  fi
  if [ -n "$ZOO_DATALOGDIR" ] && [ ! -d "$ZOO_DATALOGDIR/version-2" ]; then
    echo "ZooKeeper txnlog directory is missing at $ZOO_DATALOGDIR fix the path or run initialize"
    exit 1
  fi
  SERVER_FLAGS+=("-Dzookeeper.datadir.autocreate=false")
fi

if [ -z "$ZOOPIDFILE" ]; then
  mkdir -p "$ZOO_DATADIR"
  ZOOPIDFILE="$ZOO_DATADIR/zookeeper_server.pid"
else
  mkdir -p "$(dirname "$ZOOPIDFILE")"
fi

if [ ! -w "$ZOO_LOG_DIR" ]; then
  mkdir -p "$ZOO_LOG_DIR"
fi

USER="${USER:-$(id -un 2> /dev/null)}"
ZOO_LOG_FILE="${ZOO_LOG_FILE:-zookeeper-$USER-server-$HOSTNAME.log}"
_ZOO_DAEMON_OUT="$ZOO_LOG_DIR/zookeeper-$USER-server-$HOSTNAME.out"
SERVER_FLAGS+=("-Dzookeeper.log.dir=$ZOO_LOG_DIR" "-Dzookeeper.log.file=$ZOO_LOG_FILE")

# Stores the whole command in the array SERVER_COMMAND.
server_command() {
  find_zookeeper
  flags_to_array "$SERVER_JVMFLAGS" "$JVMFLAGS"
  SERVER_COMMAND=("$ZOOKEEPER_BIN" "${SERVER_FLAGS[@]}" "${LOG_FLAGS[@]}" "${FLAGS[@]}" server "$ZOOCFG")
}

# Finds the address to ask for the status. Sets clientPort, clientPortAddress and isSSL, or ends the script.
find_client_port() {
  isSSL="false"
  clientPortAddress="$(config_value clientPortAddress)"
  clientPortAddress="${clientPortAddress:-localhost}"
  clientPort="$(config_value clientPort)"
  if ! [[ "$clientPort" =~ ^[0-9]+$ ]]; then
    clientPort=""
    find_client_port_in_server_line
  fi
  if [ -n "$clientPort" ]; then
    return
  fi
  echo "Client port not found. Looking for secureClientPort in the static config."
  clientPort="$(config_value secureClientPort)"
  if [ -z "$clientPort" ]; then
    echo "Unable to find either secure or unsecure client port in any configs. Terminating."
    exit 1
  fi
  isSSL="true"
  clientPortAddress="$(config_value secureClientPortAddress)"
  clientPortAddress="${clientPortAddress:-localhost}"
}

# Takes the client address after the semicolon in this server's own line, in the static or in the dynamic file.
find_client_port_in_server_line() {
  local myid address dynamic
  myid="$(cat "$ZOO_DATADIR/myid" 2> /dev/null)"
  if ! [[ "$myid" =~ ^[0-9]+$ ]]; then
    echo "myid could not be determined, will not able to locate clientPort in the server configs."
    return
  fi
  address="$(config_value "server\\.$myid")"
  if [[ "$address" != *";"* ]]; then
    echo "Client port not found in static config file. Looking in dynamic config file."
    dynamic="$(config_value dynamicConfigFile)"
    address="$(ZOOCFG="$dynamic" config_value "server\\.$myid")"
  fi
  if [[ "$address" != *";"* ]]; then
    echo "Client port not found in the server configs"
    return
  fi
  address="${address##*;}"
  clientPort="${address##*:}"
  if [[ "$address" =~ ^\[(.*)\]:[0-9]+$ ]]; then
    clientPortAddress="${BASH_REMATCH[1]}"
  elif [[ "$address" == *:* ]]; then
    clientPortAddress="${address%:*}"
  fi
}

# Waits until the process has ended, for at most ten seconds.
wait_until_gone() {
  local tenths
  for ((tenths = 0; tenths < 100; tenths++)); do
    kill -0 "$1" 2> /dev/null || return 0
    sleep 0.1
  done
  return 1
}

case $1 in
start)
  echo -n "Starting zookeeper ... "
  if [ -f "$ZOOPIDFILE" ] && kill -0 "$(cat "$ZOOPIDFILE")" > /dev/null 2>&1; then
    echo "already running as process $(cat "$ZOOPIDFILE")."
    exit 1
  fi
  server_command
  nohup "${SERVER_COMMAND[@]}" > "$_ZOO_DAEMON_OUT" 2>&1 < /dev/null &
  pid=$!
  if ! echo -n "$pid" > "$ZOOPIDFILE"; then
    echo FAILED TO WRITE PID
    exit 1
  fi
  sleep 1
  if kill -0 "$pid" > /dev/null 2>&1; then
    echo STARTED
  else
    echo FAILED TO START
    echo "See $_ZOO_DAEMON_OUT" >&2
    exit 1
  fi
  ;;
start-foreground)
  server_command
  if [ -n "$ZOO_NOEXEC" ]; then
    "${SERVER_COMMAND[@]}"
  else
    exec "${SERVER_COMMAND[@]}"
  fi
  ;;
print-cmd)
  server_command
  printf '"%s" ' "${SERVER_COMMAND[@]}"
  echo "> \"$_ZOO_DAEMON_OUT\" 2>&1 < /dev/null"
  ;;
stop)
  echo -n "Stopping zookeeper ... "
  if [ ! -f "$ZOOPIDFILE" ]; then
    echo "no zookeeper to stop (could not find file $ZOOPIDFILE)"
  else
    pid="$(cat "$ZOOPIDFILE")"
    kill "$pid"
    if ! wait_until_gone "$pid"; then
      # Two servers on the same data lose writes, so nobody must start another one now.
      echo "process $pid was told to stop and still runs; its log says what it waits for"
      exit 1
    fi
    rm "$ZOOPIDFILE"
    echo STOPPED
  fi
  exit 0
  ;;
restart)
  shift
  "$0" --config "$ZOOCFGDIR" stop "$@" || exit
  "$0" --config "$ZOOCFGDIR" start "$@"
  ;;
status)
  find_client_port
  echo "Client port found: $clientPort. Client address: $clientPortAddress. Client SSL: $isSSL."
  find_zookeeper
  flags_to_array "$CLIENT_JVMFLAGS" "$JVMFLAGS"
  STAT="$("$ZOOKEEPER_BIN" "${FLAGS[@]}" 4lw "$clientPortAddress" "$clientPort" srvr "$isSSL" \
    2> /dev/null | grep Mode)"
  if [ -z "$STAT" ]; then
    if [ "$isSSL" = "true" ]; then
      echo " "
      echo "Note: only secureClientPort ($clientPort) is configured; the status is asked with TLS there. Give the"
      echo "  client's TLS settings in CLIENT_JVMFLAGS (-Dzookeeper.ssl.trustStore.location=... and so on)."
      echo " "
    fi
    echo "Error contacting service. It is probably not running."
    exit 1
  fi
  echo "$STAT"
  exit 0
  ;;
esac
