#!/usr/bin/env bash
# The other scripts source this file (". zkEnv.sh"). It finds the configuration and the binary.
#
# In:  ZOOBINDIR (the directory of the calling script), the caller's arguments (--config DIR is removed from them),
#      and the variables of Java's scripts: ZOOCFGDIR, ZOOCFG, ZOO_LOG_DIR, SERVER_JVMFLAGS, CLIENT_JVMFLAGS, JVMFLAGS;
#      ZOO_LOG4J_PROP (begins with a level: "DEBUG,CONSOLE"), RUST_LOG (levels by logger), ZOOKEEPER_BIN (a binary).
# Out: ZOOCFGDIR, ZOOCFG, ZOO_LOG_DIR, the array LOG_FLAGS, and the functions flags_to_array and find_zookeeper.
#
# JAVA_HOME, CLASSPATH, ZK_SERVER_HEAP, ZK_CLIENT_HEAP and the JMX* variables have no effect.

ZOOBINDIR="${ZOOBINDIR:-/usr/bin}"
ZOOKEEPER_PREFIX="${ZOOBINDIR}/.."

if [ $# -gt 1 ] && [ "$1" = "--config" ]; then
  shift
  ZOOCFGDIR="$1"
  shift
fi

if [ -z "$ZOOCFGDIR" ]; then
  if [ -e "${ZOOKEEPER_PREFIX}/conf" ]; then
    ZOOCFGDIR="$ZOOBINDIR/../conf"
  else
    ZOOCFGDIR="$ZOOBINDIR/../etc/zookeeper"
  fi
fi

if [ -f "${ZOOCFGDIR}/zookeeper-env.sh" ]; then
  # shellcheck source=/dev/null
  . "${ZOOCFGDIR}/zookeeper-env.sh"
fi

# Not empty if the user named a file. The scripts then use no other file instead.
# shellcheck disable=SC2034  # zkServer.sh reads it
ZOOCFG_NAMED="$ZOOCFG"
ZOOCFG="$ZOOCFGDIR/${ZOOCFG:-zoo.cfg}"

if [ -f "$ZOOCFGDIR/java.env" ]; then
  # shellcheck source=/dev/null
  . "$ZOOCFGDIR/java.env"
fi

ZOO_LOG_DIR="${ZOO_LOG_DIR:-$ZOOKEEPER_PREFIX/logs}"

LOG_FLAGS=()
if [ -n "$ZOO_LOG4J_PROP" ]; then
  LOG_FLAGS+=("-Dzookeeper.root.logger=$ZOO_LOG4J_PROP")
fi
if [ -n "$RUST_LOG" ]; then
  LOG_FLAGS+=("-Dzookeeper.log.filters=$RUST_LOG")
fi

# flags_to_array TEXT...: splits the texts into words and stores them in the array FLAGS. -D flags are settings. The
# binary also accepts flags that only a JVM understands, and logs once that they have no effect.
flags_to_array() {
  FLAGS=()
  # shellcheck disable=SC2034  # the scripts read it
  IFS=$' \t\n' read -r -d '' -a FLAGS <<< "$*" || true
}

# find_zookeeper: sets ZOOKEEPER_BIN, unless it is set, to the binary next to the scripts, or else to the one built in
# this source tree. Builds the binary if there is none and this is a source tree.
find_zookeeper() {
  if [ -n "$ZOOKEEPER_BIN" ]; then
    if [ ! -x "$ZOOKEEPER_BIN" ]; then
      echo "Error: ZOOKEEPER_BIN is $ZOOKEEPER_BIN, which is no program" >&2
      exit 1
    fi
    return
  fi
  local built="${CARGO_TARGET_DIR:-$ZOOKEEPER_PREFIX/target}/release/zookeeper"
  local candidate
  for candidate in "$ZOOBINDIR/zookeeper" "$built"; do
    if [ -f "$candidate" ] && [ -x "$candidate" ]; then
      ZOOKEEPER_BIN="$candidate"
      return
    fi
  done
  if [ ! -f "$ZOOKEEPER_PREFIX/Cargo.toml" ]; then
    echo "Error: no zookeeper binary beside the scripts; copy it to $ZOOBINDIR or set ZOOKEEPER_BIN" >&2
    exit 1
  fi
  if ! command -v cargo > /dev/null 2>&1; then
    echo "Error: no zookeeper binary, and no cargo in PATH to build it; install Rust or set ZOOKEEPER_BIN" >&2
    exit 1
  fi
  echo "Building the server once: cargo build --release" >&2
  if ! (cd "$ZOOKEEPER_PREFIX" && cargo build --release --bin zookeeper) >&2 || [ ! -x "$built" ]; then
    echo "Error: the build failed" >&2
    exit 1
  fi
  ZOOKEEPER_BIN="$built"
}

# config_value KEY: prints the last value of the key in the configuration, without surrounding blanks.
config_value() {
  sed -n -e "s/^[[:space:]]*$1[[:space:]]*[=:]//p" "$ZOOCFG" 2> /dev/null |
    tail -n 1 | sed -e 's/^[[:space:]]*//' -e 's/[[:space:]]*$//'
}
