#!/usr/bin/env bash
# Scanning beside Trivy and Syft: a Debian root, a large root, an archive of it, many findings, the cache, parallel scans.
#   benches/scan.sh STOCKADE TRIVY SYFT DEBIAN-ROOT
# DEBIAN-ROOT: a bookworm root (`benches/scan-roots.sh` makes one). The large root is made from it: 300,000 files, 2 GB.
# Peak memory is the process's VmHWM as GNU time reports it. Peers list packages only where they need a database we lack.
. "$(dirname "$0")/lib.sh"
[ $# -eq 4 ] || { echo "usage: scan.sh STOCKADE TRIVY SYFT DEBIAN-ROOT" >&2; exit 2; }
need python3 jq tar gzip
stockade=$(command -v "$1") trivy=$(command -v "$2") syft=$(command -v "$3") root=$(cd "$4" && pwd)
export STOCKADE_ROOT=$bench_dir/root STOCKADE_RUN=$bench_dir/run TMPDIR=$bench_dir
export SYFT_CHECK_FOR_APP_UPDATE=false
mkdir -p "$STOCKADE_ROOT"

# Fastest seconds and largest memory in MB of N runs: measure N COMMAND…  → $seconds $megabytes
measure() {
  local n=$1 i
  shift
  seconds= megabytes=0
  for ((i = 0; i < n; i++)); do
    python3 - "$bench_dir/measured" "$@" <<'PY'
import resource, subprocess, sys, time
start = time.monotonic()
code = subprocess.run(sys.argv[2:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
used = time.monotonic() - start
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
open(sys.argv[1], "w").write(f"{used:.4f} {peak:.1f} {code}")
PY
    local t m code
    read -r t m code <"$bench_dir/measured"
    [ "$code" = 0 ] || { echo "error: exit $code: $*" >&2; return 1; }
    if [ -z "$seconds" ] || awk "BEGIN{exit !($t < $seconds)}"; then seconds=$t; fi
    if awk "BEGIN{exit !($m > $megabytes)}"; then megabytes=$m; fi
  done
}

row() { # NAME COMMAND…
  local name=$1
  shift
  if measure "${RUNS:-3}" "$@"; then printf '%-44s %8.3f s %8.1f MB\n' "$name" "$seconds" "$megabytes"; fi
}

say "== Debian root: $(du -sm "$root" | cut -f1) MB, $(find "$root" -xdev | wc -l) entries"
row "stockade scan" "$stockade" scan --json "dir:$root"
row "stockade sbom" "$stockade" sbom "dir:$root"
row "trivy rootfs (packages only)" "$trivy" -q rootfs --offline-scan --skip-db-update --skip-java-db-update --format cyclonedx "$root"
row "syft" "$syft" -q scan "dir:$root" -o cyclonedx-json

big=$bench_dir/big
say "== making a large root"
mkdir -p "$big"
cp -a "$root/." "$big/"
python3 - "$big" <<'PY'
import json, os, random, sys
root = sys.argv[1]
random.seed(1)
os.makedirs(f"{root}/srv/data", exist_ok=True)
blob = random.randbytes(64 << 10)
for d in range(600):
    path = f"{root}/srv/data/{d // 25}/{d}"
    os.makedirs(path)
    for f in range(440):
        with open(f"{path}/{f}.dat", "wb") as out:
            out.write(blob[: 1 + (f * 37) % 11000])
app = f"{root}/app"
for n in range(4000):
    path = f"{app}/node_modules/pkg{n}"
    os.makedirs(path)
    json.dump({"name": f"pkg{n}", "version": f"1.{n % 50}.0", "license": "MIT"}, open(f"{path}/package.json", "w"))
    for f in range(5):
        open(f"{path}/{f}.js", "wb").write(blob[:3000])
for n in range(1500):
    path = f"{root}/usr/local/lib/python3.11/site-packages/py{n}-1.0.dist-info"
    os.makedirs(path)
    open(f"{path}/METADATA", "w").write(f"Metadata-Version: 2.1\nName: py{n}\nVersion: 1.{n}\n")
os.makedirs(f"{app}/rust"); os.makedirs(f"{app}/go"); os.makedirs(f"{app}/ruby")
with open(f"{app}/rust/Cargo.lock", "w") as out:
    for n in range(800):
        out.write(f'[[package]]\nname = "crate{n}"\nversion = "0.{n}.1"\nsource = "registry+https://github.com/rust-lang/crates.io-index"\n\n')
with open(f"{app}/go/go.mod", "w") as out:
    out.write("module x\n\ngo 1.22\n\nrequire (\n" + "".join(f"\texample.org/m{n} v1.{n}.0\n" for n in range(400)) + ")\n")
with open(f"{app}/ruby/Gemfile.lock", "w") as out:
    out.write("GEM\n  remote: https://rubygems.org/\n  specs:\n" + "".join(f"    gem{n} (1.{n})\n" for n in range(400)))
PY
say "== large root: $(du -sm "$big" | cut -f1) MB, $(find "$big" | wc -l) entries"
row "stockade scan" "$stockade" scan --json "dir:$big"
row "trivy rootfs (packages only)" "$trivy" -q rootfs --offline-scan --skip-db-update --skip-java-db-update --format cyclonedx "$big"
RUNS=1 row "syft" "$syft" -q scan "dir:$big" -o cyclonedx-json

say "== docker archive of it, one gzip layer"
tar -C "$big" -cf "$bench_dir/layer.tar" .
diff_id=$(sha256sum "$bench_dir/layer.tar" | cut -d' ' -f1)
gzip -1 -c "$bench_dir/layer.tar" >"$bench_dir/layer.tar.gz"
mkdir "$bench_dir/archive"
mv "$bench_dir/layer.tar.gz" "$bench_dir/archive/layer.tar.gz"
printf '{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' "$diff_id" >"$bench_dir/archive/config.json"
printf '[{"Config":"config.json","RepoTags":["big:1"],"Layers":["layer.tar.gz"]}]' >"$bench_dir/archive/manifest.json"
tar -C "$bench_dir/archive" -cf "$bench_dir/archive.tar" config.json layer.tar.gz manifest.json
if [ -x "${DECOMPRESS:-}" ]; then row "raw decompression, same crate" "$DECOMPRESS" "$bench_dir/archive/layer.tar.gz"; fi
row "gzip -dc" gzip -dc "$bench_dir/archive/layer.tar.gz"
scan_archive() { rm -rf "$STOCKADE_ROOT/cache"; }
for i in 1 2 3; do
  scan_archive
  RUNS=1 row "stockade scan docker-archive (nothing cached)" "$stockade" scan --json "docker-archive:$bench_dir/archive.tar"
done
RUNS=1 row "trivy image --input" "$trivy" -q image --input "$bench_dir/archive.tar" --offline-scan --skip-db-update --skip-java-db-update --format cyclonedx
"$stockade" load -q -i "$bench_dir/archive.tar" >/dev/null
"$stockade" scan --json big:1 >/dev/null 2>&1
RUNS=10 row "stockade scan, stored image, cached" "$stockade" scan --json -o /dev/null big:1
rm -rf "$bench_dir/archive" "$bench_dir/layer.tar"

say "== 200,000 findings as JSON"
python3 - "$bench_dir" <<'PY'
import json, os, sys
base = sys.argv[1]
os.makedirs(f"{base}/facts")
with open(f"{base}/lock.json", "w") as out:
    json.dump({"name": "x", "lockfileVersion": 3, "packages": {f"node_modules/p{n}": {"version": "1.0.0"} for n in range(2000)}}, out)
os.makedirs(f"{base}/many")
os.rename(f"{base}/lock.json", f"{base}/many/package-lock.json")
for a in range(100):
    for part in range(1):
        record = {"id": f"GHSA-{a:04d}-0000-0000", "modified": "2026-01-01T00:00:00Z", "aliases": [f"CVE-2026-{10000 + a}"],
            "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
            "affected": [{"package": {"ecosystem": "npm", "name": f"p{n}"}, "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "2.0.0"}]}]} for n in range(2000)]}
        json.dump(record, open(f"{base}/facts/{a}.json", "w"))
PY
"$stockade" db build --from "$bench_dir/facts" -o "$bench_dir/facts.db" >/dev/null
row "stockade scan fs: $("$stockade" scan --db "$bench_dir/facts.db" --json "fs:$bench_dir/many" 2>/dev/null | jq '.findings | length') findings" \
  "$stockade" scan --db "$bench_dir/facts.db" --json -o "$bench_dir/out.json" "fs:$bench_dir/many"

say "== four scans at once of one stored image, nothing cached"
rm -rf "$STOCKADE_ROOT/cache"
RUNS=1 row "one" "$stockade" scan --json big:1
rm -rf "$STOCKADE_ROOT/cache"
RUNS=1 row "four" sh -c "for i in 1 2 3 4; do '$stockade' scan --json big:1 & done; wait"
RUNS=3 row "four, cached" sh -c "for i in 1 2 3 4; do '$stockade' scan --json -o /dev/null big:1 & done; wait"
