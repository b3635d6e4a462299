#!/usr/bin/env bash
# Installs what the tests need and runs them all. Needs root and a Debian or Ubuntu host.
set -euo pipefail
cd "$(dirname "$0")"
. scripts/setup.sh

need_root "the tests make namespaces, mounts and network links"
install_packages build-essential pkg-config git openssh-client busybox-static iproute2 nftables curl strace util-linux mount procps tar skopeo e2fsprogs \
  debian-archive-keyring docker-registry docker.io containerd uidmap passt podman conmon shellcheck
need_cargo

# Documentation examples first: the last lines should be the summary of everything else.
cargo test --workspace --doc --locked -q
if cargo nextest --version >/dev/null 2>&1; then
  cargo nextest run --workspace --locked --no-fail-fast "$@"
else
  cargo test --workspace --locked --no-fail-fast "$@"
fi
