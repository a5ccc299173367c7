"""Runs the commands of the documentation, and compares what they print with the pages.

  commands_test.py PROGRAM     PROGRAM is the program maskgrad that was built

A block of commands behind the line

  <!-- run by the tests -->

is run by bash in a folder that holds build/maskgrad, models, docs and src. The blocks of a page run one after
another. A block without a language right behind it is what the commands print. A line "..." in it stands for any
lines. With the marker

  <!-- run by the tests, figures vary -->

any number stands for any other, any gap for any other, and any weights for others where explain draws them in ASCII.
Blocks behind

  <!-- run by the full tests -->

take minutes. They are run, too, where MASKGRAD_PAGES=all is set. Of all other commands the test checks that the
program has the subcommand and the options, and the tree the script.
"""

import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import pages  # noqa: E402

PROGRAM = pathlib.Path(sys.argv.pop(1)).resolve() if len(sys.argv) > 1 else pages.SOURCE / "build" / "maskgrad"
VARY = "<!-- run by the tests, figures vary -->"
LONG = "<!-- run by the full tests -->"
MARKERS = ("<!-- run by the tests -->", VARY, LONG)


def masked(line):
    """The line without what varies: numbers, drawn weights, and how wide a gap or a bar is."""
    line = re.sub(r" (?:([.:+*#])\1){8,}$", " weights", line)  # two columns for each
    return re.sub(r"\d[\d,.]*(e[-+]?\d+)?", "#", re.sub(r"[ \t]+|[-─━=]{4,}", " ", line)).strip()


def matches(expected, printed):
    """Whether lines are what is expected, where "..." stands for any lines."""
    if not expected:
        return not printed
    if expected[0] == "...":
        return any(matches(expected[1:], printed[i:]) for i in range(len(printed) + 1))
    return bool(printed) and expected[0] == printed[0] and matches(expected[1:], printed[1:])


def agrees(expected, printed, varies):
    strip = masked if varies else str.rstrip
    return matches([strip(line) for line in expected], [strip(line) for line in printed])


def runs(page):
    """The marked blocks of commands of a page, each with the block that it prints, or None."""
    text = page.read_text(encoding="utf-8")
    _, blocks = pages.split(text)
    lines = text.split("\n")
    for block, after in zip(blocks, [*blocks[1:], None]):
        if block.marker not in MARKERS or (block.marker == LONG and os.environ.get("MASKGRAD_PAGES") != "all"):
            continue
        end = block.line + len(block.lines)  # what stands behind the block begins with lines[end]
        follows = after and not after.language and not "".join(lines[end:after.line - 2]).strip()
        yield block, after.lines if follows else None


def make_work(folder):
    (folder / "build").mkdir()
    (folder / "build" / "maskgrad").symlink_to(PROGRAM)
    for name in ("models", "docs", "src"):
        (folder / name).symlink_to(pages.SOURCE / name)


def run_block(block, folder):
    result = subprocess.run(["bash", "-e", "-c", "\n".join(block.lines)], cwd=folder, capture_output=True, text=True,
                            check=False, timeout=3000, env={**os.environ, "LC_ALL": "C.UTF-8"})
    return result.returncode, result.stdout.rstrip("\n").split("\n") if result.stdout else [], result.stderr


def commands(page):
    """The lines of all blocks of commands, each with its place. A line may go on in the next."""
    for block in pages.split(page.read_text(encoding="utf-8"))[1]:
        if block.language == "sh":
            text = "\n".join(block.lines).replace("\\\n", " \0")
            for number, line in enumerate(text.split("\n")):
                yield f"{page.name}:{block.line + number}", line.replace("\0", "").strip()


class Help:
    """The options of each subcommand, read once."""

    def __init__(self):
        self.known = {}

    def of(self, *words):
        if words not in self.known:
            result = subprocess.run([PROGRAM, *words, "--help"], capture_output=True, text=True, check=False)
            self.known[words] = result.stdout if result.returncode == 0 else None
        return self.known[words]


def wrong_commands(place, line, help_of):
    """What is wrong with a command: a subcommand, an option or a script that is not there."""
    if not re.search(r"(~/maskgrad/bin|build)/maskgrad |^(scripts|benchmarks)/", line):
        return
    words = shlex.split(line, comments=True)
    found = [i for i, word in enumerate(words) if re.fullmatch(r"(~/maskgrad/bin|build)/maskgrad", word)]
    if words[0].startswith(("scripts/", "benchmarks/")) and not (pages.SOURCE / words[0]).exists():
        yield f"{place}: there is no {words[0]}"
    if not found or found[0] + 1 == len(words) or words[found[0] + 1].startswith("-"):
        return
    words = words[found[0] + 1:]
    text = help_of.of(words[0])
    if text is None:
        yield f"{place}: there is no subcommand {words[0]}"
    elif words[0] in ("train", "data") and len(words) > 1:
        text = help_of.of(*words[:2]) or text
    for word in words:
        if word.startswith("--") and not re.search(re.escape(word) + r"\b", text or ""):
            yield f"{place}: {words[0]} has no {word}"


class Commands(unittest.TestCase):
    def test_marked_commands_print_what_the_pages_say(self):
        for page in pages.pages():
            with tempfile.TemporaryDirectory() as name:
                folder = pathlib.Path(name)
                make_work(folder)
                for block, expected in runs(page):
                    with self.subTest(f"{page.name}:{block.line}"):
                        code, printed, errors = run_block(block, folder)
                        self.assertEqual(code, 0, errors)
                        varies = block.marker == VARY
                        if expected is not None and not agrees(expected, printed, varies):
                            self.assertEqual(expected, printed)

    def test_all_commands_are_there(self):
        help_of = Help()
        wrong = [w for page in pages.pages() for place, line in commands(page)
                 for w in wrong_commands(place, line, help_of)]
        self.assertEqual(wrong, [])

    def test_no_marker_is_misspelt(self):
        for page in pages.pages():
            for block in pages.split(page.read_text(encoding="utf-8"))[1]:
                if "run by" in block.marker:
                    self.assertIn(block.marker, MARKERS, f"{page.name}:{block.line}")
                    self.assertEqual(block.language, "sh", f"{page.name}:{block.line}")

    def test_differences_are_found(self):
        self.assertTrue(agrees(["a 1", "...", "b"], ["a 1", "x", "y", "b "], False))
        self.assertFalse(agrees(["a 1", "...", "b"], ["a 2", "b"], False))
        self.assertFalse(agrees(["a", "...", "b"], ["a", "x"], False))
        self.assertTrue(agrees(["loss  1.25  of 1,000"], ["loss 0.5e-7 of 3"], True))
        self.assertFalse(agrees(["loss  1.25"], ["loss  nan"], True))
        row = " 0 x ###.......  0 x ::..++..::..::..::"
        self.assertTrue(agrees([row], [row.replace("::..", "**++")], True))
        self.assertFalse(agrees([row], [row.replace("###.", "####")], True), "what a mask keeps does not vary")
        self.assertFalse(agrees([row], [row.replace("::", "  ")], True), "nor which weights there are")
        found = wrong_commands("p:1", "build/maskgrad train blog --out x --colour red", Help())
        self.assertEqual(list(found), ["p:1: train has no --colour"])
        self.assertEqual(list(wrong_commands("p:2", "scripts/none --help", Help())), ["p:2: there is no scripts/none"])


if __name__ == "__main__":
    unittest.main()
