#!/usr/bin/env bash
# Fails on an include of a room above one's own, on xtensor in a header that users include or where work is
# hot, and on functors that only a CPU could run.
#   layering_test.sh SOURCE_FOLDER
set -u
cd "$1" || exit 2
rooms=(tensor ops layers train)
failed=0

report() {
  [ -z "$2" ] && return
  printf '%s\n%s\n' "$1" "$2"
  failed=1
}

for i in "${!rooms[@]}"; do
  above=$(IFS='|'; echo "${rooms[*]:i+1}")
  [ -n "$above" ] && report "src/${rooms[i]} includes a room above it:" \
    "$(grep -rnE "#include *[<\"](\.\./)*(maskgrad/)?($above)/" "src/${rooms[i]}")"
done
# Within train: formats know tensors only, and data knows no model.
report "src/train/formats includes more than tensors:" \
  "$(grep -rnE '#include *<maskgrad/' src/train/formats | grep -vE '<maskgrad/(tensor|train/formats)/')"
report "src/train/data includes more than formats and tensors:" \
  "$(grep -rnE '#include *<maskgrad/' src/train/data | grep -vE '<maskgrad/(tensor|train/formats|train/data)/')"
report "src includes apps:" "$(grep -rnE '#include *[<"](\.\./)*(apps|recipes)/' src)"

# Headers that say "Internal to" are for their own room.
public=$(grep -LE '^// .*Internal to' -r src --include='*.hpp')
report "a public header includes xtensor:" "$(grep -nE '#include *<x(tensor|simd)' $public)"

report "xtensor outside of its way to OpenBLAS:" \
  "$(grep -rnE '#include *<xtensor' src --include='*.hpp' --include='*.cpp' | grep -v '^src/ops/cpu/gemm/gemm_blas.cpp:')"
# A GPU runs the same rules: they know no vectors, and nothing of the CPU but where a vector has the same words.
# How it runs them is told by the files cuda_*.hpp beside them.
report "a functor knows the CPU:" \
  "$(grep -nE 'xsimd|_mm[0-9]*_|#include *<maskgrad/(ops/cpu|tensor)/' src/ops/functors/* |
    grep -vE 'element.hpp:[0-9]+:(#include <maskgrad/ops/cpu/vector/vector_words.hpp>|//.*)$' |
    grep -vE '/cuda_[a-z]+.hpp:[0-9]+:#include <maskgrad/tensor/cuda/')"

[ $failed -eq 0 ] && [ -n "$public" ] && echo "the rooms include only downwards"
exit $failed
