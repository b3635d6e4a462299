#!/usr/bin/env bash
# An ordinary user's containers beside rootless podman's: start to exit of `true` without network and with pasta.
#   benches/rootless.sh [STOCKADE]     default: the release build
# Needs root (to become that user), uidmap, passt, podman, crun, busybox-static, hyperfine. The user exists only in mount
# namespaces of this script, where crun finds the first version's cgroups alone, which is all that it can run on.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need newuidmap pasta hyperfine setpriv /bin/busybox
stockade=$(realpath "${1:-${CARGO_TARGET_DIR:-target}/release/stockade}")
uid=61234
chmod 755 "$bench_dir"
cp "$stockade" "$bench_dir/stockade"
mkdir -p "$bench_dir/home" "$bench_dir/run" "$bench_dir/image/bin"
cp /bin/busybox "$bench_dir/image/bin/busybox"
for name in sh true; do ln -s busybox "$bench_dir/image/bin/$name"; done
tar -C "$bench_dir/image" -cf "$bench_dir/image.tar" .
chown -R "$uid:$uid" "$bench_dir/home" "$bench_dir/run"
for file in passwd subuid subgid; do cp "/etc/$file" "$bench_dir/$file"; done
echo "bench:x:$uid:$uid::$bench_dir/home:/bin/sh" >>"$bench_dir/passwd"
echo "bench:1900000000:65536" | tee -a "$bench_dir/subuid" >>"$bench_dir/subgid"

as_user() {
  unshare -m sh -c '
    d=$1 uid=$2; shift 2
    for f in passwd subuid subgid; do mount --bind "$d/$f" "/etc/$f"; done
    umount /sys/fs/cgroup/unified 2>/dev/null
    mknod -m 666 "$d/tun.$$" c 10 200 && mount --bind "$d/tun.$$" /dev/net/tun
    cd "$d/home"
    exec setpriv --reuid "$uid" --regid "$uid" --clear-groups env -i HOME="$d/home" XDG_RUNTIME_DIR="$d/run" \
      PATH=/usr/bin:/bin STOCKADE_GATE=off "$@"' sh "$bench_dir" "$uid" "$@"
}
# Median seconds. timed FILE RUNS COMMAND
timed() {
  as_user hyperfine -N --warmup 3 --runs "$2" --export-json "$bench_dir/home/$1.json" "$3" >/dev/null 2>"$bench_dir/err" ||
    { cat "$bench_dir/err" >&2; return 1; }
  sed -n 's/.*"median": \([0-9.e-]*\).*/\1/p' "$bench_dir/home/$1.json" | head -1
}

as_user "$bench_dir/stockade" import "$bench_dir/image.tar" box >/dev/null
none=$(timed none 30 "$bench_dir/stockade run --rm --network none box true")
pasta=$(timed pasta 20 "$bench_dir/stockade run --rm box true")
if command -v podman >/dev/null; then
  podman="podman --cgroup-manager cgroupfs --events-backend file --runtime crun"
  as_user $podman import -q "$bench_dir/image.tar" box >/dev/null
  theirs=$(timed podman 15 "$podman run --rm --cgroups disabled --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 --network none box true")
  report "run --rm true as a user, network none" "$none" podman "$theirs"
else
  say "run --rm true as a user, network none: $none s"
fi
say "run --rm true as a user, pasta: $pasta s (podman 4.3 knows no pasta)"
