#!/usr/bin/env bash
# Adding an operation, a rule for masks, a layer or a recipe edits no list: the templates beside this script are added
# to a copy of the source tree, which must build them and find them by itself.
#   run.sh BUILD.SH
# BUILD.SH says how the main build was made, and where it is; see CMakeLists.txt. Only the new files are compiled, as
# the copy would compile them, and linked to what the main build has. MASKGRAD_ADDING=all builds the whole copy.
set -euo pipefail
# shellcheck source=/dev/null
source "$1"
here=$source/tests/adding
tree=$work/source build=$work/build

refuse() { printf '%s\n' "$*" >&2; exit 1; }

# The templates under other names, which nothing in the tree can know.
as_added() { sed -E 's/(cube|softsign|checkers|stretch|pooled)/added_\1/g; s/(Cube|Softsign|Checkers|Stretch|Pooled)/Added\1/g'; }

# add TEMPLATE PLACE
add() {
  local place=$tree/$2
  [ ! -e "$place" ] || refuse "$2 is there already"
  mkdir -p "$(dirname "$place")"
  as_added < "$here/$1" > "$place"
  touch -r "$here/$1" "$place"
}

copy_tree_and_add() {
  rm -rf "$tree"
  mkdir -p "$tree"
  local part
  for part in CMakeLists.txt README.md CONTRIBUTING.md LICENSE apps cmake docs src tests; do
    cp -a "$source/$part" "$tree"
  done
  # An operation: header, source, test, and optionally a kernel. A layer: header and test. A recipe: a folder.
  add op/cube.hpp src/ops/math/added_cube.hpp
  add op/cube.cpp src/ops/math/added_cube.cpp
  add op/cube_test.cpp tests/ops/math/added_cube_test.cpp
  add op/cube.cu src/ops/math/added_cube.cu
  # A program's own, no part of the library: an operation and a rule of row and column, each with a kernel.
  add element/softsign.hpp tests/cuda/added_softsign.hpp
  add element/softsign.cpp tests/cuda/added_softsign.cpp
  add element/softsign.cu tests/cuda/added_softsign.cu
  add mask/checkers.hpp tests/cuda/added_checkers.hpp
  add mask/checkers.cu tests/cuda/added_checkers.cu
  add mask/checkers_test.cpp tests/cuda/added_checkers_test.cpp
  add layer/stretch.hpp src/layers/added_stretch.hpp
  add layer/stretch_test.cpp tests/layers/added_stretch_test.cpp
  add recipe/pooled.cpp apps/recipes/added_pooled/added_pooled.cpp
}

check_that_nothing_else_differs() {
  local part differences
  differences=$(for part in apps cmake docs src tests; do
    diff -rq --no-dereference "$source/$part" "$tree/$part" || true
  done | grep -vE '^Only in .*: added_' || true)
  [ -z "$differences" ] || refuse "more was changed than added: $differences"
}

# command_of FILE: "FOLDER<tab>COMMAND", as the copy compiles a file.
command_of() {
  awk -v file="\"$1\"" '
    /^ *"directory": / { directory = $0 }
    /^ *"command": / { command = $0 }
    /^ *"file": / && index($0, file) {
      for (i = 0; i < 2; ++i) {
        text = i ? command : directory
        sub(/^ *"[a-z]+": "/, "", text); sub(/",? *$/, "", text)
        gsub(/\\"/, "\"", text); gsub(/\\\\/, "\\", text)
        printf "%s%s", text, i ? "\n" : "\t"
      }
      exit
    }' "$build/compile_commands.json"
}

# check_target FILE TARGET: the copy compiles FILE for TARGET. Sets `folder`, `command` and `object`.
check_target() {
  IFS=$'\t' read -r folder command < <(command_of "$1") || refuse "the copy does not compile $1"
  object=$(sed -E 's/.* -o ([^ ]+) .*/\1/' <<< "$command")
  [[ $object == *"/$2.dir/"* ]] || refuse "$1 is part of $object, not of $2"
  object=$folder/$object
}

# compile FILE TARGET, as above.
compile() {
  check_target "$@"
  mkdir -p "$(dirname "$object")"
  (cd "$folder" && bash -c "$command")
}

# program NAME OBJECT...: links objects and all rooms of the main build.
program() {
  local name=$1
  shift
  "$compiler" "${link_flags[@]}" -o "$work/$name" "$@" "${libraries[@]}"
}

# those PATTERN OBJECT...: the objects whose names match.
those() {
  local pattern=$1
  shift
  printf '%s\n' "$@" | grep -E "$pattern"
}

# passes PROGRAM FILTER LEAST: runs tests, of which there must be some.
passes() {
  local output
  output=$(RC_PARAMS=seed=1 "$1" --gtest_filter="$2" 2>&1) || refuse "$output"
  local count
  count=$(sed -nE 's/^\[  PASSED  \] ([0-9]+) tests?\..*/\1/p' <<< "$output")
  [ "${count:-0}" -ge "$3" ] || refuse "$1 ran ${count:-0} tests of $2, not $3 or more: $output"
  echo "$(basename "$1"): $count tests of $2"
}

# runs WHAT COMMAND...: runs a command, which must succeed.
runs() {
  local what=$1
  shift
  "$@" > "$work/output.txt" 2>&1 || refuse "$what: $(<"$work/output.txt")"
}

# trains PROGRAM: the new recipe has its help, trains, resumes and answers, and the program knows the operation.
trains() {
  local train=("$1" train added_pooled --out "$work/run" --progress off)
  rm -rf "$work/run"
  runs "help of the recipe" "$1" train added_pooled --help
  grep -q -- '--features' "$work/output.txt" || refuse "the help of the recipe lacks its setting"
  runs "training" "${train[@]}" --steps 3
  runs "resuming" "${train[@]}" --steps 5 --resume
  runs "predicting" "$1" predict "$work/run" x=1,y=2:x+y
  runs "describing the operation" "$1" ops added_cube
  echo "$(basename "$1"): trains the recipe"
}

check_targets() {
  check_target "$tree/src/ops/math/added_cube.cpp" maskgrad_ops
  check_target "$tree/tests/ops/math/added_cube_test.cpp" ops_tests
  check_target "$tree/tests/layers/added_stretch_test.cpp" layers_tests
  check_target "$tree/apps/recipes/added_pooled/added_pooled.cpp" maskgrad_recipes
  local header
  for header in ops/math/added_cube.hpp layers/added_stretch.hpp; do
    grep -q "$header\"" "$build/cmake_install.cmake" || refuse "$header is not installed"
    grep -q "<maskgrad/$header>" "$build/include/${header%%/*}/maskgrad/${header%%/*}.hpp" ||
      refuse "maskgrad.hpp leaves out $header"
  done
  runs "the rules of the rooms" "$tree/tests/layering_test.sh" "$tree"
}

added_for_cuda='*/added_cube:*/added_softsign:AddedCheckers.*'

check_new_files() {
  local objects
  compile "$tree/src/ops/math/added_cube.cpp" maskgrad_ops
  local cube=$object
  compile "$tree/tests/ops/math/added_cube_test.cpp" ops_tests
  mapfile -t objects < <(those '/(registry|registry_mask|undefined)_test\.cpp\.o' "${ops_objects[@]}")
  program ops_tests "$cube" "$object" "${objects[@]}" "${test_libraries[@]}"
  passes "$work/ops_tests" '*added_cube*:AddedCube.*' 12

  compile "$tree/tests/layers/added_stretch_test.cpp" layers_tests
  mapfile -t objects < <(those '/mask_promises_test\.cpp\.o' "${layers_objects[@]}")
  program layers_tests "$object" "${objects[@]}" "${test_libraries[@]}"
  passes "$work/layers_tests" '*AddedStretch*' 3

  compile "$tree/apps/recipes/added_pooled/added_pooled.cpp" maskgrad_recipes
  program maskgrad "$object" "$cube" "${program_objects[@]}"
  trains "$work/maskgrad"

  [ ${#cuda_objects[@]} -gt 0 ] || return 0
  compile "$build/tests/emulation/src/ops/math/added_cube.cu.cpp" maskgrad_ops_emulated_plain
  objects=("$cube" "$object")
  local kernel source
  for kernel in softsign checkers; do
    compile "$build/tests/emulation/tests/cuda/added_$kernel.cu.cpp" cuda_test_kernels_plain
    objects+=("$object")
  done
  for source in softsign checkers_test; do
    compile "$tree/tests/cuda/added_$source.cpp" cuda_test_objects
    objects+=("$object")
  done
  program cuda_tests "${objects[@]}" "${cuda_objects[@]}" "${test_libraries[@]}"
  passes "$work/cuda_tests" "$added_for_cuda" 5
}

check_whole_build() {
  local target
  for target in ops_tests layers_tests maskgrad_cli "${cuda_targets[@]}"; do
    runs "building $target" cmake --build "$build" --parallel "$(nproc)" --target "$target"
  done
  passes "$build/tests/ops_tests" '*added_cube*:AddedCube.*' 12
  passes "$build/tests/layers_tests" '*AddedStretch*:RegisteredLayers.*' 4
  trains "$build/maskgrad"
  for target in "${cuda_targets[@]}"; do passes "$build/tests/emulation/$target" "$added_for_cuda" 5; done
}

# Each block of CONTRIBUTING.md behind "<!-- from tests/adding/op/cube.cpp -->" is part of that file.
check_contributing() {
  local text line block="" file="" count=0
  while IFS= read -r line; do
    if [[ $line =~ ^\ *'<!-- from '(.*)' -->' ]]; then
      file=${BASH_REMATCH[1]} block=""
      text=$(<"$source/$file")$'\n'
    elif [[ -n $file && $line =~ ^\ *'```'$ ]]; then
      [[ -n $block && $text == *"$block"* ]] || refuse "CONTRIBUTING.md shows what $file does not hold:"$'\n'"$block"
      file="" count=$((count + 1))
    elif [[ -n $file && ! $line =~ ^\ *'```' ]]; then
      block+=${line#"${indent:-}"}$'\n'
    elif [[ -n $file ]]; then
      indent=${line%%\`*}
    fi
  done < "$source/CONTRIBUTING.md"
  [ $count -eq 11 ] || refuse "CONTRIBUTING.md shows $count pieces of the templates"
}

check_contributing
copy_tree_and_add
check_that_nothing_else_differs
runs "configuring" cmake -S "$tree" -B "$build" -G "$generator" "${configure[@]}"
check_targets
if [ "${MASKGRAD_ADDING:-}" = all ]; then check_whole_build; else check_new_files; fi
check_that_nothing_else_differs
