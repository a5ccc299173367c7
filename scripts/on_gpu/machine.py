"""The GPU of this machine, and builds for it: what scripts/test-gpu and scripts/bench-gpu share."""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / "build-gpu"
FACTS = {"card": "name", "driver": "driver_version", "compute_capability": "compute_cap", "memory": "memory.total",
         "sm_clock": "clocks.sm", "memory_clock": "clocks.mem", "most_sm_clock": "clocks.max.sm",
         "power_limit": "power.limit"}


class Parser(argparse.ArgumentParser):
    """Of a script whose description is `doc`. It refuses wrong arguments in one line."""

    def __init__(self, script, doc):
        super().__init__(prog=f"scripts/{script}", description=doc,
                         formatter_class=argparse.RawDescriptionHelpFormatter)
        self.add_argument("--json", type=pathlib.Path, default=BUILD / f"{script}.json", metavar="FILE",
                          help=f"where the results go (build-gpu/{script}.json)")
        self.add_argument("--prepared", action="store_true", help="install no packages: what is needed is there")
        self.add_argument("cmake", nargs="*", metavar="-- -DOPTION=VALUE", help="more options for CMake")

    def error(self, message):
        print(f"{self.prog}: {message}; see {self.prog} --help", file=sys.stderr)
        sys.exit(2)


def refuse(reason):
    sys.exit(f"{pathlib.Path(sys.argv[0]).name}: {reason}")


def card():
    """What nvidia-smi says of the first GPU."""
    if not shutil.which("nvidia-smi"):
        refuse("no GPU: there is no nvidia-smi, and so no NVIDIA driver: install one on a machine with a GPU")
    query = ["nvidia-smi", f"--query-gpu={','.join(FACTS.values())}", "--format=csv,noheader", "--id=0"]
    answer = subprocess.run(query, capture_output=True, text=True)
    if answer.returncode != 0:
        said = " ".join((answer.stdout + answer.stderr).split()) or "nothing"
        refuse(f"no GPU: nvidia-smi says '{said}': this needs a machine with an NVIDIA GPU and a driver that works")
    return dict(zip(FACTS, [value.strip() for value in answer.stdout.splitlines()[0].split(",")]))


def tool(name):
    for place in [shutil.which(name), f"/usr/local/cuda/bin/{name}"]:
        if place and os.access(place, os.X_OK):
            return place


def build(facts, targets, options):
    """Builds targets for the card of these facts, and adds the version of the compiler to them."""
    compiler = os.environ.get("CUDACXX") or tool("nvcc") or refuse(
        "no nvcc: install NVIDIA's CUDA Toolkit (13.0 is tested), or name its compiler in CUDACXX")
    architecture = facts["compute_capability"].replace(".", "")
    subprocess.run(["cmake", "--preset", "gpu", f"-DCMAKE_CUDA_COMPILER={compiler}",
                    f"-DMASKGRAD_CUDA_ARCHITECTURES={architecture}", *options],
                   cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", BUILD, "--target", *targets], check=True)
    said = subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout
    facts["cuda"] = re.search(r"V([\d.]+)", said).group(1)


def prepare(options):
    if not options.prepared:
        subprocess.run([ROOT / "scripts/prepare", "--with-tests"], check=True)


def run(main):
    try:
        main()
    except subprocess.CalledProcessError as error:
        refuse(f"{pathlib.Path(str(error.cmd[0])).name} failed")
