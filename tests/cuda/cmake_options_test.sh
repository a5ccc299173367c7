#!/usr/bin/env bash
# CMake takes right values of MASKGRAD_CUDA and MASKGRAD_CUDA_ARCHITECTURES, says in one line what becomes of CUDA, and
# refuses wrong values with what is allowed.
#   cmake_options_test.sh SOURCE_FOLDER
set -u
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
printf '#!/bin/sh\nexit 1\n' > "$folder/nvidia-smi"  # no GPU
chmod +x "$folder/nvidia-smi"
printf 'cmake_minimum_required(VERSION 3.25)\ninclude(%s/cmake/MaskgradCuda.cmake)\n' "$(cd "$1" && pwd)" \
  > "$folder/script.cmake"
failed=0

# says CODE TEXT OPTION...: cmake ends with 0 or not, and says the text.
says() {
  local code=$1 text=$2 said ended
  shift 2
  said=$(PATH=$folder:$PATH cmake "$@" -P "$folder/script.cmake" 2>&1 | tr -s ' \n' ' '
         exit "${PIPESTATUS[0]}")
  ended=$?
  [ $((ended != 0)) -eq "$code" ] && [[ $said == *"$text"* ]] && return
  echo "cmake $*: exit $ended: ${said:0:400}"
  failed=1
}

says 0 "-- CUDA: none (no GPU here; -DMASKGRAD_CUDA=ON compiles kernels all the same)"
says 0 "-- CUDA: none (no GPU here" -DMASKGRAD_CUDA=auto
says 0 "-- CUDA: none (MASKGRAD_CUDA is OFF)" -DMASKGRAD_CUDA=off
says 0 "-- CUDA: none (shared libraries hold no kernels)" -DMASKGRAD_SHARED=ON
says 0 "-- CUDA: none" "-DMASKGRAD_CUDA_ARCHITECTURES=80;90a;100-real;120a-virtual"
says 0 "-- CUDA: none" -DMASKGRAD_CUDA_ARCHITECTURES=all-major
says 1 "MASKGRAD_CUDA must be AUTO, ON or OFF, not 'YESS'" -DMASKGRAD_CUDA=yess
says 1 "MASKGRAD_CUDA=ON needs MASKGRAD_SHARED=OFF" -DMASKGRAD_CUDA=ON -DMASKGRAD_SHARED=ON
for wrong in abc 9 9.0 090 sm_90 1234 80a 90f 120f native all OFF; do
  says 1 "such as '80;90', or one of native, all and all-major, not '80;$wrong'" \
    "-DMASKGRAD_CUDA_ARCHITECTURES=80;$wrong"
done
says 1 "MASKGRAD_CUDA_ARCHITECTURES is native, and nvidia-smi shows no GPU here: name compute capabilities" \
  -DMASKGRAD_CUDA=ON -DMASKGRAD_CUDA_ARCHITECTURES=native

# A compiler that knows two architectures.
printf '#!/bin/sh\n[ "$1" = --list-gpu-arch ] && printf "compute_80\\ncompute_90\\n"\n' > "$folder/nvcc"
chmod +x "$folder/nvcc"
echo 'maskgrad_check_architectures()' >> "$folder/script.cmake"
for right in "80;90a" 90-virtual native all; do
  says 0 "-- CUDA: none" "-DMASKGRAD_CUDA_ARCHITECTURES=$right" "-DCMAKE_CUDA_COMPILER=$folder/nvcc"
done
says 1 "nvcc does not compile for 70, only for 80, 90" "-DMASKGRAD_CUDA_ARCHITECTURES=80;70" \
  "-DCMAKE_CUDA_COMPILER=$folder/nvcc"
exit $failed
