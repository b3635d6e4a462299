#!/usr/bin/env bash
# Many containers alive at once: what our processes weigh, and what one more start costs then.
#   benches/many.sh [STOCKADE [HOW-MANY [NETWORK]]]     default: the release build, 500, none
# Needs root, busybox-static. NETWORK may be bridge.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need /bin/busybox hyperfine
stockade=${1:-${CARGO_TARGET_DIR:-target}/release/stockade}
many=${2:-500}
network=${3:-none}
export STOCKADE_ROOT=$bench_dir/root STOCKADE_RUN=$bench_dir/run STOCKADE_BRIDGE=skmany STOCKADE_GATE=off

mkdir -p "$bench_dir/image/bin"
cp /bin/busybox "$bench_dir/image/bin/busybox"
for name in sh sleep true; do ln -s busybox "$bench_dir/image/bin/$name"; done
tar -C "$bench_dir/image" -c . | "$stockade" import - many >/dev/null

all_gone() {
  "$stockade" ps -aq | xargs -r -n 50 "$stockade" rm -f >/dev/null 2>&1 || true
  bench_cleanup
}
trap all_gone EXIT

one="$stockade run --rm --network $network many true"
# The fastest counts: what else the machine does makes others slower.
fastest() {
  hyperfine -N --warmup 2 --runs 40 --export-json "$bench_dir/hyperfine.json" "$one" >/dev/null 2>"$bench_dir/err" ||
    { cat "$bench_dir/err" >&2; return 1; }
  sed -n 's/.*"min": \([0-9.e-]*\).*/\1/p' "$bench_dir/hyperfine.json" | head -1
}
first=$(fastest)
start=$(date +%s.%N)
for ((i = 0; i < many; i++)); do "$stockade" run -d --network "$network" many sleep 100000 >/dev/null; done
say "$many started in $(awk "BEGIN{printf \"%.1f\", $(date +%s.%N) - $start}") s"
sleep 10 # monitors give memory back when it was quiet for some seconds
next=$(fastest)
report "one more beside $many, and the first alone" "$next" first "$first" 1.3

# Pss counts pages that several processes share by their part.
pids=$("$stockade" ps -q | xargs -n 50 "$stockade" inspect -f '{{.Stockade.Monitor.Pid}}')
for pid in $pids; do cat "/proc/$pid/smaps_rollup"; done |
  awk -v n="$many" '/^Rss:/ {rss += $2} /^Pss:/ {pss += $2} END {
    printf "our process for each of %d: %.2f MB of its own (Pss), %.2f MB resident  (target 2 MB: %s)\n",
      n, pss / n / 1000, rss / n / 1000, pss / n <= 2000 ? "met" : "MISSED"}'
start=$(date +%s.%N)
"$stockade" ps -aq | xargs -n 50 "$stockade" rm -f >/dev/null
say "$many removed in $(awk "BEGIN{printf \"%.1f\", $(date +%s.%N) - $start}") s"
