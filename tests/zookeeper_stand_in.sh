#!/usr/bin/env bash
# In the place of the binary, for tests of the scripts: notes its arguments, a line each, in `args` beside itself. As a
# server it stays until it is killed; where a file `broken` lies beside it, it fails.
here="$(dirname "$0")"
printf '%s\n' "$@" > "$here/args"
if [ -e "$here/broken" ]; then
  echo broken
  exit 2
fi
for word in "$@"; do
  case $word in
  server) exec sleep 300 ;;
  4lw) echo "Mode: standalone" ;;
  esac
done
