"""scripts/docs: the site that it builds, where cmark-gfm is installed."""

import html.parser
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))

import pages  # noqa: E402
from docs_site import headers, site  # noqa: E402

VOID = {"meta", "link", "input", "br", "hr", "img"}


class Reader(html.parser.HTMLParser):
    """Collects what a page has and what it refers to, and which tags are not closed in order."""

    def __init__(self):
        super().__init__()
        self.ids, self.addresses, self.open, self.wrong = [], [], [], []
        self.text, self.inside_box, self.wide = "", 0, []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.ids += [values["id"]] if "id" in values else []
        self.addresses += [values[key] for key in ("href", "src") if key in values]
        if tag == "table" and ("div", "scroll") not in self.open:
            self.wide.append("a table that does not scroll")
        if tag not in VOID:
            self.open.append((tag, values.get("class", "")))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop()[0] != tag:
            self.wrong.append(f"</{tag}> at line {self.getpos()[0]}")

    def handle_data(self, data):
        self.text += data


def read(path):
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    reader.close()
    return reader


def broken(site):
    """What is wrong with the pages of a site."""
    known = {path.name: read(path) for path in sorted(site.glob("*.html"))}
    for name, page in known.items():
        yield from (f"{name}: {what}" for what in page.wrong + page.wide + [f"{t} not closed" for t in page.open])
        yield from (f"{name}: two of #{i}" for i in sorted({i for i in page.ids if page.ids.count(i) > 1}))
        for address in page.addresses:
            if re.match(r"https?://", address):
                continue
            file, _, anchor = address.partition("#")
            if file and not (site / file).is_file():
                yield f"{name}: {address} does not exist"
            elif anchor and anchor not in known[file or name].ids:
                yield f"{name}: {address} is no anchor"


@unittest.skipUnless(shutil.which("cmark-gfm"), "cmark-gfm is not installed (scripts/prepare --with-docs)")
class Site(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.site = pathlib.Path(cls.folder.name) / "site"
        cls.printed = subprocess.run([pages.SOURCE / "scripts" / "docs", cls.site], capture_output=True, text=True,
                                     check=True).stdout

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_every_link_and_anchor_leads_somewhere(self):
        self.assertEqual(list(broken(self.site)), [])

    def test_nothing_comes_from_a_network(self):
        for path in filter(pathlib.Path.is_file, self.site.rglob("*")):
            text = path.read_text(encoding="utf-8")
            self.assertNotRegex(text, r'(src|<link[^>]*href)="?https?:|@import|url\(|fetch\(', path.name)

    def test_every_page_and_every_header_is_there(self):
        self.assertIn(str(self.site / "index.html"), self.printed)
        for page in pages.pages():
            name = "index" if page.stem == "README" else page.stem.lower()
            self.assertTrue((self.site / f"{name}.html").exists(), page)
        listed = re.findall(r"^\| `<maskgrad/([\w/]+)\.hpp>", (pages.SOURCE / "docs/headers.md").read_text(), re.M)
        self.assertGreater(len(listed), 100)
        for name in listed:
            self.assertTrue((self.site / f"api.{name.replace('/', '.')}.html").exists(), name)

    def test_a_page_of_the_api_has_what_the_header_declares(self):
        page = read(self.site / "api.ops.nn.softmax.html")
        self.assertTrue({"softmax", "log_softmax", "masked_softmax", "masked_log_softmax"} <= set(page.ids))
        self.assertIn("A row without a kept place is exactly 0 and sends exactly 0 back.", " ".join(page.text.split()))
        self.assertIn("api.tensor.autograd.variable.html#variable", page.addresses)
        self.assertNotIn("private", read(self.site / "api.tensor.mask.attention_mask.html").text)

    def test_functions_are_shown_without_their_bodies(self):
        page = read(self.site / "api.tensor.autograd.variable.html")
        self.assertIn("const Tensor& value() const;", page.text)
        self.assertNotIn("return value_", page.text)
        layer = read(self.site / "api.layers.layer.html").text
        self.assertIn("Variable operator()(const Variable& x);", layer)
        self.assertNotIn("Layer(kind, rule)", layer)

    def test_each_comment_stands_with_what_it_describes(self):
        text = " ".join(read(self.site / "api.ops.math.elementwise.html").text.split())
        self.assertRegex(text, r"Variable scale\(const Variable& x, Scalar factor\); factor \* x\.")
        self.assertRegex(text, r"Variable exp\(const Variable& x\); ///< e\^x")
        self.assertRegex(text, r"One floating input x of any shape\..*negate# Variable negate")

    def test_a_comment_above_a_field_is_of_this_field_alone(self):
        text = " ".join(read(self.site / "api.layers.transformer.html").text.split())
        self.assertRegex(text, r"bool norm_first = true; x \+ f\(norm\(x\)\), or norm\(x \+ f\(x\)\) where it is false")
        self.assertRegex(text, r"architecture\"\)\. Activation activation = Activation::kGelu; bool gated = false;")

    def found(self, text):
        """What the box of a page finds: (name, where) of each line, in a browser that is a stub."""
        stub = """
          const made = () => ({children: [], textContent: "", append(...more) { this.children.push(...more); },
                               replaceChildren() { this.children = []; },
                               addEventListener(name, act) { this.act = act; }});
          const parts = {".side details": made(), ".side input": made(), ".found": made()};
          globalThis.document = {querySelector: name => parts[name], createElement: made};
          globalThis.matchMedia = () => made();
        """
        ask = """
          parts[".side input"].value = process.argv[2];
          parts[".side input"].act();
          const line = item => [item.children[0]?.textContent ?? item.textContent, (item.children[1] ?? "").trim()];
          console.log(JSON.stringify(parts[".found"].children.map(line)));
        """
        with tempfile.NamedTemporaryFile("w", suffix=".js") as script:
            script.write(stub + (self.site / "index.js").read_text() + (self.site / "site.js").read_text() + ask)
            script.flush()
            printed = subprocess.run([shutil.which("node"), script.name, text], capture_output=True, text=True,
                                     check=True).stdout
        return [tuple(line) for line in json.loads(printed)]

    @unittest.skipUnless(shutil.which("node"), "node is not installed")
    def test_the_box_finds_fields_and_names_of_several_words_and_says_so_where_there_is_nothing(self):
        self.assertIn(("scaled_residual", "TransformerOptions in layers/transformer.hpp"),
                      self.found("scaled_residual"))
        self.assertIn(("val_every", "TrainingOptions in train/run/training_options.hpp"), self.found("val every"))
        self.assertIn(("AttentionMask", "tensor/mask/attention_mask.hpp"), self.found("attention mask"))
        self.assertEqual(self.found("no such name"), [("nothing found", "")])
        self.assertEqual(self.found(" "), [])

    def test_fields_are_those_that_a_class_shows(self):
        code = ["struct A {", "  int b = 1;  // c", "  std::map<int, char> d = {}, e;", "  int f(int g) const;",
                "  Kind k = make(1, 2);", "  enum class Kind { kOne };", "  std::function<void(int)> h = {};",
                "  struct In {", "    int deep;", "  };", " private:", "  int hidden_;", "};"]
        self.assertEqual(headers.fields_in(code), ["b", "d", "e", "k", "h"])

    def test_names_in_programs_lead_to_their_declarations(self):
        addresses = read(self.site / "index.html").addresses
        for name in ("train.run.train_in_folder.html#train_in_folder", "layers.sequential.html#sequential"):
            self.assertIn(f"api.{name}", addresses)

    def test_files_of_one_name_are_copied_side_by_side(self):
        with tempfile.TemporaryDirectory() as folder:
            one = site.Site(pathlib.Path(folder))
            addresses = [one.resolve(page, link)[0] for page, link in (
                (one.pages[0], "src/ops/nn/loss.hpp"), (one.pages[0], "tests/train/report/report_test.cpp"),
                (one.pages[0], "tests/apps/report_test.cpp"), (one.pages[1], "../tests/apps/report_test.cpp"))]
            self.assertEqual(len(set(addresses)), 3)
            for address, source in zip(addresses[1:], ("train/report", "apps", "apps")):
                self.assertEqual((one.out / address).read_bytes(),
                                 (pages.SOURCE / "tests" / source / "report_test.cpp").read_bytes())

    def test_two_pages_of_one_file_are_refused(self):
        with mock.patch.object(site, "sources", lambda: ["README.md", "docs/masks.md", "docs/masks.md", "docs/ops.md"]):
            site.Site(pathlib.Path("none"))  # one page twice is no two pages
        with mock.patch.object(site, "file_of", lambda source: "a.html"):
            with self.assertRaisesRegex(SystemExit, "would both be a.html"):
                site.Site(pathlib.Path("none"))

    def test_a_broken_site_is_found(self):
        with tempfile.TemporaryDirectory() as folder:
            site = pathlib.Path(folder)
            (site / "a.html").write_text('<p id="x"><a href="b.html">b</a><a href="#y">y</a><p id="x"></p>', "utf-8")
            self.assertEqual(len(list(broken(site))), 4)


if __name__ == "__main__":
    unittest.main()
