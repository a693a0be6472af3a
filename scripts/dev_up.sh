#!/usr/bin/env bash
# Builds Popsicle, starts a server on its defaults, hands it an example repository through a
# signed webhook, as GitHub would, and shows what happens. Needs no Docker, and no network once it
# is built.
#
#   ./scripts/dev_up.sh          stays until Ctrl-C
#   ./scripts/dev_up.sh --once   ends with the example pipeline, with its exit code
#
# POPSICLE_DATA_DIR (default: data) and POPSICLE_LISTEN (default: 127.0.0.1:5000) are respected.
set -euo pipefail
cd "$(dirname "$0")/.."

once=
case "${1:-}" in
  "") ;;
  --once) once=1 ;;
  *) sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

need() { # command, hint
  command -v "$1" >/dev/null || {
    echo "error: \`$1\` is not installed" >&2
    echo "hint: $2, then run this again" >&2
    exit 1
  }
}
need cargo "install Rust with rustup"
need git "install git"
need cc "install a C compiler (on Debian the package build-essential)"

say "Building"
cargo build --package popsicle
target=${CARGO_TARGET_DIR:-target}
popsicle=$(cd "$target/debug" && pwd)/popsicle

export POPSICLE_DATA_DIR=${POPSICLE_DATA_DIR:-$PWD/data}
export POPSICLE_LISTEN=${POPSICLE_LISTEN:-127.0.0.1:5000}
mkdir -p "$POPSICLE_DATA_DIR"

say "Starting the server"
log=$POPSICLE_DATA_DIR/server.log
: >"$log"
# At least what it listens on, in the form that is read below.
POPSICLE_LOG=info POPSICLE_LOG_FORMAT=text "$popsicle" serve 2>"$log" &
server=$!
stop() {
  trap - EXIT INT TERM
  kill "$server" 2>/dev/null || true
  wait "$server" 2>/dev/null || true
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Its own word, because another server may answer there.
tries=0
until address=$(sed -n 's/.*listening address=\([^ ]*\).*/\1/p' "$log") && [ -n "$address" ]; do
  tries=$((tries + 1))
  if ! kill -0 "$server" 2>/dev/null || [ "$tries" -gt 150 ]; then
    echo "error: the server did not start; its log:" >&2
    cat "$log" >&2
    exit 1
  fi
  sleep 0.1
done
export POPSICLE_SERVER_URL=http://$address
echo "It answers at $POPSICLE_SERVER_URL; its log is $log"

say "Making a repository of examples/shell, and telling the server of a push to it"
example=$POPSICLE_DATA_DIR/example
rm -rf "$example"
cp -R examples/shell "$example"
as=(-c user.name=Popsicle -c user.email=popsicle@localhost -c commit.gpgsign=false)
git -C "$example" init --quiet --initial-branch=main
git -C "$example" "${as[@]}" add --all
git -C "$example" "${as[@]}" commit --quiet --message "Greet the world"
pipeline=$("$popsicle" send-webhook "$example" --repo example/shell)
echo "The server answered: pipeline $pipeline is queued"

say "\$ popsicle watch $pipeline"
code=0
"$popsicle" watch "$pipeline" || code=$?

say "\$ popsicle list"
"$popsicle" list --limit 5

say "\$ popsicle logs $pipeline build"
"$popsicle" logs "$pipeline" build

say "Where to look"
cat <<TEXT
  $POPSICLE_SERVER_URL/                        what this server is
  $POPSICLE_SERVER_URL/ui/pipelines/$pipeline          this pipeline
  $popsicle logs $pipeline test
  $popsicle run examples/shell       the same pipeline, without a server
TEXT
[ -z "$once" ] || exit "$code"
echo
echo "The server runs until you press Ctrl-C."
wait "$server"
