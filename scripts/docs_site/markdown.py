"""Markdown to HTML by cmark-gfm, with anchors, links within the site, and names that lead to the API."""

import html
import re
import subprocess


def without_comments(text):
    """The text without lines that are comments, but for those in blocks of code."""
    kept, inside = [], False
    for line in text.split("\n"):
        inside ^= line.strip().startswith("```")
        if inside or not re.fullmatch(r" *<!--.*-->", line):
            kept.append(line)
    return "\n".join(kept)


def render(text):
    result = subprocess.run(["cmark-gfm", "-e", "table", "-e", "strikethrough"], input=without_comments(text),
                            capture_output=True, text=True, check=True)
    if "<!-- raw HTML omitted -->" in result.stdout:
        raise SystemExit("docs: a page holds HTML of its own")
    return result.stdout


def text_of(fragment):
    return html.unescape(re.sub(r"<[^>]*>", "", fragment))


def slug(heading):
    """The anchor of a heading, by the rule of GitHub."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


class Anchors:
    """Anchors of a page: the second of two equal ones gets -1."""

    def __init__(self):
        self.counts = {}

    def make(self, heading):
        name = slug(heading)
        count = self.counts.get(name, 0)
        self.counts[name] = count + 1
        return f"{name}-{count}" if count else name


def heading(level, inner, anchor):
    link = f'<a class="anchor" href="#{anchor}" aria-label="Link to this section">#</a>'
    return f'<h{level} id="{anchor}">{inner}{link}</h{level}>'


def with_anchors(page):
    """The page with anchors, and its headings of level 2 as (anchor, inner HTML)."""
    anchors, found = Anchors(), []

    def replace(match):
        anchor = anchors.make(text_of(match[2]))
        if match[1] == "2":
            found.append((anchor, re.sub(r"</?a[^>]*>", "", match[2])))
        return heading(int(match[1]), match[2], anchor)

    return re.sub(r"<h([1-6])>(.*?)</h\1>", replace, page, flags=re.S), found


def scrolling(page):
    """Tables in boxes of their own, which scroll where they are wider than the page."""
    return page.replace("<table>", '<div class="scroll"><table>').replace("</table>", "</table></div>")


def relinked(page, resolve):
    """The page with each relative link as `resolve` has it: the address, and the title of a page that it names."""

    def replace(match):
        address = html.unescape(match[1])
        if re.match(r"(\w+:|#)", address):
            return match[0]
        new, title = resolve(address)
        shown = html.escape(title) if title and match[2].endswith(".md") else match[2]
        return f'<a href="{html.escape(new)}">{shown}</a>'

    return re.sub(r'<a href="([^"]*)">(.*?)</a>', replace, page, flags=re.S)


class Names:
    """Where the names of the API stand. A name that stands at two places leads to none."""

    def __init__(self):
        self.places = {}

    def add(self, name, place):
        """`name` is "Tape" or, for a function, "check_op()"."""
        self.places[name] = None if self.places.get(name, place) != place else place

    def link(self, name, shown):
        place = self.places.get(name)
        return f'<a href="{place}">{shown}</a>' if place else shown

    def in_code(self, code):
        """Escaped C++ in which types, and functions that are called, are links."""
        own = set(re.findall(r"\b(?:struct|class|enum class|using) (\w+)", code))

        def replace(match):
            name = match[1]
            if name in own:
                return match[0]
            key = name + "()" if match[2] else name
            return self.link(key, name) + (match[2] or "")

        return re.sub(r"(?<![\w.&;/])([A-Za-z]\w+)\b(\()?", replace, code)


def dimmed(code, comment):
    """Escaped code with its comments in a span."""
    return re.sub(rf"(?<![^\s])({comment}.*)$", r'<span class="c">\1</span>', code, flags=re.M)


def highlighted(page, names):
    """Comments of code dimmed, and names of the API as links, in blocks and in prose."""

    def block(match):
        language, code = match[1], match[2]
        if language == "cpp":
            parts = re.split(r"((?:^|(?<=\s))//.*$)", code, flags=re.M)
            code = "".join(f'<span class="c">{part}</span>' if i % 2 else names.in_code(part)
                           for i, part in enumerate(parts))
        elif language in ("sh", "cmake"):
            code = dimmed(code, "#")
        return f'<pre tabindex="0"><code class="{language}">{code}</code></pre>'

    def inline(match):
        return f"<code>{names.link(match[1], match[1])}</code>"

    page = re.sub(r'<pre><code(?: class="language-(\w+)")?>(.*?)</code></pre>',
                  lambda m: block([m[0], m[1] or "", m[2]]), page, flags=re.S)
    return re.sub(r"(?<!>)<code>([A-Za-z_]\w+(?:\(\))?)</code>(?!</a>)", inline, page)
