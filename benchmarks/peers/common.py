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


def check_parameters(count):
    if count != PARAMETERS:
        sys.exit(
            f"the model has {count} parameters, not {PARAMETERS}: it is not the one to compare with"
        )


def print_json(figures, versions):
    versions = {"Python": sys.version.split()[0], **versions}
    print(json.dumps({**figures, "versions": versions}, indent=2))
