#!/usr/bin/env bash
# Prints the fields of every record class in Java's jute jar (RecordSchema.java).
set -euo pipefail
# shellcheck source=tests/peers/env.sh
source "$(dirname "${BASH_SOURCE[0]}")/../peers/env.sh"

"$TESTS_DIR/peers/install.sh" java 3.9.5 >&2
"$TESTS_DIR/peers/install.sh" programs >&2
exec java -cp "$PEERS_DIR/classes:$(java_classpath 3.9.5)" RecordSchema
