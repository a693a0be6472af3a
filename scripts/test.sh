#!/usr/bin/env bash
# Sets up what the tests need, runs all of them, and takes down what it started.
#
# As root on Debian or Ubuntu it installs what is missing; otherwise it says what is missing, and
# the tests that need it are skipped with a message. With CI=true nothing is skipped: it fails.
set -euo pipefail
cd "$(dirname "$0")/.."

ci=${CI:-}
started=()
finish() {
  for pid in "${started[@]}"; do
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
}
trap finish EXIT

say() { printf '\n== %s\n' "$*"; }
missing() {
  if [ "$ci" = true ]; then
    echo "error: $1" >&2
    exit 1
  fi
  echo "note: $1; what needs it is skipped" >&2
}

say "What the tests need"
packages=()
need() { # command, package
  command -v "$1" >/dev/null || packages+=("$2")
}
need git git
need cc build-essential
need curl curl
need busybox busybox-static
need dockerd docker.io
need docker-registry docker-registry
if [ "${#packages[@]}" -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
  else
    missing "these packages are not installed: ${packages[*]}"
  fi
fi
command -v cargo >/dev/null || {
  echo "error: \`cargo\` is not installed; install Rust with rustup" >&2
  exit 1
}
if ! docker info >/dev/null 2>&1; then
  if [ "$(id -u)" = 0 ] && command -v dockerd >/dev/null; then
    dockerd >"${TMPDIR:-/tmp}/popsicle-dockerd.log" 2>&1 &
    started+=("$!")
    for _ in $(seq 1 60); do
      docker info >/dev/null 2>&1 && break
      sleep 0.5
    done
  fi
  docker info >/dev/null 2>&1 || missing "no Docker engine answers"
fi
echo "all there"

say "Format"
cargo fmt --all --check

say "Lint"
cargo clippy --workspace --all-targets --quiet -- -D warnings
if ! cargo deny --version >/dev/null 2>&1 && [ "$ci" = true ]; then
  cargo install --locked --quiet cargo-deny
fi
if cargo deny --version >/dev/null 2>&1; then
  cargo deny check --hide-inclusion-graph bans licenses sources
else
  echo "note: cargo-deny is not installed (cargo install --locked cargo-deny); not checked" >&2
fi

say "Tests of each crate, and stories of the whole"
cargo test --workspace --quiet

say "The first command of the README"
data=$(mktemp -d)
POPSICLE_DATA_DIR=$data POPSICLE_LISTEN=127.0.0.1:5993 ./scripts/dev_up.sh --once
rm -rf "$data"

say "All passed"
