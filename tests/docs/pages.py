"""The pages of the documentation: what stands in code blocks, headings, anchors, links."""

import dataclasses
import pathlib
import re

SOURCE = pathlib.Path(__file__).resolve().parents[2]


def pages(source=SOURCE):
    return [source / "README.md", source / "CONTRIBUTING.md", *sorted((source / "docs").rglob("*.md"))]


@dataclasses.dataclass
class Block:
    language: str
    line: int  # of its first line, from 1 on
    lines: list
    marker: str  # the comment on the line before, if any


def split(text):
    """The prose, with empty lines in place of code, and the blocks of code."""
    prose, blocks, block, before = [], [], None, ""
    for number, line in enumerate(text.split("\n"), 1):
        fence = re.match(r" *```(\w*) *$", line)
        if fence and block is None:
            block = Block(fence[1], number + 1, [], before.strip() if before.strip().startswith("<!--") else "")
        elif fence:
            blocks.append(block)
            block = None
        elif block is not None:
            block.lines.append(line)
        prose.append(line if block is None and not fence else "")
        before = line
    if block is not None:
        raise ValueError(f"line {block.line - 1}: a block of code without an end")
    return "\n".join(prose), blocks


def plain(heading):
    """A heading as it is read: without marks and the addresses of links."""
    return re.sub(r"[`*]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading))


def anchors(text):
    """The anchors of a page's headings, by the rule of GitHub."""
    found = {}
    for heading in re.findall(r"^#{1,6} +(.*?) *$", split(text)[0], re.M):
        slug = re.sub(r"[^\w\- ]", "", plain(heading).lower()).replace(" ", "-")
        count = found.get(slug, 0)
        found[slug] = count + 1
        if count:
            found[f"{slug}-{count}"] = 1
    return set(found)


def links(text):
    """The addresses of all links of a page, each with its line."""
    prose = split(text)[0]
    # Code is blanked out with as many lines, so that lines keep their numbers.
    bare = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", lambda m: "\n" * m[0].count("\n"), prose, flags=re.S)
    for match in re.finditer(r"\]\(([^)\s]+)\)", bare):
        yield bare.count("\n", 0, match.start()) + 1, match[1]
