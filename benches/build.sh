#!/usr/bin/env bash
# Builds beside docker (classic builder and BuildKit), same machine, same base image, same mirror, same files.
#   benches/build.sh [path of the stockade binary] [case…]
# Cases: web offline cached context copy stages memory; all without a word. Needs root, docker.io, a Debian mirror, 6 GB of disk.
. "$(dirname "$0")/lib.sh"

stockade=${1:-stockade}
shift || true
own_filesystem 24
cases=" ${*:-web offline cached context copy stages memory} "
wanted() { [[ $cases == *" $1 "* ]]; }
example=$(cd "$(dirname "$0")/../examples/web-server" && pwd)
export STOCKADE_ROOT=$bench_dir/stockade/root STOCKADE_RUN=$bench_dir/stockade/run STOCKADE_GATE=off
mkdir -p "$bench_dir/web"
sed 's/^FROM ubuntu$/FROM debian:bookworm/' "$example/Dockerfile" >"$bench_dir/web/Dockerfile"

# The package's own client: another one in the PATH may want a plugin for BuildKit.
docker=docker
[ ! -x /usr/bin/docker ] || docker=/usr/bin/docker
docker_() { "$docker" -H "unix://$bench_dir/docker/sock" "$@"; }
quietly() { "$@" >"$bench_dir/out" 2>&1 || { tail -20 "$bench_dir/out" >&2; echo "error: failed: $*" >&2; return 1; }; }
# The host's network for all: the bridge is not what is measured, and other daemons of this machine may share it.
sk_build() { "$stockade" build --progress plain --network host "$@"; }
classic() { DOCKER_BUILDKIT=0 docker_ build --network host "$@"; }
buildkit() { DOCKER_BUILDKIT=1 docker_ build --progress plain --network host "$@"; }

say "making the base image"
printf 'FROM debian:bookworm\n' >"$bench_dir/Dockerfile"
"$stockade" build -q -f "$bench_dir/Dockerfile" -t base - <"$bench_dir/Dockerfile" >/dev/null
"$stockade" save debian:bookworm >"$bench_dir/base.tar"
start_docker
docker_ load -q -i "$bench_dir/base.tar" >/dev/null

if wanted web; then
  ours=$(best_of 3 sk_build --no-cache -t web "$bench_dir/web")
  report "web-server example, no cache" "$ours" classic "$(best_of 3 classic --no-cache -t web "$bench_dir/web")" 0.8
  report "web-server example, no cache" "$ours" buildkit "$(best_of 3 buildkit --no-cache -t web "$bench_dir/web")" 0.8
fi
if wanted offline; then
  # The same packages, downloaded before: what is left is dpkg, its scripts, and what the builders do around them.
  mkdir -p "$bench_dir/offline"
  printf 'FROM debian:bookworm\nRUN apt-get update && mkdir -p /debs/partial && %s\n' \
    'apt-get install -y -d -o Dir::Cache::archives=/debs apache2' >"$bench_dir/offline/pre"
  printf 'FROM pre\nRUN apt-get install -y -o Dir::Cache::archives=/debs apache2\n' \
    >"$bench_dir/offline/Dockerfile"
  for b in sk_build classic; do quietly $b -t pre -f "$bench_dir/offline/pre" "$bench_dir/offline"; done
  ours=$(best_of 3 sk_build --no-cache -t offline "$bench_dir/offline")
  report "the same packages, no download" "$ours" classic "$(best_of 3 classic --no-cache -t offline "$bench_dir/offline")" 0.5
  report "the same packages, no download" "$ours" buildkit "$(best_of 3 buildkit --no-cache -t offline "$bench_dir/offline")" 0.5
fi
if wanted cached; then
  for b in sk_build classic buildkit; do quietly $b -t web "$bench_dir/web"; done
  ours=$(best_of 7 sk_build -t web "$bench_dir/web")
  report "all cached (absolute target 0.10 s)" "$ours" classic "$(best_of 5 classic -t web "$bench_dir/web")"
  report "all cached (absolute target 0.10 s)" "$ours" buildkit "$(best_of 5 buildkit -t web "$bench_dir/web")"
fi
if wanted context; then
  many=$bench_dir/many
  mkdir -p "$many"
  for ((d = 0; d < 100; d++)); do
    mkdir "$many/$d"
    for ((f = 0; f < 500; f++)); do printf '%s' "$d $f" >"$many/$d/$f"; done
  done
  printf 'FROM scratch\nCOPY . /\n' >"$many/Dockerfile"
  sleep 1 # files must be a moment old before their digests are remembered
  # The classic builder sends the whole context each time and unpacks it file by file: minutes, so it is left out.
  for b in sk_build buildkit; do quietly $b -t many "$many"; done
  ours=$(best_of 5 sk_build -t many "$many")
  report "50,000 files, unchanged (target 0.25 s)" "$ours" buildkit "$(best_of 3 buildkit -t many "$many")"
fi
if wanted copy; then
  mkdir -p "$bench_dir/big"
  dd if=/dev/urandom of="$bench_dir/big/file" bs=1M count=1024 status=none
  printf 'FROM scratch\nCOPY file /\n' >"$bench_dir/big/Dockerfile"
  cp_once() { rm -f "$bench_dir/copy"; cp --reflink=never "$bench_dir/big/file" "$bench_dir/copy" && sync -d "$bench_dir/copy"; }
  plain=$(best_of 3 cp_once)
  rm -f "$bench_dir/copy"
  ours=$(best_of 3 sk_build --no-cache -t big "$bench_dir/big")
  report "COPY of 1 GiB" "$ours" "cp+sync" "$plain" 1.3
  report "COPY of 1 GiB" "$ours" buildkit "$(best_of 2 buildkit --no-cache -t big "$bench_dir/big")"
fi
if wanted stages; then
  mkdir -p "$bench_dir/stages"
  work='i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done'
  for n in 1 10; do
    { for ((s = 0; s < n; s++)); do printf 'FROM debian:bookworm AS s%s\nRUN %s; echo %s > /out\n' "$s" "$work" "$s"; done
      printf 'FROM scratch\n'
      for ((s = 0; s < n; s++)); do printf 'COPY --from=s%s /out /%s\n' "$s" "$s"; done; } >"$bench_dir/stages/$n"
  done
  one=$(best_of 3 sk_build --no-cache --sbom=false -f "$bench_dir/stages/1" "$bench_dir/stages")
  ten=$(best_of 3 sk_build --no-cache --sbom=false -f "$bench_dir/stages/10" "$bench_dir/stages")
  report "ten independent stages" "$ten" "ten × one" "$(awk "BEGIN{print 10 * $one}")" "$(awk "BEGIN{print 1.15 / $(nproc)}")"
  report "ten independent stages" "$ten" buildkit "$(best_of 2 buildkit --no-cache -f "$bench_dir/stages/10" "$bench_dir/stages")"
fi
if wanted memory; then
  need /usr/bin/time
  for what in web many big; do
    [ -d "$bench_dir/$what" ] || continue
    /usr/bin/time -f '%M' -o "$bench_dir/kib" "$stockade" build --no-cache -q -t "$what" "$bench_dir/$what" >/dev/null
    say "peak memory of a build, $what: $(awk '{printf "%.1f", $1 / 1024}' "$bench_dir/kib") MB (target 60 MB)"
  done
fi
