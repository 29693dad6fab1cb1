# Sourced by the scripts of tests/. Sets where the foreign peers are, and caches that need no home directory.
# shellcheck shell=bash disable=SC2034

TESTS_DIR="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
REPO_DIR="$(cd "$TESTS_DIR/.." && pwd)"
# Set PEERS_DIR to share one installation between several checkouts.
PEERS_DIR="${PEERS_DIR:-$TESTS_DIR/.peers}"

JAVA_VERSIONS=(3.4.14 3.5.10 3.6.4 3.7.2 3.8.6 3.9.5)
KAZOO_VERSION=2.11.0
CURATOR_VERSION=5.9.0

# Data directories, logs and transcripts of the suites: each checkout has its own.
TESTS_WORK_DIR="${TESTS_WORK_DIR:-$TESTS_DIR/.peers/work}"

export TESTS_DIR REPO_DIR PEERS_DIR TESTS_WORK_DIR
export MAVEN_OPTS="${MAVEN_OPTS:--Xmx512m} -Dmaven.repo.local=$PEERS_DIR/cache/m2"
export PIP_CACHE_DIR="$PEERS_DIR/cache/pip" PIP_DISABLE_PIP_VERSION_CHECK=1
export GOPATH="$PEERS_DIR/cache/gopath" GOCACHE="$PEERS_DIR/cache/gocache"
export GOFLAGS="-mod=mod -modcacherw"
export PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1

# die WORDS...: prints a message and ends the script.
die() {
    echo "$(basename "$0"): $*" >&2
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# rustup's cargo looks for its toolchains below HOME. If it finds none there, they may be beside cargo's own directory.
if have cargo && ! cargo --version >/dev/null 2>&1; then
    cargo_home="$(cd "$(dirname "$(command -v cargo)")/.." && pwd)"
    if [ -d "$cargo_home/../.rustup" ]; then
        export RUSTUP_HOME="${RUSTUP_HOME:-$cargo_home/../.rustup}"
    fi
fi

# java_classpath VERSION: prints the class path of Java ZooKeeper.
java_classpath() {
    local dir="$PEERS_DIR/java/$1"
    [ -e "$dir/.complete" ] || die "Java ZooKeeper $1 is not installed: run tests/peers/install.sh"
    echo "$dir/*"
}
