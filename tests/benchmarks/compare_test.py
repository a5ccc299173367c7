"""benchmarks/compare: its page, its errors, and a whole run with a stand-in for maskgrad."""

import argparse
import contextlib
import io
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

SOURCE = pathlib.Path(__file__).resolve().parents[2]
COMPARE = SOURCE / "benchmarks" / "compare"
sys.dont_write_bytecode = True
sys.path.insert(0, str(COMPARE.parent))

from comparison import machine, page, runs  # noqa: E402

MACHINE = {"compiler": "GCC 12.2.0", "native": True, "blas": "OpenBLAS 0.3.21, kernels for Zen"}
TRANSFORMERS = ("w64_full", "w128_full", "w128_mixed", "w192_full")
# Stands in for maskgrad.
STAND_IN = """#!{python}
import json, sys
if sys.argv[1] == "--version":
    print("maskgrad 9.8.7")
    sys.exit()
out = {{"machine": {machine}}}
if sys.argv[2] == "blog-step":
    out.update(blog_step_b2_us=10.0, blog_step_b100_us=1000.0)
elif sys.argv[2] == "transformer":
    out.update({{f"transformer_{{row}}_tokens_per_s": 5e4 for row in {transformers}}})
    out.update(generate_w128_us_per_token=90.0, generate_w128_b64_us_per_token=9.0)
else:
    length = sys.argv[sys.argv.index("--seq") + 1]
    for mask in {masks}:
        key = f"attention_{{mask}}_s{{length}}"
        out.update({{f"{{key}}_forward_ms": 500.0, f"{{key}}_forward_backward_ms": 1000.0}})
        out[f"{{key}}_kept_share"] = 0.25
open(sys.argv[sys.argv.index("--json") + 1], "w").write(json.dumps(out))
"""


def compare(*arguments):
    command = [sys.executable, str(COMPARE), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def attention_figures(length, forward, forward_backward, kept):
    figures = {}
    for name in page.MASKS:
        key = f"attention_{name}_s{length}"
        figures[f"{key}_forward_ms"] = forward[name]
        figures[f"{key}_forward_backward_ms"] = forward_backward
        figures[f"{key}_kept_share"] = kept
    return figures


def cells(text, *first):
    """The cells of the first table row that opens with these."""
    for line in text.splitlines():
        row = [cell.strip() for cell in line.strip("|").split("|")]
        if row[: len(first)] == list(first):
            return row
    raise AssertionError(f"no row {first} in:\n{text}")


class Page(unittest.TestCase):
    def setUp(self):
        self.collected = runs.Collected()
        self.collected.add(
            runs.OURS, {"blog_step_b2_us": 10, "blog_step_b100_us": 1500, "machine": MACHINE}
        )

    def test_divides_a_peers_figure_by_ours(self):
        self.collected.add(
            "Keras on TensorFlow", {"blog_step_b2_us": 425, "blog_step_b100_us": 750}
        )
        row = cells(page.blog_table(self.collected), "Keras on TensorFlow")
        self.assertEqual(row[1:], ["425", "42.50", "750", "0.50"])
        self.assertEqual(
            cells(page.blog_table(self.collected), "maskgrad")[1:],
            ["10.0", "1.00", "1,500", "1.00"],
        )

    def test_takes_the_median_of_the_rounds(self):
        for b2 in (12, 40):
            self.collected.add(runs.OURS, {"blog_step_b2_us": b2, "blog_step_b100_us": 1500})
        self.assertEqual(cells(page.blog_table(self.collected), "maskgrad")[1], "12.0")
        share, program, key = page.spread(self.collected)
        self.assertEqual((share, program, key), (30 / 12, "maskgrad", "blog_step_b2_us"))

    def test_says_why_a_peer_has_no_figures_and_makes_none_up(self):
        self.collected.absent["PyTorch", "blog-step"] = "not installed"
        row = cells(page.blog_table(self.collected), "PyTorch")
        self.assertEqual(row[1:], ["not installed", "", "not installed", ""])

    def test_shows_no_figures_of_a_peer_that_failed_later(self):
        self.collected.add("PyTorch", {"blog_step_b2_us": 425, "blog_step_b100_us": 750})
        self.collected.absent["PyTorch", "blog-step"] = "failed"
        self.assertEqual(cells(page.blog_table(self.collected), "PyTorch")[1], "failed")

    def test_divides_our_rate_by_a_peers_and_a_peers_time_by_ours(self):
        rates = [f"transformer_{row}_tokens_per_s" for row in TRANSFORMERS]
        times = ["generate_w128_us_per_token", "generate_w128_b64_us_per_token"]
        self.collected.add(runs.OURS, dict(zip(rates + times, (9000, 800, 70, 6, 20, 3))))
        self.collected.add("PyTorch", dict(zip(rates + times, (3000, 1600, 7, 6, 50, 1.5))))
        self.collected.add("PyTorch, compiled", dict.fromkeys(rates, 60))
        training = page.training_table(self.collected)
        self.assertEqual(
            cells(training, "maskgrad")[1:],
            ["9,000", "1.00", "800", "1.00", "70.0", "1.00", "6.00", "1.00"],
        )
        self.assertEqual(
            cells(training, "PyTorch")[1:],
            ["3,000", "3.00", "1,600", "0.50", "7.00", "10.00", "6.00", "1.00"],
        )
        self.assertEqual(cells(training, "PyTorch, compiled")[5:7], ["60.0", "1.17"])
        generation = page.generation_table(self.collected)
        self.assertEqual(cells(generation, "PyTorch")[1:], ["50.0", "2.50", "1.50", "0.50"])
        self.assertNotIn("PyTorch, compiled", generation)  # it makes no texts

    def test_compares_attention_with_the_peer_and_with_no_mask(self):
        ours = dict(zip(page.MASKS, (8, 4, 5, 2, 3, 1)))
        self.collected.add(runs.OURS, attention_figures(64, ours, 20, 0.375))
        self.collected.add(
            "PyTorch", attention_figures(64, dict.fromkeys(page.MASKS, 10), 10, 0.375)
        )
        forward = page.attention_table(self.collected, [64], "forward_ms")
        self.assertEqual(
            cells(forward, "64", "none")[2:], ["0.375", "8.00", "1.00", "10.0", "1.25"]
        )
        self.assertEqual(
            cells(forward, "64", "window")[2:], ["0.375", "2.00", "0.25", "10.0", "5.00"]
        )
        both = page.attention_table(self.collected, [64], "forward_backward_ms")
        self.assertEqual(
            cells(both, "64", "segments")[2:], ["0.375", "20.0", "1.00", "10.0", "0.50"]
        )

    def test_aligns_numbers_right_and_words_left(self):
        expected = "| a   |  b |\n| --- | -: |\n| xyz | 12 |"
        self.assertEqual(page.table(["a", "b"], [["xyz", "12"]], "lr"), expected)


class Machine(unittest.TestCase):
    def test_reads_a_field_and_the_caches_of_a_core(self):
        self.assertEqual(machine.field('A=1\nNAME="two words"\n', "NAME", "="), "two words")
        self.assertEqual(machine.field("A=1\n", "NAME", "="), "")
        with tempfile.TemporaryDirectory() as folder:
            for index, values in enumerate((("1", "Data", "32K"), ("3", "Unified", "16384K"))):
                cache = pathlib.Path(folder, "cpu1", "cache", f"index{index}")
                cache.mkdir(parents=True)
                for name, value in zip(("level", "type", "size"), values):
                    (cache / name).write_text(value + "\n", encoding="utf-8")
            self.assertEqual(machine.caches(1, folder), "L1d 32 KiB, L3 16 MiB")


class Turns(unittest.TestCase):
    def order(self, backward):
        ran = []

        def run_ours(*_):
            ran.append("ours")
            return {}

        def run_peer(_interpreter, _pin, _job, peer):
            ran.append(peer.name)
            return {}

        job = runs.Job("blog step", "blog-step", runs.BLOG_PEERS[:2], [])
        options = argparse.Namespace(maskgrad="", pin=[])
        interpreters = dict.fromkeys(job.peers)
        with mock.patch.multiple(runs, run_ours=run_ours, run_peer=run_peer, say=print):
            with contextlib.redirect_stdout(io.StringIO()):
                runs.run_round(job, options, runs.Collected(), interpreters, backward)
        return ran

    def test_turn_round_from_one_round_to_the_next(self):
        self.assertEqual(self.order(backward=False), ["ours", "PyTorch", "PyTorch, compiled"])
        self.assertEqual(self.order(backward=True), ["PyTorch, compiled", "PyTorch", "ours"])


class Command(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.maskgrad = self.script(
            "maskgrad",
            STAND_IN.format(
                python=sys.executable,
                machine=repr(MACHINE),
                masks=repr(page.MASKS),
                transformers=repr(TRANSFORMERS),
            ),
        )
        self.nothing = self.script(
            "python", "#!/bin/sh\nexit 1\n"
        )  # an interpreter without modules
        self.out = self.folder / "page.md"

    def script(self, name, text):
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)
        return path

    def run_compare(self, *more):
        core = min(os.sched_getaffinity(0))
        stand_ins = ["--maskgrad", self.maskgrad, "--python", self.nothing]
        return compare(*stand_ins, "--core", core, "--out", self.out, *more)

    def test_help_ends_with_an_example(self):
        done = compare("--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("\nExample: benchmarks/compare --quick", done.stdout)

    def test_writes_a_page_where_no_peer_is_installed(self):
        done = self.run_compare("--seq", "32", "64", "--rounds", "2")
        self.assertEqual(done.returncode, 0, done.stderr)
        text = self.out.read_text(encoding="utf-8")
        self.assertEqual(cells(text, "JAX, compiled epoch")[1], "not installed")
        self.assertEqual(cells(text, "maskgrad", "50,000")[2:4], ["1.00", "50,000"])
        self.assertEqual(cells(text, "maskgrad", "90.0")[2:], ["1.00", "9.00", "1.00"])
        self.assertEqual(cells(text, "JAX, compiled step")[1], "not installed")
        self.assertEqual(
            cells(text, "64", "causal")[2:6], ["0.250", "500", "1.00", "not installed"]
        )
        self.assertIn("median\nover 2 rounds, each in the reverse order", text)
        self.assertIn(" --seq 32 64\n", text)
        self.assertEqual(
            sorted(p.name for p in self.folder.iterdir()), ["maskgrad", "page.md", "python"]
        )

    def test_goes_on_without_a_peer_that_fails_and_ends_with_1(self):
        # Finds every module, and runs no script.
        self.script("python", '#!/bin/sh\n[ "$1" = -c ] && exit 0\necho no luck >&2\nexit 1\n')
        done = self.run_compare("--seq", "32", "--rounds", "2")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr.count("compare: blog_step_jax.py: no luck\n"), 1)
        text = self.out.read_text(encoding="utf-8")
        self.assertEqual(cells(text, "JAX, compiled epoch")[1], "failed")
        self.assertEqual(cells(text, "32", "causal")[5], "failed")

    def test_leaves_the_page_as_it_was_when_maskgrad_fails(self):
        self.out.write_text("before", encoding="utf-8")
        self.script("maskgrad", "#!/bin/sh\nexit 7\n")
        done = self.run_compare("--quick")
        self.assertEqual(done.returncode, 1)
        self.assertIn("compare: maskgrad bench blog-step ended with exit code 7\n", done.stderr)
        self.assertEqual(self.out.read_text(encoding="utf-8"), "before")

    def test_refuses_in_one_line_what_it_cannot_do(self):
        for arguments, code, text in (
            (["--rounds", "0"], 2, "--rounds: must be a whole number from 1 up, not '0'"),
            (["--seq"], 2, "--seq: expected at least one argument"),
            (["--nosuch"], 2, "unrecognized arguments: --nosuch"),
            (["--core", "100000"], 1, "this machine has no core 100000"),
            (["--core", "0", "--threads", "5000"], 1, "this machine has no core 0-4999"),
            (["--maskgrad", "none"], 1, "/none; build it"),
            (["--out", self.folder / "none" / "page.md"], 1, "there is no folder"),
            (["--python", self.folder / "none"], 1, "cannot be run: No such file"),
        ):
            with self.subTest(arguments=arguments):
                done = self.run_compare(*arguments)
                self.assertEqual((done.returncode, done.stderr.count("\n")), (code, 1), done.stderr)
                self.assertIn(text, done.stderr)


class Peers(unittest.TestCase):
    def test_end_with_3_and_one_line_where_their_framework_is_missing(self):
        # -S: without the site's packages; every framework lives there.
        for script in sorted((COMPARE.parent / "peers").glob("*_*.py")):
            done = subprocess.run(
                [sys.executable, "-S", str(script)], capture_output=True, text=True, check=False
            )
            self.assertEqual((done.returncode, done.stderr.count("\n")), (3, 1), done.stderr)
            self.assertIn(f"{script.name}: ", done.stderr)
            self.assertIn(" is not installed for ", done.stderr)

    def test_time_the_same_data_in_every_framework(self):
        sys.path.insert(0, str(COMPARE.parent / "peers"))
        import common

        rows, targets = common.blog_data(samples=200)
        self.assertEqual(common.blog_data(samples=200), (rows, targets))
        lengths = {sum(token != 0 for token in row) for row in rows}
        self.assertEqual(lengths, set(range(12, 19)))
        for row in rows:
            self.assertEqual((len(row), row), (20, sorted(row, key=lambda token: token == 0)))
        for batch in (32, 64):
            tokens, targets = common.transformer_data(batch)
            self.assertEqual({len(row) for row in tokens + targets}, {48})
            self.assertEqual({token for row in tokens for token in row}, set(range(20)))
            mixed = common.transformer_lengths(batch, mixed=True)
            self.assertEqual((mixed[0], mixed[-1], sum(mixed)), (16, 48, 32 * batch))
            self.assertEqual(mixed, sorted(mixed))
            self.assertEqual(common.transformer_lengths(batch, mixed=False), [48] * batch)
        shapes = common.blog_shapes()
        size = sum(shape[0] * (shape[1] if len(shape) == 2 else 1) for shape in shapes)
        self.assertEqual(size, common.PARAMETERS)


    def test_give_the_figures_of_transformers_that_the_page_reads(self):
        sys.path.insert(0, str(COMPARE.parent / "peers"))
        import common

        figures = common.transformer_figures(
            [64, 128, 192], lambda width, mixed: width + mixed, lambda batch: batch
        )
        self.assertEqual(
            figures,
            {
                "transformer_w64_full_tokens_per_s": 64,
                "transformer_w128_full_tokens_per_s": 128,
                "transformer_w128_mixed_tokens_per_s": 129,
                "transformer_w192_full_tokens_per_s": 192,
                "generate_w128_us_per_token": 1,
                "generate_w128_b64_us_per_token": 64,
            },
        )
        sizes = [common.transformer_sizes(width) for width in (64, 128, 192)]
        self.assertEqual(sizes, [(2, 32), (3, 64), (4, 64)])
        # Counted by hand: embeddings, positions, two blocks, norm, logits.
        block = 4 * 64 * 64 + 4 * 64 + 2 * 64 * 256 + 256 + 64 + 4 * 64
        self.assertEqual(
            common.transformer_parameters(64, 2, 48),
            20 * 64 + 48 * 64 + 2 * block + 2 * 64 + 64 * 20 + 20,
        )


if __name__ == "__main__":
    unittest.main()
