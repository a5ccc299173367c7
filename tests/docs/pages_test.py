"""Every relative link and #anchor of the documentation leads somewhere, every page is linked, all C++ is tested."""

import pathlib
import re
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import pages  # noqa: E402


def broken_links(page, root):
    """Each link that leads nowhere, as 'page:line: what is wrong'."""
    text = page.read_text(encoding="utf-8")
    for line, address in pages.links(text):
        where = f"{page.relative_to(root)}:{line}: {address}"
        if address.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = address.partition("#")
        target = (page.parent / path).resolve() if path else page
        if root not in target.parents:
            yield f"{where} leads out of the tree"
        elif not target.exists():
            yield f"{where} does not exist"
        elif anchor and target.suffix != ".md":
            yield f"{where} is an anchor in no page"
        elif anchor and anchor not in pages.anchors(target.read_text(encoding="utf-8")):
            yield f"{where} is no heading"


def linked_pages(start):
    """The pages that links lead to from `start`, over any number of pages."""
    found, waiting = {start}, [start]
    while waiting:
        page = waiting.pop()
        for _, address in pages.links(page.read_text(encoding="utf-8")):
            target = (page.parent / address.partition("#")[0]).resolve()
            if target.suffix == ".md" and target.exists() and target not in found:
                found.add(target)
                waiting.append(target)
    return found


def long_lines(page):
    """Lines of prose that are longer than 120 characters. Rows of tables may be."""
    prose, _ = pages.split(page.read_text(encoding="utf-8"))
    return [f"{page.name}:{number}: {len(line)} characters" for number, line in enumerate(prose.split("\n"), 1)
            if len(line) > 120 and not line.startswith("|")]


# Made from the headers by scripts that a test runs again.
MADE = ("layers.md", "ops.md")


def untested(page):
    """The blocks of C++ that no test takes from the page."""
    marker = re.compile(r"<!-- (compiled by the tests|from tests/\S+|tests: \S+) -->")
    _, blocks = pages.split(page.read_text(encoding="utf-8"))
    return [f"{page.name}:{b.line}" for b in blocks if b.language == "cpp" and not marker.fullmatch(b.marker)]


def misquoted(page):
    """The blocks behind "<!-- from tests/... -->" that are no part of that file, whatever the indentation."""
    without_indent = lambda lines: "\n".join(line.strip() for line in lines)
    for block in pages.split(page.read_text(encoding="utf-8"))[1]:
        if file := re.fullmatch(r"<!-- from (tests/\S+) -->", block.marker):
            text = (pages.SOURCE / file[1]).read_text(encoding="utf-8")
            if without_indent(block.lines) not in without_indent(text.split("\n")):
                yield f"{page.name}:{block.line}"


def cut_off(name, text):
    """The blocks of C++ in which something opens and does not close: a declaration that ends early."""
    _, blocks = pages.split(text)
    for block in blocks:
        code = re.sub(r"//.*", "", "\n".join(block.lines))
        if block.language == "cpp" and any(code.count(a) != code.count(b) for a, b in ("{}", "()", "[]")):
            yield f"{name}:{block.line}"


def made_folders(text):
    """The folders that the commands of a page make in the tree."""
    _, blocks = pages.split(text)
    for block in blocks:
        for line in block.lines:
            if line.startswith("build/maskgrad ") and (out := re.search(r" --out ([\w-]+)(?:/| |$)", line)):
                yield out[1]
            if package := re.match(r"scripts/package ([\w-]+)$", line):
                yield package[1]


class Pages(unittest.TestCase):
    def test_every_link_leads_somewhere(self):
        broken = [b for page in pages.pages() for b in broken_links(page, pages.SOURCE)]
        self.assertEqual(broken, [])

    def test_links_lead_from_the_readme_to_every_page(self):
        self.assertEqual(set(pages.pages()) - linked_pages(pages.SOURCE / "README.md"), set())

    def test_no_line_of_prose_is_longer_than_120_characters(self):
        self.assertEqual([line for page in pages.pages() for line in long_lines(page)], [])

    def test_all_programs_are_taken_by_a_test(self):
        self.assertEqual([b for page in pages.pages() if page.name not in MADE for b in untested(page)], [])

    def test_what_is_quoted_from_a_test_stands_there(self):
        self.assertEqual([block for page in pages.pages() for block in misquoted(page)], [])
        with tempfile.NamedTemporaryFile("w", suffix=".md") as page:
            page.write("<!-- from tests/adding/op/cube.hpp -->\n```cpp\nint no_such_line;\n```\n")
            page.flush()
            self.assertEqual(len(list(misquoted(pathlib.Path(page.name)))), 1)

    def test_every_declaration_of_a_made_page_is_whole(self):
        made = [page for page in pages.pages() if page.name in MADE]
        self.assertEqual([b for page in made for b in cut_off(page.name, page.read_text(encoding="utf-8"))], [])

    def test_git_ignores_what_the_commands_of_the_pages_make(self):
        made = {folder for page in pages.pages() for folder in made_folders(page.read_text(encoding="utf-8"))}
        self.assertIn("runs", made)
        ignored = (pages.SOURCE / ".gitignore").read_text(encoding="utf-8").split("\n")
        self.assertEqual([folder for folder in sorted(made) if f"/{folder}/" not in ignored], [])

    def test_a_declaration_that_is_cut_off_is_found(self):
        whole = "```cpp\nstruct A {  // ( alone\n  int b = {};\n};\n```\n"
        self.assertEqual(list(cut_off("p.md", whole)), [])
        self.assertEqual(list(cut_off("p.md", whole.replace("\n};\n", "\n"))), ["p.md:2"])

    def test_a_link_that_leads_nowhere_is_found(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder).resolve()
            page = root / "page.md"
            page.write_text("# A `b` C\n## A b c\n[x](#a-b-c) [x](#a-b-c-1) `[x](none.md)`\n"
                            "```sh\n[x](none.md)\n```\n[1](#a-b) [2](none.md)\n[3](page.md#d) [4](../x)\n",
                            encoding="utf-8")
            self.assertEqual([b.split(": ")[0] for b in broken_links(page, root)],
                             ["page.md:7", "page.md:7", "page.md:8", "page.md:8"])


if __name__ == "__main__":
    unittest.main()
