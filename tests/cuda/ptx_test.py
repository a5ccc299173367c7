#!/usr/bin/env python3
"""Compiles each .cu of a build to PTX, and looks for what would make results depend on chance, or differ from the
CPU's: atomics on floating numbers, operations that are rounded in another way, denormal numbers taken for 0. And for
functions that are called, which keep numbers in memory that belong into registers.
usage: ptx_test.py BUILD"""
import json
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

FORBIDDEN = {
    "an atomic on floating numbers": r"\b(atom|red)\.[a-z0-9.]*\.f(16|32|64)\b",
    "an operation that may be fused with another": r"\b(add|sub|mul)(\.sat)?\.f(32|64)\b",
    "an approximation": r"\b[a-z0-9]+\.approx[a-z0-9.]*",
    "denormal numbers taken for 0": r"\b[a-z0-9]+[a-z0-9.]*\.ftz[a-z0-9.]*",
    "a function of C++ that is not inlined": r"\.func[^;{]*?\s_Z\w+",
}
# CUDA's own pow() and log() start from it, and mend it.
ALLOWED = {"rcp.approx.ftz.f64"}


def ptx_of(entry, folder):
    command = shlex.split(entry["command"]) if "command" in entry else entry["arguments"]
    output = pathlib.Path(folder) / "kernels.ptx"
    command[command.index("-o") + 1] = str(output)
    command = ["-ptx" if word == "-c" else word for word in command]
    # Code for some architectures becomes PTX for the first of them.
    codes = [word for word in command if word.startswith("--generate-code=")]
    architecture = re.search(r"compute_\d+a?", codes[0]).group(0)
    command = [word for word in command if word not in codes] + [f"-arch={architecture}"]
    subprocess.run(command, cwd=entry["directory"], check=True)
    return output.read_text()


def main():
    entries = [entry for entry in json.loads((pathlib.Path(sys.argv[1]) / "compile_commands.json").read_text())
               if entry["file"].endswith(".cu")]
    broken = 0
    with tempfile.TemporaryDirectory() as folder:
        for entry in entries:
            text = ptx_of(entry, folder)
            for what, pattern in FORBIDDEN.items():
                found = {match.group(0) for match in re.finditer(pattern, text)} - ALLOWED
                if found:
                    print(f"{entry['file']}: {what}: {', '.join(sorted(found))}")
                    broken += 1
    if not entries:
        sys.exit("no .cu is compiled")
    print(f"{len(entries)} files")
    sys.exit(broken > 0)


if __name__ == "__main__":
    main()
