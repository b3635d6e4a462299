# Shared by the benchmarks: a dockerd of our own, timing, ratios. Source it.
set -euo pipefail

bench_dir=$(mktemp -d "${TMPDIR:-/tmp}/stockade-bench.XXXXXX")
docker_pid=

say() { printf '%s\n' "$*"; }

need() {
  local program
  for program in "$@"; do
    command -v "$program" >/dev/null || { echo "error: $program is missing: apt-get install it, then run again" >&2; exit 1; }
  done
}

# Seconds of the fastest of N runs of a command; its output is dropped, its failure ends the benchmark.
# best_of N COMMAND…
best_of() {
  local n=$1 i best= t
  shift
  for ((i = 0; i < n; i++)); do
    t=$( { TIMEFORMAT=%R; time "$@" >"$bench_dir/out" 2>&1; } 2>&1 ) || { cat "$bench_dir/out" >&2; echo "error: failed: $*" >&2; return 1; }
    if [ -z "$best" ] || awk "BEGIN{exit !($t < $best)}"; then best=$t; fi
  done
  printf '%s' "$best"
}

# Median seconds of a command, by hyperfine. median_of RUNS COMMAND-STRING
median_of() {
  hyperfine -N --warmup 3 --runs "$1" --export-json "$bench_dir/hyperfine.json" "$2" >/dev/null 2>"$bench_dir/err" ||
    { cat "$bench_dir/err" >&2; return 1; }
  sed -n 's/.*"median": \([0-9.e-]*\).*/\1/p' "$bench_dir/hyperfine.json" | head -1
}

# Puts what is below $bench_dir on a file system of its own, GIB large at most. Hundreds of thousands of small files are
# then gone with one file; where the machine's disk discards online, removing them one by one takes many minutes.
own_filesystem() {
  need mkfs.ext4 losetup
  truncate -s "${1}G" "$bench_dir.img"
  mkfs.ext4 -q -F -E lazy_itable_init=1,nodiscard "$bench_dir.img"
  mount -o loop,noatime "$bench_dir.img" "$bench_dir"
}

# report NAME OURS PEER-NAME PEERS [TARGET-RATIO]
report() {
  awk -v name="$1" -v ours="$2" -v peer="$3" -v theirs="$4" -v target="${5:-}" 'BEGIN {
    r = theirs > 0 ? ours / theirs : 0
    verdict = target == "" ? "" : (r <= target ? "  (target " target ": met)" : "  (target " target ": MISSED)")
    printf "%-44s stockade %8.4f s   %-8s %8.4f s   ratio %.3f%s\n", name, ours, peer, theirs, r, verdict }'
}

# Starts dockerd with its own directories; `docker_` then talks to it.
start_docker() {
  need dockerd docker iptables-save nft
  iptables-save >"$bench_dir/iptables.before" 2>/dev/null
  nft list tables | sort >"$bench_dir/tables.before"
  mkdir -p "$bench_dir/docker"
  ip -o link show docker0 >/dev/null 2>&1 && docker0_was_there=1 || docker0_was_there=
  dockerd --data-root "$bench_dir/docker/data" --exec-root "$bench_dir/docker/exec" -p "$bench_dir/docker/pid" \
    -H "unix://$bench_dir/docker/sock" >"$bench_dir/docker/log" 2>&1 &
  docker_pid=$!
  local i
  for ((i = 0; i < 100; i++)); do
    docker_ version >/dev/null 2>&1 && return 0
    sleep 0.1
  done
  tail -5 "$bench_dir/docker/log" >&2
  echo "error: dockerd did not start" >&2
  return 1
}

docker_() { docker -H "unix://$bench_dir/docker/sock" "$@"; }

stop_docker() {
  [ -n "$docker_pid" ] || return 0
  kill "$docker_pid" 2>/dev/null || true
  wait "$docker_pid" 2>/dev/null || true
  docker_pid=
  [ -n "${docker0_was_there:-}" ] || ip link delete docker0 2>/dev/null || true
  # The packet filter goes back to what it was: dockerd leaves rules that drop other people's forwarded packets.
  iptables-restore <"$bench_dir/iptables.before"
  nft list tables | sort | comm -13 "$bench_dir/tables.before" - | sed 's/^/delete /' | nft -f -
}

bench_cleanup() {
  stop_docker
  local m
  for m in $(awk -v d="$bench_dir" 'index($2, d) == 1 {print $2}' /proc/mounts | sort -r); do umount -l "$m" || true; done
  rm -rf "$bench_dir" "$bench_dir.img"
}
trap bench_cleanup EXIT
