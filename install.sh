#!/usr/bin/env bash
# Installs what the build needs, builds, puts `stockade` on the PATH and runs the example.
#   ./install.sh               everything
#   ./install.sh --no-example  stop before the example
# PREFIX (default /usr/local) chooses where the binary goes; PORT (default 80) the example's port.
set -euo pipefail
cd "$(dirname "$0")"
. scripts/setup.sh

need_root "the binary goes to a system directory and the example makes namespaces and a bridge"
install_packages build-essential pkg-config curl ca-certificates debian-archive-keyring
need_cargo

cargo build --release --locked -p stockade-cli
prefix=${PREFIX:-/usr/local}
target=$(cargo metadata --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
install -D -m 0755 "$target/release/stockade" "$prefix/bin/stockade"
# The OCI runtime alone: for podman and others that give it no verb before theirs, and for `stockade oci` itself.
rm -f "$prefix/bin/stockade-oci"
install -m 0755 "$target/release/stockade-oci" "$prefix/bin/stockade-oci"
echo "installed $prefix/bin/stockade"
[ "${1:-}" = "--no-example" ] && exit 0

stockade=$prefix/bin/stockade
port=${PORT:-80}
name=stockade-example
"$stockade" rm -f "$name" >/dev/null 2>&1 || true
"$stockade" build -t my-web-server examples/web-server
"$stockade" scan my-web-server
"$stockade" run -d --name "$name" -p "$port:80" my-web-server
for _ in $(seq 50); do
  if curl -fsS -o /dev/null "http://localhost:$port/" 2>/dev/null; then
    echo "http://localhost:$port/ answers: $(curl -fsS "http://localhost:$port/" | grep -m1 -o '<title>.*</title>')"
    echo "stop it with: stockade rm -f $name"
    exit 0
  fi
  sleep 0.1
done
echo "http://localhost:$port/ does not answer; the container's log:" >&2
"$stockade" logs "$name" >&2 || true
exit 1
