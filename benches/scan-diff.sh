#!/usr/bin/env bash
# Compares the packages that stockade and Trivy list in the roots of scan-roots.sh.
#   benches/scan-diff.sh STOCKADE TRIVY DIRECTORY
# For each root: how many both list, and what only one of them lists (DIRECTORY/diff/NAME.ours, .theirs).
# Trivy's vulnerability database is not needed: both write a CycloneDX list.
set -euo pipefail
[ $# -eq 3 ] || { echo "usage: scan-diff.sh STOCKADE TRIVY DIRECTORY" >&2; exit 2; }
stockade=$(command -v "$1") trivy=$(command -v "$2") dir=$(cd "$3" && pwd)
out=$dir/diff
mkdir -p "$out"
export STOCKADE_ROOT=$out/root STOCKADE_RUN=$out/run

# The purls of a CycloneDX document, without qualifiers, decoded. Trivy has epochs in a qualifier (`epoch=1`), we have
# them in the version, as the purl specification's examples do: they are left out.
packages() {
  jq -r '.components[]? | select(.purl) | .purl' "$1" |
    sed -e 's/[?#].*//' -e 's/^pkg://' | while IFS= read -r purl; do printf '%b\n' "${purl//%/\\x}"; done |
    sed -e 's/^pypi\/\(.*\)$/pypi\/\L\1/' | sed -e '/^pypi\//s/[_.]\([^@]*@\)/-\1/g' -e 's/@v\([0-9]\)/@\1/' \
      -e '/^deb\//s/@[0-9]*:/@/' -e '/^rpm\//s/@[0-9]*:/@/' | sort -u
}

printf '%-18s %8s %8s %8s %8s\n' root both ours theirs total
for root in "$dir"/*/; do
  name=$(basename "$root")
  case $name in diff | *.new) continue ;; esac
  case $name in
    *-lock | *-locks) ours=fs theirs=fs ;;
    *) ours=dir theirs=rootfs ;;
  esac
  "$stockade" sbom -f cyclonedx -o "$out/$name.ours.json" "$ours:$root" 2>"$out/$name.ours.log" || true
  "$trivy" -q "$theirs" --offline-scan --skip-java-db-update --skip-db-update --format cyclonedx \
    -o "$out/$name.theirs.json" "$root" 2>"$out/$name.theirs.log" || true
  packages "$out/$name.ours.json" >"$out/$name.ours.all" 2>/dev/null || : >"$out/$name.ours.all"
  packages "$out/$name.theirs.json" >"$out/$name.theirs.all" 2>/dev/null || : >"$out/$name.theirs.all"
  comm -23 "$out/$name.ours.all" "$out/$name.theirs.all" >"$out/$name.ours"
  comm -13 "$out/$name.ours.all" "$out/$name.theirs.all" >"$out/$name.theirs"
  both=$(comm -12 "$out/$name.ours.all" "$out/$name.theirs.all" | wc -l)
  only=$(wc -l <"$out/$name.ours") other=$(wc -l <"$out/$name.theirs")
  printf '%-18s %8d %8d %8d %8d\n' "$name" "$both" "$only" "$other" $((both + only + other))
done
