"""Runs maskgrad and its peers in turns, and collects their figures."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile

PEERS = pathlib.Path(__file__).resolve().parent.parent / "peers"
OURS = "maskgrad"
# Exits with 1 where a module is missing; finds them without importing them.
HAS_MODULES = (
    "import importlib.util as u, sys; sys.exit(any(u.find_spec(m) is None for m in sys.argv[1:]))"
)


class CompareError(Exception):
    """What is wrong, in one line."""


@dataclasses.dataclass(frozen=True)
class Peer:
    name: str
    script: str
    modules: tuple
    arguments: tuple = ()


BLOG_PEERS = (
    Peer("PyTorch", "blog_step_torch.py", ("torch",)),
    Peer("PyTorch, compiled", "blog_step_torch.py", ("torch",), ("--compile",)),
    Peer("JAX, compiled epoch", "blog_step_jax.py", ("jax",)),
    Peer("Keras on TensorFlow", "blog_step_keras.py", ("keras", "tensorflow")),
)
TRANSFORMER_PEERS = (
    Peer("PyTorch", "transformer_torch.py", ("torch",)),
    Peer("PyTorch, compiled", "transformer_torch.py", ("torch",), ("--compile",)),
    Peer("JAX, compiled step", "transformer_jax.py", ("jax",)),
)
ATTENTION_PEERS = (Peer("PyTorch", "attention_torch.py", ("torch",)),)


@dataclasses.dataclass
class Job:
    """One benchmark that several programs run, with the same arguments."""

    title: str
    benchmark: str  # of `maskgrad bench`
    peers: tuple
    arguments: list


@dataclasses.dataclass
class Collected:
    """Figures by program and key, one for each round; and why a program has none."""

    figures: dict = dataclasses.field(default_factory=dict)
    absent: dict = dataclasses.field(default_factory=dict)  # by program and benchmark
    facts: dict = dataclasses.field(default_factory=dict)  # of our build, from its JSON
    versions: dict = dataclasses.field(default_factory=dict)

    def add(self, program, output):
        self.facts.update(output.pop("machine", {}))
        self.versions.setdefault(program, {}).update(output.pop("versions", {}))
        for key, value in output.items():
            self.figures.setdefault(program, {}).setdefault(key, []).append(value)


def say(text):
    print(text, file=sys.stderr, flush=True)


def jobs(options):
    threads = ["--threads", str(options.threads)]
    sizes = [
        "--batch",
        str(options.batch),
        "--heads",
        str(options.heads),
        "--dim",
        str(options.dim),
    ]
    found = [
        Job("blog step", "blog-step", BLOG_PEERS, threads),
        Job("transformer", "transformer", TRANSFORMER_PEERS, threads),
    ]
    for length in options.seq:
        arguments = threads + sizes + ["--seq", str(length)]
        found.append(Job(f"attention at S {length}", "attention", ATTENTION_PEERS, arguments))
    return found


def environment():
    """Ours without what would hold OpenBLAS to kernels of another processor."""
    return {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"}


def find_interpreter(interpreters, modules):
    """The first that has all modules, or None."""
    for interpreter in interpreters:
        try:
            found = subprocess.run(
                [interpreter, "-c", HAS_MODULES, *modules], capture_output=True, check=False
            )
        except OSError as error:
            raise CompareError(f"--python {interpreter} cannot be run: {error.strerror}") from error
        if found.returncode == 0:
            return interpreter
    return None


def run_ours(binary, pin, job):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder, "figures.json")
        command = [*pin, str(binary), "bench", job.benchmark, *job.arguments, "--json", str(out)]
        done = subprocess.run(command, env=environment(), stdout=subprocess.DEVNULL, check=False)
        if done.returncode != 0:
            raise CompareError(
                f"maskgrad bench {job.benchmark} ended with exit code {done.returncode}"
            )
        return json.loads(out.read_text(encoding="utf-8"))


def run_peer(interpreter, pin, job, peer):
    command = [*pin, interpreter, str(PEERS / peer.script), *peer.arguments, *job.arguments]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise CompareError(f"{peer.script}: {lines[-1]}")
    return json.loads(done.stdout)


def run_round(job, options, collected, interpreters, backward):
    """Each program once: ours first and then the peers, or the other way round."""
    programs = [None, *job.peers]
    for peer in reversed(programs) if backward else programs:
        name = peer.name if peer else OURS
        if (name, job.benchmark) in collected.absent:
            continue
        say(f"  {job.title}: {name}")
        if peer is None:
            collected.add(name, run_ours(options.maskgrad, options.pin, job))
            continue
        try:
            collected.add(name, run_peer(interpreters[peer], options.pin, job, peer))
        except CompareError as error:
            say(f"compare: {error}")
            collected.absent[name, job.benchmark] = "failed"


def run_all(options):
    """All jobs in every round; the order turns round from one to the next, so that what else the
    machine does falls on all alike."""
    collected, interpreters, work = Collected(), {}, jobs(options)
    for job in work:
        for peer in job.peers:
            interpreters[peer] = find_interpreter(options.python, peer.modules)
            if interpreters[peer] is None:
                collected.absent[peer.name, job.benchmark] = "not installed"
    for number in range(options.rounds):
        say(f"round {number + 1} of {options.rounds}")
        for job in work:
            run_round(job, options, collected, interpreters, backward=number % 2 == 1)
    return collected
