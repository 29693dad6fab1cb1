#!/usr/bin/env bash
# Installs the software that the suites test against: Java ZooKeeper of several versions, kazoo with
# its test suite, Curator, the C client and the Go client. Everything goes into $PEERS_DIR (tests/.peers).
# What is already complete is not touched. Only missing basics (JDK, Maven, a C compiler, Python's venv,
# Go) are installed into the system, with apt-get.
#
#     tests/peers/install.sh             everything
#     tests/peers/install.sh java 3.9.5  only that version of Java ZooKeeper
#     tests/peers/install.sh curator | kazoo | c | go | checker | programs
#
# If a peer cannot be installed, the exit code is not 0, and a message names the peer.
set -euo pipefail
# shellcheck source=tests/peers/env.sh
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

ATTEMPTS=4

# retry WHAT COMMAND...: runs the command until it succeeds, a few times at most. Waits longer each time,
# because a registry may be down for a minute.
retry() {
    local what="$1" attempt
    shift
    for ((attempt = 1; attempt <= ATTEMPTS; attempt++)); do
        if "$@"; then return 0; fi
        if ((attempt < ATTEMPTS)); then
            echo "install: $what: attempt $attempt failed, trying again" >&2
            sleep $((attempt * 5))
        fi
    done
    die "cannot install $what: '$*' failed $ATTEMPTS times"
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

apt_updated=no
apt_install() {
    have apt-get || die "$1 is missing, and there is no apt-get to install it with"
    if [ "$apt_updated" = no ]; then
        retry "package lists" as_root apt-get update -qq
        apt_updated=yes
    fi
    retry "$1" as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "$1" >&2
}

# need COMMAND PACKAGE: installs the package if the command is missing.
need() {
    have "$1" && return 0
    apt_install "$2"
    hash -r
    have "$1" || die "$2 is installed, but there is still no $1"
}

need_jdk() {
    need javac openjdk-17-jdk-headless
    local version
    version="$(javac -version 2>&1 | sed -nE 's/^javac ([0-9]+).*/\1/p')"
    [ "${version:-0}" -ge 11 ] || die "javac is of version '$version'; 11 or newer is needed"
}

install_java() {
    local version="$1" dir="$PEERS_DIR/java/$1"
    # An older installation of 3.9.5 lacks the metrics provider for Prometheus.
    if [ -e "$dir/.complete" ] &&
        { [ "$version" != 3.9.5 ] || [ -e "$dir/zookeeper-prometheus-metrics-3.9.4.jar" ]; }; then
        return 0
    fi
    echo "install: Java ZooKeeper $version"
    need_jdk
    need mvn maven
    mkdir -p "$dir"
    retry "Java ZooKeeper $version" mvn -q -B -f "$TESTS_DIR/peers/java/pom.xml" -P "$version" \
        dependency:copy-dependencies "-DoutputDirectory=$dir" >&2
    [ -e "$dir/zookeeper-$version.jar" ] || die "Maven copied no zookeeper-$version.jar"
    touch "$dir/.complete"
}

install_curator() {
    local dir="$PEERS_DIR/curator"
    [ -e "$dir/.complete-$CURATOR_VERSION" ] && return 0
    echo "install: Curator $CURATOR_VERSION"
    need_jdk
    need mvn maven
    rm -rf "$dir"
    mkdir -p "$dir"
    retry "Curator $CURATOR_VERSION" mvn -q -B -f "$TESTS_DIR/peers/curator/pom.xml" \
        "-Dcurator.version=$CURATOR_VERSION" dependency:copy-dependencies "-DoutputDirectory=$dir" >&2
    [ -e "$dir/curator-recipes-$CURATOR_VERSION.jar" ] || die "Maven copied no curator-recipes"
    touch "$dir/.complete-$CURATOR_VERSION"
}

install_kazoo() {
    local dir="$PEERS_DIR/kazoo"
    [ -e "$dir/.complete-$KAZOO_VERSION" ] && return 0
    echo "install: kazoo $KAZOO_VERSION"
    need python3 python3
    mkdir -p "$dir/src"
    # Debian's python3 has no ensurepip without python3-venv.
    if ! python3 -m venv --clear "$dir/venv" >/dev/null 2>&1; then
        apt_install python3-venv
        python3 -m venv --clear "$dir/venv"
    fi
    local pip="$dir/venv/bin/pip"
    retry "pytest" "$pip" install -q pytest pytest-timeout pytest-xdist objgraph setuptools wheel
    # Only the sdist has the tests, the wheel does not.
    retry "kazoo's sdist" \
        "$pip" download -q --no-deps --no-binary kazoo -d "$dir" "kazoo==$KAZOO_VERSION"
    tar -xzf "$dir/kazoo-$KAZOO_VERSION.tar.gz" -C "$dir/src" --strip-components=1
    [ -d "$dir/src/kazoo/tests" ] || die "kazoo's sdist has no tests"
    retry "kazoo" "$pip" install -q --no-deps "$dir/src"
    touch "$dir/.complete-$KAZOO_VERSION"
}

install_c() {
    local dir="$PEERS_DIR/c" libdir lib deb
    if [ ! -e "$dir/.complete" ]; then
        echo "install: C client"
        have apt-get || die "the C client is Debian's libzookeeper-mt-dev, and there is no apt-get"
        mkdir -p "$dir/debs"
        if ! apt-cache show libzookeeper-mt-dev >/dev/null 2>&1; then
            retry "package lists" as_root apt-get update -qq
        fi
        # The packages are unpacked here and not installed, so that the system stays as it is. The name of
        # the library's package differs between releases.
        lib="$(apt-cache depends libzookeeper-mt-dev |
            sed -nE 's/^ *Depends: (libzookeeper-mt2.*)/\1/p')"
        [ -n "$lib" ] || die "apt knows no libzookeeper-mt-dev"
        (
            cd "$dir/debs"
            retry "the C client" apt-get download -qq libzookeeper-mt-dev "$lib" zookeeper-bin
        )
        for deb in "$dir"/debs/*.deb; do dpkg -x "$deb" "$dir"; done
        [ -e "$dir/usr/include/zookeeper/zookeeper.h" ] || die "no zookeeper.h in libzookeeper-mt-dev"
        touch "$dir/.complete"
    fi
    need cc gcc
    [ -e /usr/include/stdio.h ] || apt_install libc6-dev
    libdir="$(dirname "$(find "$dir/usr/lib" -name libzookeeper_mt.so)")"
    mkdir -p "$PEERS_DIR/bin"
    if [ "$TESTS_DIR/c/client.c" -nt "$PEERS_DIR/bin/c_client" ]; then
        cc -std=c11 -D_GNU_SOURCE -DTHREADED -Wall -Werror -O1 -I "$dir/usr/include/zookeeper" \
            -o "$PEERS_DIR/bin/c_client" "$TESTS_DIR/c/client.c" \
            -L "$libdir" -Wl,-rpath,"$libdir" -lzookeeper_mt -lpthread ||
            die "tests/c/client.c does not compile"
    fi
}

install_go() {
    need go golang-go
    mkdir -p "$PEERS_DIR/bin"
    if [ "$TESTS_DIR/go/main.go" -nt "$PEERS_DIR/bin/go_client" ]; then
        echo "install: Go client"
        (
            cd "$TESTS_DIR/go"
            retry "the Go client" go mod download
            go build -buildvcs=false -o "$PEERS_DIR/bin/go_client" . || die "tests/go does not compile"
        )
    fi
}

# Builds the checker of the histories that tests/chaos writes.
install_checker() {
    need go golang-go
    mkdir -p "$PEERS_DIR/bin"
    local binary="$PEERS_DIR/bin/chaos_checker"
    if [ -e "$binary" ] && [ -z "$(find "$TESTS_DIR/chaos/checker" -newer "$binary")" ]; then
        return 0
    fi
    echo "install: the checker of histories"
    (
        cd "$TESTS_DIR/chaos/checker"
        retry "porcupine" go mod download
        go test ./... || die "tests/chaos/checker fails its own tests"
        go build -buildvcs=false -o "$binary" . || die "tests/chaos/checker does not compile"
    )
    # If nothing has changed, Go leaves the file with its old time.
    touch "$binary"
}

install_programs() {
    install_curator
    need_jdk
    local classes="$PEERS_DIR/classes" source
    mkdir -p "$classes"
    for source in "$TESTS_DIR"/java/*.java; do
        if [ "$source" -nt "$classes/$(basename "${source%.java}").class" ]; then
            javac -nowarn -d "$classes" -cp "$(java_classpath 3.9.5):$PEERS_DIR/curator/*" "$source" ||
                die "$source does not compile"
        fi
    done
}

mkdir -p "$PEERS_DIR"
case "${1:-all}" in
all)
    for version in "${JAVA_VERSIONS[@]}"; do install_java "$version"; done
    install_programs
    install_kazoo
    install_c
    install_go
    install_checker
    echo "install: every peer is in $PEERS_DIR"
    ;;
java)
    for version in "${@:2}"; do install_java "$version"; done
    ;;
curator | kazoo | c | go | checker | programs)
    "install_$1"
    ;;
*)
    die "unknown peer '$1'"
    ;;
esac
