#!/usr/bin/env bash
# What holds a container of each engine by default, measured from outside: the table "Weak defaults" of docs/SECURITY.md.
#   benches/security.sh [path of the stockade binary] [--write]      --write replaces the table in the document
# Needs root, docker.io, podman, crun, busybox-static; measures with what is there, and says what is missing.
. "$(dirname "$0")/lib.sh"
stockade=${1:-stockade}
here=$(cd "$(dirname "$0")/.." && pwd)
document=$here/docs/SECURITY.md
cargo build -q --release -p stockade-sandbox --example confinement
look=${CARGO_TARGET_DIR:-$here/target}/release/examples/confinement
export STOCKADE_ROOT=$bench_dir/stockade/root STOCKADE_RUN=$bench_dir/stockade/run STOCKADE_GATE=off
root=$bench_dir/root
mkdir -p "$root/bin" "$root/proc" "$root/sys" "$root/dev" "$root/tmp"
cp /bin/busybox "$root/bin/busybox"
for name in sh sleep; do ln -sf busybox "$root/bin/$name"; done
tar -C "$root" -cf "$bench_dir/root.tar" .
columns=()
# The host's end of a connection that a container should not reach by default: the metadata address, stood in for locally.
ip addr add 169.254.169.254/32 dev lo 2>/dev/null && added=1 || added=
busybox httpd -f -p 169.254.169.254:80 -h "$root/tmp" & httpd=$!
echo reached >"$root/tmp/index.html"
finish_security() { kill "$httpd" 2>/dev/null || true; [ -z "$added" ] || ip addr del 169.254.169.254/32 dev lo; }
trap 'finish_security; bench_cleanup' EXIT

# column NAME PID COMMAND-THAT-RUNS-IN-THE-CONTAINER…   Without a command the network is not the engine's own: not measured.
column() {
  local name=$1 pid=$2
  shift 2
  "$look" "$pid" >"$bench_dir/col.$name"
  if [ $# -eq 0 ]; then
    printf 'metadata address\t–\n' >>"$bench_dir/col.$name"
  elif "$@" sh -c "printf 'GET /index.html HTTP/1.0\r\n\r\n' | busybox nc -w 2 169.254.169.254 80" 2>/dev/null | grep -q reached; then
    printf 'metadata address\treached\n' >>"$bench_dir/col.$name"
  else
    printf 'metadata address\tnot reached\n' >>"$bench_dir/col.$name"
  fi
  columns+=("$name")
}

if command -v dockerd >/dev/null; then
  start_docker
  docker_ import "$bench_dir/root.tar" box >/dev/null
  docker_ run -d --name weak box sleep 1000 >/dev/null
  column docker "$(docker_ inspect -f '{{.State.Pid}}' weak)" docker_ exec weak
  docker_ rm -f weak >/dev/null
else say "docker.io is missing"; fi

if command -v podman >/dev/null; then
  # Limits that a machine without CAP_SYS_RESOURCE can set; crun needs a tree without the version 2 part on hybrid machines.
  pod() { podman --root "$bench_dir/pod" --runroot "$bench_dir/podrun" --tmpdir "$bench_dir/podtmp" --storage-driver vfs \
    --cgroup-manager cgroupfs --events-backend file --runtime "${podman_runtime:-runc}" "$@"; }
  pod import -q "$bench_dir/root.tar" box >/dev/null
  if pod run -d --name weak --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 --network host box sleep 1000 >/dev/null 2>"$bench_dir/podman.err"; then
    column podman "$(pod inspect -f '{{.State.Pid}}' weak)"
    pod rm -f -t 0 weak >/dev/null
  else say "podman: $(tail -1 "$bench_dir/podman.err")"; fi
else say "podman is missing"; fi

if command -v crun >/dev/null; then
  bundle=$bench_dir/bundle
  mkdir -p "$bundle"
  cp -a "$root" "$bundle/rootfs"
  (cd "$bundle" && crun spec && sed -i 's/"terminal": true/"terminal": false/; s/"sh"/"sleep", "1000"/' config.json)
  unshare -m sh -c 'umount /sys/fs/cgroup/unified 2>/dev/null; cd "$1" && crun --root "$2" run -d --pid-file "$2.pid" c' sh "$bundle" "$bench_dir/crun" </dev/null >/dev/null
  column crun "$(cat "$bench_dir/crun.pid")"
  crun --root "$bench_dir/crun" delete -f c 2>/dev/null || kill -9 "$(cat "$bench_dir/crun.pid")"
fi

"$stockade" import "$bench_dir/root.tar" box >/dev/null
for level in compat standard strict; do
  more=
  [ "$level" != strict ] || more="--memory 256m --pids-limit 50"
  "$stockade" run -d --name "$level" --confine "$level" $more box sleep 1000 >/dev/null
  column "$level" "$("$stockade" inspect -f '{{.State.Pid}}' "$level")" "$stockade" exec "$level"
  "$stockade" rm -f "$level" >/dev/null
done

{
  printf '|'; for c in "" "${columns[@]}"; do printf ' %s |' "$c"; done; printf '\n|'
  for c in "" "${columns[@]}"; do printf '%s' '---|'; done; printf '\n'
  cut -f1 "$bench_dir/col.${columns[0]}" | while IFS= read -r fact; do
    printf '| %s |' "$fact"
    for c in "${columns[@]}"; do printf ' %s |' "$(awk -F'\t' -v f="$fact" '$1 == f {print $2}' "$bench_dir/col.$c")"; done
    printf '\n'
  done
} >"$bench_dir/table.md"
cat "$bench_dir/table.md"
if [ "${2:-}" = --write ]; then
  awk -v table="$bench_dir/table.md" '
    /<!-- defaults:/ {print; while ((getline line < table) > 0) print line; skip = 1; next}
    /<!-- end of defaults -->/ {skip = 0}
    !skip' "$document" >"$bench_dir/document" && cat "$bench_dir/document" >"$document"
fi
