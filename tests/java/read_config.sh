#!/usr/bin/env bash
# Reads paths of configuration files from its input, and prints how Java understands the files (ReadConfig.java).
set -euo pipefail
# shellcheck source=tests/peers/env.sh
source "$(dirname "${BASH_SOURCE[0]}")/../peers/env.sh"

"$TESTS_DIR/peers/install.sh" java 3.9.5 >&2 < /dev/null
"$TESTS_DIR/peers/install.sh" programs >&2 < /dev/null
exec java -Dorg.slf4j.simpleLogger.defaultLogLevel=off -cp "$PEERS_DIR/classes:$(java_classpath 3.9.5)" ReadConfig
