#!/usr/bin/env bash
# scripts/test-gpu says in one line that there is no GPU, and ends with 1.
#   test_gpu_script_test.sh SOURCE_FOLDER
set -u
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
printf '#!/bin/sh\necho "No devices were found"\nexit 6\n' > "$folder/nvidia-smi"
chmod +x "$folder/nvidia-smi"

said=$(PATH=$folder:$PATH "$1/scripts/test-gpu" 2>&1)
code=$?
wanted="test-gpu: no GPU: nvidia-smi says No devices were found"
[ $code -eq 1 ] && [ "$said" = "$wanted" ] && exit 0
echo "exit $code: $said"
exit 1
