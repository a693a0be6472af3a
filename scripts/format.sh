#!/usr/bin/env bash
# Formats the code and mends what clippy can mend by itself.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged --quiet
cargo fmt --all
