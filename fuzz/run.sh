#!/usr/bin/env bash
# Fuzzes one target, or all, for some seconds each: ./fuzz/run.sh [SECONDS] [TARGET...]
#
# Seeds are the configs of this repository, and those of the folder in POPSICLE_CORPUS, if it is set. What is
# found worth keeping lies in fuzz/corpus/, what breaks a promise in fuzz/artifacts/; neither is committed:
# a failure becomes a test in crates/config.
set -euo pipefail
cd "$(dirname "$0")"

seconds=${1:-600}
shift || true
targets=("$@")
[ "${#targets[@]}" -gt 0 ] || targets=(compile process orbs ide)

cargo +nightly fuzz --version >/dev/null 2>&1 || {
  echo "error: this needs a nightly toolchain and cargo-fuzz (cargo install --locked cargo-fuzz)" >&2
  exit 1
}
for target in "${targets[@]}"; do
  mkdir -p "corpus/$target"
  seeds=(../crates/config/tests/corpus)
  [ -z "${POPSICLE_CORPUS:-}" ] || seeds+=("$POPSICLE_CORPUS")
  # The promise is one second and 256 MB for a megabyte; a target compiles up to four times, with checks.
  cargo +nightly fuzz run --fuzz-dir . --sanitizer none "$target" "corpus/$target" "${seeds[@]}" -- \
    -dict=config.dict -max_len=1048576 -len_control=50 -timeout=4 -rss_limit_mb=1024 -malloc_limit_mb=256 \
    -max_total_time="$seconds" -print_final_stats=1
done
