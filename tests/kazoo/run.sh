#!/usr/bin/env bash
# Runs kazoo's own test suite against Java 3.9.5 and against ours: see run.py.
set -euo pipefail
# shellcheck source=tests/peers/env.sh
source "$(dirname "${BASH_SOURCE[0]}")/../peers/env.sh"
"$TESTS_DIR/peers/install.sh" java 3.9.5
"$TESTS_DIR/peers/install.sh" kazoo
exec python3 "$TESTS_DIR/kazoo/run.py" "$@"
