#!/bin/sh
# Tests greet.sh; ends with 1 at the first wrong greeting.
set -eu
cd "$(dirname "$0")"

check() {
  if [ "$1" = "$2" ]; then
    echo "ok: $2"
  else
    echo "wrong: expected \"$2\", got \"$1\"" >&2
    exit 1
  fi
}

check "$(./greet.sh)" "Hello, world!"
check "$(./greet.sh Ada)" "Hello, Ada!"
