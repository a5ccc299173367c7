#!/usr/bin/env bash
# scripts/test-gpu and scripts/bench-gpu say in one line that there is no GPU, and end with 1.
#   test_gpu_script_test.sh SOURCE_FOLDER
set -u
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
printf '#!/bin/sh\necho "No devices were found"\nexit 6\n' > "$folder/nvidia-smi"
chmod +x "$folder/nvidia-smi"

for script in test-gpu bench-gpu; do
  said=$(PATH=$folder:$PATH "$1/scripts/$script" 2>&1)
  code=$?
  wanted="$script: no GPU: nvidia-smi says No devices were found"
  [ $code -eq 1 ] && [ "$said" = "$wanted" ] && continue
  echo "$script: exit $code: $said"
  exit 1
done
