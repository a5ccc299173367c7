#!/usr/bin/env bash
# Fails on an include of a room above one's own, and on xtensor in a header that users include.
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

[ $failed -eq 0 ] && [ -n "$public" ] && echo "the rooms include only downwards"
exit $failed
