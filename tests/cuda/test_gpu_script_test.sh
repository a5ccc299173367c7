#!/usr/bin/env bash
# scripts/test-gpu and scripts/bench-gpu say in one line what is missing and what to do, and end with 1.
#   test_gpu_script_test.sh SOURCE_FOLDER
set -u
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# fake_smi LINE...: a program nvidia-smi of these lines.
fake_smi() { printf '%s\n' '#!/bin/sh' "$@" > "$folder/nvidia-smi"; chmod +x "$folder/nvidia-smi"; }
# expect PATH TEXT: both scripts say the text.
expect() {
  local script said code
  for script in test-gpu bench-gpu; do
    said=$(PATH=$1 "$python" "$source/scripts/$script" --prepared 2>&1)
    code=$?
    [ $code -eq 1 ] && [ "$said" = "$script: $2" ] && continue
    echo "$script: exit $code: $said"
    exit 1
  done
}

source=$(cd "$1" && pwd)
python=$(python3 -c 'import sys; print(sys.executable)')
expect "$folder" "no GPU: there is no nvidia-smi, and so no NVIDIA driver: install one on a machine with a GPU"
fake_smi 'echo "No devices were found"' 'exit 6'
expect "$folder" "no GPU: nvidia-smi says 'No devices were found': this needs a machine with an NVIDIA GPU and a \
driver that works"
fake_smi 'echo "A card, 580.1, 9.0, 1 MiB, 1 MHz, 1 MHz, 1 MHz, 1 W"'
[ -x /usr/local/cuda/bin/nvcc ] && exit 0  # it is found there
unset CUDACXX
expect "$folder" "no nvcc: install NVIDIA's CUDA Toolkit (13.0 is tested), or name its compiler in CUDACXX"
