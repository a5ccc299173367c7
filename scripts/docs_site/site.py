"""The whole site: guides, reference and API, as files that link to each other by relative addresses."""

import html
import json
import pathlib
import re
import shutil

from docs_site import api, headers, look, markdown

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIRST = ["README.md", "docs/training.md", "docs/masks.md", "docs/gates.md", "docs/arithmetic.md"]
REFERENCE = ["docs/layers.md", "docs/ops.md", "docs/headers.md", "docs/formats.md"]


def sources():
    """The pages in Markdown, in the order of the navigation."""
    found = ["README.md", *(p.relative_to(ROOT).as_posix() for p in sorted((ROOT / "docs").rglob("*.md"))),
             "CONTRIBUTING.md"]
    first = [name for name in FIRST if name in found]
    return first + [name for name in found if name not in first + REFERENCE] + REFERENCE


def file_of(source):
    return "index.html" if source == "README.md" else pathlib.PurePath(source).stem.lower() + ".html"


class Page:
    def __init__(self, source):
        self.source = source
        self.file = file_of(source)
        text = (ROOT / source).read_text(encoding="utf-8")
        self.html, self.headings = markdown.with_anchors(markdown.render(text))
        title = re.search(r"<h1[^>]*>(.*?)</h1>", self.html, re.S)
        self.title = markdown.text_of(title[1]).removesuffix("#") if title else source


class Site:
    def __init__(self, out):
        self.out = out
        self.pages = [Page(source) for source in sources()]
        of_file = {}
        for page in self.pages:
            other = of_file.setdefault(page.file, page.source)
            if other != page.source:
                raise SystemExit(f"scripts/docs: {other} and {page.source} would both be {page.file}")
        listed = re.findall(r"<maskgrad/([\w/]+\.hpp)>", (ROOT / "docs" / "headers.md").read_text(encoding="utf-8"))
        paths = [(name, ROOT / "src" / name) for name in dict.fromkeys(listed)]
        self.headers = [headers.read_header(path, name) for name, path in paths if path.exists()]
        self.names = markdown.Names()
        for header in self.headers:
            for name, place in api.places(header):
                self.names.add(name, place)
        reference = [page for page in self.pages if page.source in REFERENCE]
        guides = [page for page in self.pages if page.source not in REFERENCE]
        self.groups = [(title, [(page.file, page.title) for page in some])
                       for title, some in (("Guides", guides), ("Reference", reference))]

    def write(self, file, title, body, headings):
        is_api = file.startswith("api.")
        groups = [("On this page", [(f"#{a}", markdown.text_of(name)) for a, name in headings]), *self.groups]
        navigation = look.navigation(groups if is_api else self.groups, file, headings)
        text = look.PAGE.format(title=html.escape(title), navigation=navigation, body=body)
        (self.out / file).write_text(text, encoding="utf-8")

    def resolve(self, page, address):
        """The address in the site of what a page links to, and its title. Files of the tree are copied."""
        path, _, anchor = address.partition("#")
        target = (ROOT / page.source).parent.joinpath(path).resolve()
        source = target.relative_to(ROOT).as_posix()
        known = {page.source: page for page in self.pages}
        if source not in known:
            copy = f"files/{source}.txt"  # by its path: two files may have one name
            (self.out / copy).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(target, self.out / copy)
            return copy, None
        return known[source].file + (f"#{anchor}" if anchor else ""), known[source].title

    def link_headers(self, text):
        """Names of headers as links to their pages of the API."""
        files = {header.name: api.page_of(header.name) for header in self.headers}

        def replace(match):
            file = files.get(match[1])
            return f'<code><a href="{file}">{match[0][6:-7]}</a></code>' if file else match[0]

        return re.sub(r"<code>&lt;maskgrad/([\w/]+\.hpp)&gt;</code>", replace, text)

    def write_page(self, page):
        body = markdown.relinked(page.html, lambda address: self.resolve(page, address))
        body = self.link_headers(markdown.highlighted(markdown.scrolling(body), self.names))
        self.write(page.file, page.title if page.file == "index.html" else f"{page.title} - maskgrad", body,
                   page.headings)

    def index(self):
        """[name, place, where] of all that can be found."""
        entries = [[page.title, page.file, ""] for page in self.pages]
        for page in self.pages:
            entries += [[markdown.text_of(inner), f"{page.file}#{anchor}", page.title]
                        for anchor, inner in page.headings]
            if page.file == "ops.html":
                entries += [[anchor, f"ops.html#{anchor}", "operation"]
                            for anchor in re.findall(r'<h3 id="(\w+)"', page.html)]
        for header in self.headers:
            entries.append([header.name, api.page_of(header.name), "header"])
            entries += [[name, place, header.name] for name, place in api.places(header)]
            entries += [list(entry) for entry in api.fields(header)]
        return entries

    def write_all(self):
        self.out.mkdir(parents=True, exist_ok=True)
        for page in self.pages:
            self.write_page(page)
        for header in self.headers:
            self.write(api.page_of(header.name), f"{header.name} - maskgrad", api.body(header, self.names),
                       api.headings(header))
        (self.out / "style.css").write_text(look.STYLE.lstrip(), encoding="utf-8")
        (self.out / "site.js").write_text(look.SCRIPT.lstrip(), encoding="utf-8")
        (self.out / "index.js").write_text(f"const INDEX = {json.dumps(self.index())};\n", encoding="utf-8")
        return len(self.pages) + len(self.headers)
