#!/usr/bin/env bash
# Sets up what the tests need, runs all of them, and takes down what it started.
#
# As root on Debian or Ubuntu it installs what is missing; otherwise it says what is missing, and
# the tests that need it are skipped with a message. With CI set nothing is skipped: it fails.
set -euo pipefail
cd "$(dirname "$0")/.."

# Whatever it is set to: tests and jobs ask for `true`.
[ -z "${CI:-}" ] || export CI=true
# For what talks to this machine, and to hosts that must not exist. By then all that cargo needs is there.
without_proxy=(env -u http_proxy -u https_proxy -u all_proxy -u HTTP_PROXY -u HTTPS_PROXY -u ALL_PROXY)

scratch=$(mktemp -d)
started=()
finish() {
  for pid in "${started[@]}"; do
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  rm -rf "$scratch"
}
trap finish EXIT

say() { printf '\n== %s\n' "$*"; }
complete=1
missing() {
  if [ -n "${CI:-}" ]; then
    echo "error: $1" >&2
    exit 1
  fi
  complete=
  echo "note: $1; what needs it is skipped" >&2
}

say "What the tests need"
packages=()
need() { # command, package
  command -v "$1" >/dev/null || packages+=("$2")
}
need git git
need cc build-essential
need dash dash
need setpriv util-linux
# Where jobs see them: not below a home.
need /usr/bin/python3 python3
need /usr/bin/node nodejs
need chromium chromium
need docker docker.io
need dockerd docker.io
need docker-registry docker-registry
need podman podman
need /usr/sbin/sshd openssh-server
# One that images can be made of: it must need no libraries.
if ! command -v busybox >/dev/null || ldd "$(command -v busybox)" >/dev/null 2>&1; then
  packages+=(busybox-static)
fi
if [ "${#packages[@]}" -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    install() { apt-get install -y -qq --no-install-recommends "$1" >/dev/null; }
    # One by one: not every release has all of them.
    for package in "${packages[@]}"; do
      install "$package" || missing "the package $package can't be installed"
    done
    # Newer releases have the command apart from the engine.
    command -v docker >/dev/null || install docker-cli || missing "there is no \`docker\` command"
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
    dockerd >"$scratch/dockerd.log" 2>&1 &
    started+=("$!")
    for _ in $(seq 1 60); do
      docker info >/dev/null 2>&1 && break
      sleep 0.5
    done
  fi
  docker info >/dev/null 2>&1 || {
    [ ! -s "$scratch/dockerd.log" ] || tail -n 5 "$scratch/dockerd.log" >&2
    missing "no Docker engine answers"
  }
fi
[ -z "$complete" ] || echo "all there"

say "Format"
cargo fmt --all --check

say "Lint"
cargo clippy --workspace --all-targets --quiet -- -D warnings

say "What is built in"
if ! cargo deny --version >/dev/null 2>&1 && [ -n "${CI:-}" ]; then
  cargo install --locked --quiet cargo-deny
fi
if cargo deny --version >/dev/null 2>&1; then
  cargo deny check --hide-inclusion-graph bans licenses sources
  # These change with the world, not with the code: they are told, and fail nothing.
  cargo deny check --hide-inclusion-graph advisories ||
    echo "note: advisories; see above" >&2
else
  echo "note: cargo-deny is not installed (cargo install --locked cargo-deny); not checked" >&2
fi

say "Tests of each crate, and stories of the whole"
{
  "${without_proxy[@]}" cargo test --workspace --quiet 2>&1 >&3 | tee "$scratch/said" >&2
} 3>&1

say "The first command of the README"
POPSICLE_DATA_DIR=$scratch/data POPSICLE_LISTEN=127.0.0.1:0 POPSICLE_NAMESPACE=test-$$ \
  "${without_proxy[@]}" ./scripts/dev_up.sh --once

skipped=$(grep -c '^skipped ' "$scratch/said" || true)
if [ "$skipped" = 0 ]; then
  say "All passed"
else
  say "All that ran passed; $skipped could not be run here:"
  grep '^skipped ' "$scratch/said"
fi
