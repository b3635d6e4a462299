#!/usr/bin/env bash
# Runs the cases of crates/cli/tests/oci_conformance against crun, runc and ours, and writes docs/CONFORMANCE.md.
# Needs root, and crun and runc from the distribution.
set -euo pipefail
cd "$(dirname "$0")/.."
out=docs/CONFORMANCE.md
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT

command -v crun >/dev/null && command -v runc >/dev/null || { echo "error: apt-get install crun runc, then run again" >&2; exit 1; }
cargo build -q -p stockade-cli
test=$(cargo test -q -p stockade-cli --test oci_conformance --no-run --message-format=json |
  sed -n 's/.*"executable":"\([^"]*oci_conformance[^"]*\)".*/\1/p' | tail -1)
binary=$(dirname "$(dirname "$test")")/stockade

# check NAME RUNTIME [WRAPPER…]: a runtime that fails cases is no failure of this script.
check() {
  local name=$1 runtime=$2
  shift 2
  STOCKADE_CONFORMANCE_RUNTIME=$runtime STOCKADE_CONFORMANCE_RESULTS=$results/$name "$@" "$test" -q >/dev/null 2>&1 || true
  [ -s "$results/$name" ] || { echo "error: $name gave no results" >&2; exit 1; }
}
check ours "$binary oci"
check runc "$(command -v runc)"
# crun does not run on hybrid cgroups: it sees version 1 alone.
check crun "$(command -v crun)" unshare -m sh -c 'umount /sys/fs/cgroup/unified 2>/dev/null; "$@"' sh
# What a runtime left behind is not ours to keep.
find /sys/fs/cgroup -depth -type d -path '*stockade-conformance*' -exec rmdir {} \; 2>/dev/null || true

{
  echo "# Conformance to the OCI runtime specification"
  echo
  echo "Made by \`benches/oci-conformance.sh\` on $(date -u +%F), Linux $(uname -r): stockade $("$binary" oci --version | sed -n 's/.*version //p'),"
  echo "$(runc --version | head -1), $(crun --version | head -1). The cases are the project's own, from the"
  echo "specification's sentences (crates/cli/tests/oci_conformance); a few are about runc's command line. Newer versions of the"
  echo "peers may pass more, and crun runs in a private mount namespace here (it cannot use hybrid cgroups), in which shared and"
  echo "slave mounts of the host are not to be seen. \`cargo test -p stockade-cli --test oci_conformance\` runs them against ours: all must pass."
  echo
  echo "| section | cases | stockade | runc | crun |"
  echo "|---|---|---|---|---|"
  awk -F'\t' 'FNR == 1 {f++} {
      section = $3; sub(/#.*/, "", section)
      if (!(section in n)) order[++count] = section
      if (f == 1) {n[section]++; total++}
      pass[section, f] += $1; all[f] += $1
    } END {
      for (i = 1; i <= count; i++) {s = order[i]; print "| " s " | " n[s] " | " pass[s,1] " | " pass[s,2] " | " pass[s,3] " |"}
      print "| **all** | " total " | " all[1] " | " all[2] " | " all[3] " |"
    }' "$results/ours" "$results/runc" "$results/crun"
  echo
  echo "## Cases that not everybody passes"
  echo
  echo "| case | stockade | runc | crun |"
  echo "|---|---|---|---|"
  paste "$results/ours" "$results/runc" "$results/crun" | awk -F'\t' '$1 + $5 + $9 < 3 {
    print "| " $3 ": " $4 " | " ($1 ? "yes" : "**no**") " | " ($5 ? "yes" : "**no**") " | " ($9 ? "yes" : "**no**") " |"}'
} >"$out.new"
mv "$out.new" "$out"
sed -n '/^| section/,/^| \*\*all/p' "$out"
