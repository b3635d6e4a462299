#!/usr/bin/env bash
# The whole road beside docker (classic builder), on the same machine with the same base image and mirror:
# build without cache, rebuild from cache, run --rm true without network and with a bridge.
#   benches/road.sh [path of the stockade binary]
# Needs root, docker.io, hyperfine and a Debian mirror. Takes about three minutes.
. "$(dirname "$0")/lib.sh"
need hyperfine
stockade=${1:-stockade}
example=$(cd "$(dirname "$0")/../examples/web-server" && pwd)
export STOCKADE_ROOT=$bench_dir/stockade/root STOCKADE_RUN=$bench_dir/stockade/run DOCKER_BUILDKIT=0 STOCKADE_GATE=off
mkdir -p "$bench_dir/context" "$bench_dir/base"
sed 's/^FROM ubuntu$/FROM debian:bookworm/' "$example/Dockerfile" >"$bench_dir/context/Dockerfile"

# Both start from the same base image, already there.
printf 'FROM debian:bookworm\nCMD ["true"]\n' >"$bench_dir/base/Dockerfile"
say "making the base image"
"$stockade" build -q -t bench-true "$bench_dir/base" >/dev/null
"$stockade" save debian:bookworm >"$bench_dir/base.tar"
start_docker
docker_ load -q -i "$bench_dir/base.tar" >/dev/null
docker_ build -q -t bench-true "$bench_dir/base" >/dev/null 2>&1

build_ours=$(best_of 3 "$stockade" build --no-cache -t web "$bench_dir/context")
build_docker=$(best_of 3 docker_ build --no-cache -t web "$bench_dir/context")
report "build, no cache" "$build_ours" docker "$build_docker" 1.0
cached_ours=$(best_of 5 "$stockade" build -t web "$bench_dir/context")
cached_docker=$(best_of 5 docker_ build -t web "$bench_dir/context")
report "build, all cached (absolute target 0.15 s)" "$cached_ours" docker "$cached_docker"

d="docker -H unix://$bench_dir/docker/sock"
none_ours=$(median_of 40 "$stockade run --rm --network none bench-true true")
none_docker=$(median_of 20 "$d run --rm --network none bench-true true")
report "run --rm true, network none" "$none_ours" docker "$none_docker" 0.25
bridge_ours=$(median_of 40 "$stockade run --rm bench-true true")
bridge_docker=$(median_of 20 "$d run --rm bench-true true")
report "run --rm true, bridge" "$bridge_ours" docker "$bridge_docker" 0.25
