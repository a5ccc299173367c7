#!/usr/bin/env bash
# Every script prints its usage for --help, and refuses an option that it does not know in one line,
# before it does anything.
#   scripts_test.sh SOURCE
set -uo pipefail
cd "$1" || exit 1
scratch=$(mktemp -d) && trap 'rm -r "$scratch"' EXIT
failed=0
broken() { echo "$1"; failed=1; }

for script in scripts/* benchmarks/compare; do
  [ -f "$script" ] || continue
  for help in --help -h; do
    # From another folder, as a script finds its own.
    (cd "$scratch" && "$OLDPWD/$script" "$help") >"$scratch/out" 2>"$scratch/err" ||
      broken "$script $help fails: $(cat "$scratch/err")"
    grep -q "$script" "$scratch/out" || broken "$script $help does not show how it is called"
    [ ! -s "$scratch/err" ] || broken "$script $help writes to standard error"
  done
  "$script" --no-such-option >"$scratch/out" 2>"$scratch/err"
  [ $? -eq 2 ] || broken "$script takes --no-such-option, or does not end with 2"
  [ ! -s "$scratch/out" ] || broken "$script --no-such-option writes results"
  [ "$(wc -l <"$scratch/err")" -eq 1 ] || broken "$script --no-such-option does not write one line"
  grep -q -e --help "$scratch/err" || broken "$script --no-such-option does not name --help"
done
exit $failed
