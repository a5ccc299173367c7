"""What the peers share: data, timing and output, all as `maskgrad bench` has them."""

import argparse
import importlib
import json
import os
import random
import statistics
import sys
import time

NOT_INSTALLED = 3  # exit code
VOCAB, LENGTH, FEATURES, HIDDEN = 20, 20, 15, 150
PARAMETERS = 49145
ROW, SHORTEST, HEAD = 48, 16, 32  # of transformers: positions of a row, features of a head
REPEATS = 31


def require(*modules):
    """Imports the modules; where one is missing, ends the program with a line that says so."""
    try:
        found = [importlib.import_module(name) for name in modules]
    except ModuleNotFoundError as error:
        if error.name not in modules:
            raise
        script = os.path.basename(sys.argv[0])
        print(f"{script}: {error.name} is not installed for {sys.executable}", file=sys.stderr)
        sys.exit(NOT_INSTALLED)
    return found[0] if len(found) == 1 else found


def positive(text):
    """An argparse type: a whole number from 1 up."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 up, not '{text}'")
    return int(text)


def parser(description):
    result = argparse.ArgumentParser(description=description)
    result.add_argument(
        "--threads", type=positive, default=1, help="how many threads to use (default 1)"
    )
    return result


def repeats_for(seconds):
    """How often to take a figure of which one repeat takes so long: near two seconds in all."""
    return int(min(max(2 / max(seconds, 1e-9), 5), REPEATS))


def seconds_of(run):
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def median_seconds(run):
    """The median of some repeats, after two warm-ups: the first may compile."""
    run()
    repeats = repeats_for(seconds_of(run))
    return statistics.median(seconds_of(run) for _ in range(repeats))


def blog_data(samples=6400, seed=0):
    """Tokens [samples, 20], 12 to 18 of them and then padding (0), and a target for each."""
    draw = random.Random(seed)
    rows = []
    for _ in range(samples):
        count = draw.randint(12, 18)
        rows.append([draw.randint(1, VOCAB - 1) for _ in range(count)] + [0] * (LENGTH - count))
    return rows, [draw.randrange(VOCAB) for _ in range(samples)]


def blog_shapes():
    """The parameters of the blog's model; matrices are [in, out]."""
    shapes = [(VOCAB, FEATURES)] + 3 * [(FEATURES, FEATURES)]
    shapes += [(LENGTH * FEATURES, HIDDEN), (HIDDEN,), (HIDDEN, VOCAB), (VOCAB,)]
    return shapes


def check_parameters(count, expected=PARAMETERS):
    if count != expected:
        sys.exit(
            f"the model has {count} parameters, not {expected}: it is not the one to compare with"
        )


def transformer_parser(description):
    result = parser(description)
    result.add_argument("--width", type=positive, nargs="+", default=[64, 128, 192], metavar="W")
    return result


def transformer_sizes(width):
    """Layers, and rows of a batch."""
    return 1 + width // 64, 32 if width < 128 else 64


def transformer_parameters(width, layers, positions):
    """How many parameters a GPT has: norms before attention and feed-forward, biases, a norm behind
    the blocks, and logits of their own."""
    block = 12 * width * width + 13 * width
    return (2 * VOCAB + positions + 2) * width + VOCAB + layers * block


def transformer_lengths(batch, mixed):
    """ROW each, or spread evenly from SHORTEST to ROW."""
    if not mixed:
        return [ROW] * batch
    last, more = batch - 1, ROW - SHORTEST
    return [SHORTEST + (more * b + last // 2) // last for b in range(batch)]


def transformer_data(batch, seed=0):
    """Random tokens [batch, ROW], and a target for each."""
    draw = random.Random(seed)
    return [[[draw.randrange(VOCAB) for _ in range(ROW)] for _ in range(batch)] for _ in range(2)]


def transformer_figures(widths, tokens_per_second, microseconds_per_token=None):
    """The figures of `maskgrad bench transformer`: rates of training on full rows, at width 128 on
    mixed ones too, and times of generation at width 128 with batch 1 and 64."""
    figures = {}
    for width in widths:
        for mixed in (False, True) if width == 128 else (False,):
            key = f"transformer_w{width}_{'mixed' if mixed else 'full'}_tokens_per_s"
            figures[key] = tokens_per_second(width, mixed)
    if microseconds_per_token:
        figures["generate_w128_us_per_token"] = microseconds_per_token(1)
        figures["generate_w128_b64_us_per_token"] = microseconds_per_token(64)
    return figures


def prepare_xla(threads):
    """XLA makes as many threads as there are cores to run on; more than one is set by pinning
    only. To be called before JAX is imported."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    if threads == 1:
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()


def print_json(figures, versions):
    versions = {"Python": sys.version.split()[0], **versions}
    print(json.dumps({**figures, "versions": versions}, indent=2))
