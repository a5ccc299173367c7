#!/usr/bin/env bash
# Fails unless PROGRAM computes with the most that the dynamic linker says this processor has.
#   right_level.sh PROGRAM
set -euo pipefail
# Read whole: a reader that leaves at its first match breaks the linker's pipe.
levels=$(/lib64/ld-linux-x86-64.so.2 --help)
has() { [[ $levels == *"x86-64-$1 (supported"* ]]; }
expected=SSE2
! has v3 || expected="AVX2 with FMA"
! has v4 || expected=AVX-512
found=$("$1" --version)
[[ $found == *", computes with $expected" ]] || { echo "expected $expected: $found" >&2; exit 1; }
echo "$found"
