#!/usr/bin/env bash
# Runs a program from the documentation; what it prints must be what the page says, if it says.
#   snippet_test.sh PROGRAM EXPECTED
set -euo pipefail
printed=$("$1" | sed 's/ *$//')
[ ! -s "$2" ] || diff <(sed 's/ *$//' "$2") <(printf '%s\n' "$printed")
