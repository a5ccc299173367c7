"""Pages of the API: a page for each public header."""

import html
import re

from docs_site import markdown

WIDTH = 100  # of a line of a header


def page_of(header_name):
    return "api." + header_name.replace("/", ".").replace(".hpp", ".html")


def paragraphs(comment):
    """The blocks of a comment: (lines, whether they are code)."""
    block, code = [], False
    for line in [*comment, ""]:
        is_code = line.startswith("  ")
        if block and (not line or is_code != code):
            yield block, code
            block = []
        if line:
            block.append(line)
            code = is_code
    # A block without an end cannot be: the last line is empty.


def flowing(lines):
    """Lines as HTML. A line stays a line where the next two words would have had room."""
    out = ""
    for line, following in zip(lines, [*lines[1:], ""]):
        out += html.escape(line.strip(), quote=False)
        if following:
            words = " ".join(following.split()[:2])
            out += "<br>\n" if len(line) + len(words) + 7 <= WIDTH or following.startswith("- ") else "\n"
    return out


def named(text, names):
    """Escaped prose in which names of the API that are spelt as code are links."""
    return re.sub(r"(?<![\w:.])([A-Za-z]\w*)(\(\))?(?![\w(])", lambda m: linked(m, names), text)


def linked(match, names):
    word, call = match[1], match[2] or ""
    # A word with one capital is a type as often as it begins a sentence.
    is_type = re.match(r"[A-Z][a-z]\w*[A-Z]", word)
    return names.link(word + call, word + call) if call or is_type else match[0]


def prose(comment, names):
    out = []
    for lines, is_code in paragraphs(comment):
        if is_code:
            shift = min(len(line) - len(line.lstrip()) for line in lines)
            code = html.escape("\n".join(line[shift:] for line in lines), quote=False)
            out.append(f'<pre tabindex="0"><code>{code}</code></pre>')
        else:
            text = re.sub(r"`([^`]+)`", r"<code>\1</code>", named(flowing(lines), names))
            out.append(f"<p>{text}</p>")
    return "\n".join(out)


def code_block(lines, names):
    escaped = html.escape("\n".join(lines), quote=False)
    return markdown.highlighted(f'<pre><code class="language-cpp">{escaped}</code></pre>', names)


def is_elsewhere(item):
    """Whether the item only says that a class is declared elsewhere, or defines what a class declares."""
    if item.comment or not item.code:
        return False
    declared = all(re.fullmatch(r"(class|struct) \w+;", line) for line in item.code)
    return declared or re.search(r"\b[A-Z]\w+(<\w+>)?::~?\w+\(", " ".join(item.code[:3]))


def head_of(code):
    """The lines of a class before its opening bracket."""
    for i, line in enumerate(code):
        if line.rstrip().endswith("{"):
            return [*code[:i], line.rstrip(" {")]
    return code


def item_html(item, names, ids, level):
    out = []
    if level == 1 and item.names:
        anchors = [ids.make(name) for name in item.names]
        others = [f'<span id="{anchor}">{html.escape(name)}</span>' for anchor, name in zip(anchors[1:], item.names[1:])]
        shown = ", ".join([html.escape(item.names[0]), *others])
        out.append(markdown.heading(2, f"<code>{shown}</code>", anchors[0]))
    code = head_of(item.code) if item.members else item.code
    if code:
        out.append(code_block(code, names))
    out.append(prose(item.comment, names))
    if item.members:
        inner = "\n".join(item_html(member, names, ids, level + 1) for member in item.members)
        out.append(f'<div class="members">{inner}</div>')
    return '<div class="item">' + "\n".join(part for part in out if part) + "</div>"


def shown_items(header):
    return [item for item in header.items if not is_elsewhere(item)]


def places(header):
    """(name, page#anchor) of what a header declares; a function's name has brackets."""
    ids = markdown.Anchors()
    for item in shown_items(header):
        for name in item.names:
            anchor = ids.make(name)
            is_type = re.search(rf"\b(class|struct|enum|using|concept)\b[^;(]*\b{re.escape(name)}\b",
                                " ".join(item.code[:3]))
            is_constant = re.match(r"k[A-Z]", name)
            yield (name if is_type or is_constant else name + "()"), f"{page_of(header.name)}#{anchor}"


def fields(header):
    """(name, page#anchor of its class, "Class in header") of each public field."""
    ids = markdown.Anchors()
    for item in shown_items(header):
        anchors = [ids.make(name) for name in item.names]
        for field in item.fields:
            yield field, f"{page_of(header.name)}#{anchors[0]}", f"{item.names[0]} in {header.name}"


def body(header, names):
    ids = markdown.Anchors()
    out = [f"<h1><code>{html.escape(header.name)}</code></h1>", prose(header.comment, names)]
    out.append(code_block([f"#include <maskgrad/{header.name}>"], names))
    out += [item_html(item, names, ids, 1) for item in shown_items(header)]
    return "\n".join(out)


def headings(header):
    ids = markdown.Anchors()
    return [(ids.make(name), html.escape(name)) for item in shown_items(header) for name in item.names]
