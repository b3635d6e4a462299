#!/usr/bin/env bash
# Runs fuzz targets: run.sh [seconds each, 60 unless told] [target…, all unless named]. Needs a nightly toolchain and a C++
# compiler. Instrumentation is libFuzzer's through rustc, so that cargo-fuzz itself need not be installed.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-60}
shift || true
target_dir=${CARGO_TARGET_DIR:-target}
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Cdebug-assertions -Ccodegen-units=1"
host=$(rustc -vV | sed -n 's/^host: //p')
cargo +nightly build --release --target "$host"
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(sed -n 's/^name = "\([a-z_0-9]*_[a-z_0-9]*\)"$/\1/p' Cargo.toml)
failed=0
for target in "${targets[@]}"; do
  mkdir -p "corpus/$target" artifacts
  echo "== $target, $seconds s"
  "$target_dir/$host/release/$target" "corpus/$target" -max_total_time="$seconds" -rss_limit_mb=1024 -timeout=20 \
    -artifact_prefix="artifacts/$target-" -print_final_stats=1 2>&1 | grep -E "SUMMARY|ERROR|stat::number_of|panicked" || true
  [ -z "$(find artifacts -name "$target-*" -print -quit)" ] || failed=1
done
exit $failed
