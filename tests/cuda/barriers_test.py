#!/usr/bin/env python3
"""Takes the barriers of the kernels out, one by one, and expects that the emulated device finds each missing one.

A barrier is a __syncthreads...() or __syncwarp() below src. For each, the sources that hold it are compiled without
it, beside the build, and linked to the tests whose build watches every access to memory (cuda_race_tests). Some test
must fail, or never end; with all barriers, none may.
usage: barriers_test.py BUILD [--jobs N] [--only TEXT]"""
import argparse
import concurrent.futures
import json
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BARRIER = re.compile(r"__sync(threads\w*|warp)\(")
PROGRAM = "cuda_race_tests"
SECONDS = 1800  # that the tests may take


class Barrier:
    def __init__(self, path, number, text):
        self.path, self.number, self.text = path, number, text

    def __str__(self):
        return f"{self.path.relative_to(ROOT)}:{self.number}: {self.text.strip()}"

    def source_without(self):
        lines = self.path.read_text().splitlines()
        # __syncthreads_or(x) is a value too: that of this thread alone is left.
        lines[self.number - 1] = re.sub(r"__syncthreads_(or|and|count)\(", "(", re.sub(
            r"__sync(threads|warp)\([^()]*\);", "{}", self.text))
        assert lines[self.number - 1] != self.text, f"{self} cannot be taken out"
        return "\n".join(lines) + "\n"


def barriers():
    for path in sorted((ROOT / "src").rglob("*")):
        if path.suffix not in (".cu", ".hpp"):
            continue
        for number, text in enumerate(path.read_text().splitlines(), 1):
            if BARRIER.search(text.split("//")[0]):
                yield Barrier(path, number, text)


class Build:
    def __init__(self, folder):
        self.folder = folder
        self.commands = {}
        for entry in json.loads((folder / "compile_commands.json").read_text()):
            words = shlex.split(entry["command"])
            self.commands[words[words.index("-o") + 1]] = words
        link = subprocess.run(["ninja", "-t", "commands", PROGRAM], cwd=folder, check=True, text=True,
                              capture_output=True).stdout.splitlines()[-1]
        # ": && <linker> ... && :"
        self.link = shlex.split(re.search(r"^: && (.*?) && ", link).group(1))
        self.users = self.read_users()

    # Which objects of the program are made of a file.
    def read_users(self):
        users = {}
        text = subprocess.run(["ninja", "-t", "deps"], cwd=self.folder, check=True, text=True,
                              capture_output=True).stdout
        for part in text.split("\n\n"):
            head, *files = part.strip().splitlines() or [""]
            target = head.split(": #deps")[0]
            if target in self.link:
                for file in files:
                    users.setdefault((self.folder / file.strip()).resolve(), []).append(target)
        return users

    # Compiles the sources without the barrier, and links the tests to them.
    def program_without(self, barrier, work):
        changed = work / "changed" / barrier.path.name
        changed.parent.mkdir()
        changed.write_text(barrier.source_without())
        relative = barrier.path.relative_to(ROOT / "src")
        room = relative.parts[0]
        if barrier.path.suffix == ".hpp":
            overlay = work / room / "maskgrad" / relative
            overlay.parent.mkdir(parents=True)
            overlay.write_text(barrier.source_without())
        link = list(self.link)
        for target in self.users.get(barrier.path, []):
            words = list(self.commands[target])
            if barrier.path.suffix == ".cu":
                source = work / "source.cpp"
                source.write_text(f'#include "{changed}"\n')
                words[words.index("-c") + 1] = str(source)
            output = work / f"{len(list(work.iterdir()))}.o"
            words[words.index("-o") + 1] = str(output)
            words[1:1] = [f"-I{work / room}"]
            subprocess.run(words, cwd=self.folder, check=True, capture_output=True)
            link[link.index(target)] = str(output)
        program = work / PROGRAM
        link[link.index("-o") + 1] = str(program)
        subprocess.run(link, cwd=self.folder, check=True, capture_output=True)
        return program

    def is_found(self, barrier):
        with tempfile.TemporaryDirectory() as folder:
            return not self.passes(self.program_without(barrier, pathlib.Path(folder)))

    def passes(self, program):
        try:
            return subprocess.run([program, "--gtest_fail_fast", "--gtest_brief=1"], cwd=self.folder,
                                  capture_output=True, timeout=SECONDS).returncode == 0
        except subprocess.TimeoutExpired:
            return False


def examine(build, barrier):
    if not build.users.get(barrier.path):
        return "no test is made of it"
    try:
        return None if build.is_found(barrier) else "no test fails without it"
    except subprocess.CalledProcessError as error:
        return f"does not compile without it: {error.stderr.decode(errors='replace')[-500:]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", default="", help="of files whose path holds this")
    options = parser.parse_args()
    build = Build(options.build.resolve())
    if not build.passes(build.folder / "tests/emulation" / PROGRAM):
        sys.exit(f"{PROGRAM} fails as it is")
    chosen = [barrier for barrier in barriers() if options.only in str(barrier.path)]
    missed = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        examined = [(barrier, pool.submit(examine, build, barrier)) for barrier in chosen]
        for barrier, future in examined:
            verdict = future.result()
            missed += verdict is not None
            print(f"{verdict or 'found'}: {barrier}", flush=True)
    if not chosen:
        sys.exit("there is no barrier")
    print(f"{len(chosen)} barriers, {missed} of them missed")
    sys.exit(missed > 0)


if __name__ == "__main__":
    main()
