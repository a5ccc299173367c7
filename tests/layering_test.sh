#!/usr/bin/env bash
# Fails on an include of a room above one's own, on a header for users that includes an internal one, on xtensor
# in such a header or where work is hot, and on functors that only a CPU could run.
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

report "src includes the header for programs:" "$(grep -rnE '#include *[<\"]maskgrad/maskgrad.hpp' src)"
# CMake lists the headers of operations and layers by itself; docs/headers.md lists those that keep their names.
by_cmake='<maskgrad/((ops/(mask|math|nn|shape)|layers)/.*|ops.hpp|layers.hpp)>'
# Those for `.cu` files are in the list alone.
in_docs=$(sed '/^## For own kernels/,/^## /d' docs/headers.md | grep -ohE '`<maskgrad/[^>]*>' | tr -d '`')
report "src/maskgrad.hpp and docs/headers.md differ:" \
  "$(diff <(grep -ohE '<maskgrad/[^>]*>' src/maskgrad.hpp | grep -vE "$by_cmake") \
          <(grep -vE "<maskgrad/(maskgrad|tensor/xtensor).hpp>|$by_cmake" <<< "$in_docs" | LC_ALL=C sort))"
public_in_families=$(grep -rLE '^// .*Internal to' src/ops/{math,shape,mask,nn} src/layers --include='*.hpp' |
  sed 's|^src|<maskgrad|; s|$|>|')
report "docs/headers.md names a header that is not there, or internal:" \
  "$(LC_ALL=C comm -13 <(LC_ALL=C sort <<< "$public_in_families") \
              <(grep -E "$by_cmake" <<< "$in_docs" | grep -vE '<maskgrad/(ops|layers).hpp>' | LC_ALL=C sort))"

# Headers that say "Internal to" are for their own room. One is for users of xtensor, and for nobody else.
for_xtensor=src/tensor/xtensor.hpp
public=$(grep -LE '^// .*Internal to' -r src --include='*.hpp' | grep -vx "$for_xtensor")
internal=$(grep -rlE '^// .*Internal to' src --include='*.hpp')
# One includes another for the C++ compiler alone: it is installed for nvcc.
report "a public header includes one that is internal, and not installed:" \
  "$(grep -nFf <(sed 's|^src|#include <maskgrad|; s|$|>|' <<< "$internal") $public $for_xtensor |
    grep -vE '^src/ops/functors/element.hpp:[0-9]+:#include <maskgrad/ops/cpu/vector/vector_words.hpp>$')"
report "a public header knows xtensor or xsimd:" "$(grep -nE '#include *<x(tensor|simd)|\bx(t|simd)::' $public)"
report "$for_xtensor is included:" "$(grep -rnE '#include *<maskgrad/tensor/xtensor.hpp>' src apps)"
report "$for_xtensor is not there:" "$([ -f $for_xtensor ] || echo "$for_xtensor")"

report "xtensor outside of its way to OpenBLAS:" \
  "$(grep -rnE '#include *<xtensor' src --include='*.hpp' --include='*.cpp' |
    grep -vE "^(src/ops/cpu/gemm/gemm_blas.cpp|$for_xtensor):")"
# A GPU runs the same rules: they know no vectors, and nothing of the CPU but where a vector has the same words.
# How it runs them is told by the files cuda_*.hpp beside them.
report "a functor knows the CPU:" \
  "$(grep -nE 'xsimd|_mm[0-9]*_|#include *<maskgrad/(ops/cpu|tensor)/' src/ops/functors/* |
    grep -vE 'element.hpp:[0-9]+:(#include <maskgrad/ops/cpu/vector/vector_words.hpp>|//.*)$' |
    grep -vE '/cuda_[a-z]+.hpp:[0-9]+:#include <maskgrad/tensor/cuda/')"
report "a functor that a device cannot call; write MASKGRAD_RULE:" \
  "$(grep -n 'gnu::always_inline' src/ops/functors/* | grep -vE '/rule.hpp:')"

[ $failed -eq 0 ] && [ -n "$public" ] && echo "the rooms include only downwards"
exit $failed
