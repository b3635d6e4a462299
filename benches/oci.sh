#!/usr/bin/env bash
# The OCI runtime beside crun: start to exit of /bin/true from one bundle, 100 at once, memory, and system calls.
#   benches/oci.sh [STOCKADE]     default: stockade-oci of the release build; `stockade` measures `stockade oci`
# Needs root, crun, hyperfine, strace, time, busybox-static. crun does not run on hybrid cgroups: it gets a mount namespace
# without the version 2 tree.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need crun hyperfine strace /usr/bin/time /bin/busybox

stockade=${1:-}
if [ -z "$stockade" ]; then
  cargo build -q --release -p stockade-cli
  stockade=${CARGO_TARGET_DIR:-target}/release/stockade-oci
fi
cargo build -q --release -p stockade-sandbox --example floor
floor=$(realpath "${CARGO_TARGET_DIR:-target}/release/examples/floor")
stockade=$(realpath "$stockade")
# A runtime of its own name, or a verb of the whole program.
case ${stockade##*/} in *-oci) ours="$stockade" ;; *) ours="$stockade oci" ;; esac

bundle=$bench_dir/bundle
mkdir -p "$bundle/rootfs/"{bin,proc,sys,dev}
cp /bin/busybox "$bundle/rootfs/bin/true"
(cd "$bundle" && crun spec)
sed -i 's/"terminal": true/"terminal": false/; s/"sh"/"true"/' "$bundle/config.json"
# State on memory for both, as /run is.
state=$(mktemp -d /dev/shm/stockade-bench.XXXXXX)
cleanup_state() { rm -rf "$state"; bench_cleanup; }
trap cleanup_state EXIT

# In crun's world (all of it runs in one namespace, so that unshare itself is not measured).
with_crun() {
  unshare -m sh -c 'umount /sys/fs/cgroup/unified 2>/dev/null; cd "$1" && shift && "$@"' sh "$bundle" "$@"
}

cd "$bundle"
hyperfine -N --warmup 5 --runs 100 --export-json "$bench_dir/ours.json" "$ours --root $state/s run one" >/dev/null 2>&1
with_crun hyperfine -N --warmup 5 --runs 100 --export-json "$bench_dir/crun.json" "crun --root $state/c run one" >/dev/null 2>&1
hyperfine -N --warmup 5 --runs 100 --export-json "$bench_dir/floor.json" "$floor $bundle/rootfs" >/dev/null 2>&1
number() { sed -n "s/.*\"$2\": *\([0-9.e-]*\).*/\1/p" "$bench_dir/$1.json" | head -1; }
report "start to exit, median of 100" "$(number ours median)" crun "$(number crun median)" 0.6
say "the kernel's own floor (examples/floor): median $(number floor median) s, fastest $(number floor min) s"
report "start to exit, fastest of 100" "$(number ours min)" crun "$(number crun min)"
report "processor time a run (user and system)" "$(awk "BEGIN{print $(number ours user) + $(number ours system)}")" \
  crun "$(awk "BEGIN{print $(number crun user) + $(number crun system)}")"

parallel='for i in $(seq 100); do $0 run p$i & done; wait'
report "100 at once, fastest of 3" "$(best_of 3 sh -c "$parallel" "$ours --root $state/s")" \
  crun "$(best_of 3 with_crun sh -c "$parallel" "crun --root $state/c")" 0.7

memory() { sed -n 's/.*Maximum resident set size (kbytes): //p' "$bench_dir/time"; }
/usr/bin/time -v -o "$bench_dir/time" $ours --root "$state/s" run m
o=$(memory)
with_crun /usr/bin/time -v -o "$bench_dir/time" crun --root "$state/c" run m
say "peak memory: stockade $o KiB, crun $(memory) KiB"

strace -f -c -o "$bench_dir/calls.ours" $ours --root "$state/s" run c
with_crun strace -f -c -o "$bench_dir/calls.crun" crun --root "$state/c" run c
total() { tail -1 "$1" | awk '{print $4}'; }
say "system calls: stockade $(total "$bench_dir/calls.ours"), crun $(total "$bench_dir/calls.crun")"
say "the most of ours:"
awk 'NR > 2 && $4 > 0 && $NF != "total" {print $4, $NF}' "$bench_dir/calls.ours" | sort -rn | head -12 | sed 's/^/  /'
