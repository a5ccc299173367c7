"""What a header declares: its comment, and each declaration with the comment above it."""

import dataclasses
import re


@dataclasses.dataclass
class Item:
    """Declarations that stand together under one comment. Without code it is a text for what follows."""
    comment: list
    code: list
    names: list
    members: list = dataclasses.field(default_factory=list)  # of a class whose members have comments
    fields: list = dataclasses.field(default_factory=list)  # names of a class's public fields


@dataclasses.dataclass
class Header:
    name: str  # "tensor/shape.hpp"
    comment: list
    items: list


def bare(line):
    """A line without strings and comments, for counting brackets."""
    return re.sub(r"//.*", "", re.sub(r'"(\\.|[^"\\])*"|\'(\\.|[^\'\\])\'', "", line))


def depth_of(line):
    line = bare(line)
    return sum(line.count(c) for c in "({[") - sum(line.count(c) for c in ")}]")


def take_declaration(lines, i):
    """The lines of the declaration that begins at line i."""
    depth, first = 0, i
    while i < len(lines):
        depth += depth_of(lines[i])
        ends = bare(lines[i]).rstrip().endswith((";", "}"))
        i += 1
        if depth <= 0 and ends:
            break
    return lines[first:i]


def names_in(code):
    """The names that a declaration makes known."""
    text = " ".join(bare(line) for line in code)
    text = re.sub(r"^\s*template <.*?> (?=\w)", "", text)
    text = re.sub(r"\[\[\w+\]\] ", "", text).strip()
    kind = re.match(r"(?:class|struct|enum class|enum|concept|using) (\w+)", text)
    if kind:
        return [kind[1]]
    constant = re.match(r"(?:inline )?const(?:expr|init) [\w:<>*(), &]+?\b(k[A-Z]\w*)\b", text)
    if constant:
        return [constant[1]]
    function = re.search(r"(?<![\w:])(~?\w+|operator[^\w\s(]+)\(", text)
    return [function[1]] if function else []


def fields_in(code):
    """The names of the public fields of a class: at its own depth, with or without starting values."""
    found, depth = [], 0
    for line in public_part(code):
        text = bare(line)
        is_other = re.match(r"\s*(using|friend|static|enum|struct|class)\b", text)
        if depth == 1 and text.rstrip().endswith(";") and not is_other:
            text = re.sub(r"<[^;=]*>", "", text.strip().rstrip(";"))
            parts = [part.partition("=")[0].strip() for part in re.split(r",(?![^({]*[)}])", text)]
            names = [re.search(r"(?:^|[\s&*])(\w+)$", part) for part in parts if not re.search(r"[()]", part)]
            found += [name[1] for name in names if name]
        depth += depth_of(line)
    return found


def is_field(declaration):
    text = " ".join(bare(line) for line in declaration).partition("=")[0]
    return "(" not in text and not re.match(r"\s*(template|class|struct|enum|using|concept)\b", text)


def members_of(code):
    """The public members of a class, as items, where one has a comment."""
    inner = []
    for line in code[1:-1]:
        if line == " private:":
            break
        inner += ["// For classes that derive from it:", ""] if line == " protected:" else [line]
    body = [line.removeprefix("  ") for line in inner if line != " public:"]
    return items_of(body, of_class=True) if any(line.startswith("///") for line in body) else []


def public_part(code):
    """A declaration without the private members of its class."""
    for i, line in enumerate(code):
        if line == " private:":
            kept = code[:i]
            while kept and not kept[-1].strip():
                kept.pop()
            return kept + code[-1:]
    return code


def close_of(text, i):
    """Behind the bracket that closes the one at i."""
    depth = 0
    for k in range(i, len(text)):
        depth += (text[k] == "(") - (text[k] == ")")
        if depth == 0:
            return k + 1
    return len(text)


def signature(declaration):
    """A function without its body and without what its constructor sets. Anything else as it is."""
    text = "\n".join(declaration)
    if re.match(r"(template <.*>\s+)?(class|struct|enum|concept|using)\b", text):
        return declaration
    opening = re.search(r"(?<!requires)(?<!operator)\(", text)
    if not opening:
        return declaration
    end = close_of(text, opening.start())
    rest = re.match(r"((?: const| noexcept| override)*)\s*(?::\s|\{)", text[end:])
    return f"{text[:end]}{rest[1]};".split("\n") if rest else declaration


def make_item(comment, declarations):
    code = [line for declaration in declarations for line in signature(declaration)]
    names = []
    for declaration in declarations:
        names += [name for name in names_in(declaration) if name not in names]
    is_class = re.search(r"^(template <.*> )?(class|struct) \w+.*\{$", " ".join(code[:2]).split("{")[0] + "{")
    members = members_of(code) if is_class and len(declarations) == 1 and len(code) > 2 else []
    fields = fields_in(code) if is_class and len(declarations) == 1 else []
    return Item(comment, public_part(code), names, members, fields)


def items_of(lines, of_class=False):
    """Comments and what they describe. In a class, a comment above a field is of this field alone."""
    items, comment, declarations, i = [], [], [], 0

    def flush():
        nonlocal comment, declarations
        if comment or declarations:
            items.append(make_item(comment, declarations))
        comment, declarations = [], []

    while i < len(lines):
        line = lines[i]
        if not line.strip():
            flush()
            i += 1
        elif line.startswith("//"):
            if declarations:
                flush()
            comment.append(re.sub(r"^///? ?", "", line))
            i += 1
        elif line.startswith("#"):  # a macro: none is public
            while lines[i].endswith("\\"):
                i += 1
            i += 1
        else:
            declaration = take_declaration(lines, i)
            i += len(declaration)
            # A comment beside a declaration is all that is said of it.
            if declarations and ("///<" in declaration[-1]) != ("///<" in declarations[-1][-1]):
                flush()
            declarations.append(declaration)
            if of_class and comment and lines[i - len(declaration) - 1].startswith("///") and is_field(declaration):
                flush()
    flush()
    return items


def inside_namespaces(lines):
    """The lines of a header without those of its namespaces, and without parts that are internal."""
    kept, skipping = [], False
    for line in lines:
        if re.match(r"namespace (detail|\w+_parts) \{", line):
            skipping = True
        elif skipping:
            skipping = not re.match(r"\}  // namespace (detail|\w+_parts)", line)
        elif not re.match(r"((?:inline )?namespace [\w:]+ \{|\}  // namespace)", line):
            kept.append(line)
    return kept


def read_header(path, name):
    lines = path.read_text(encoding="utf-8").split("\n")
    comment = []
    while lines and lines[0].startswith("//"):
        comment.append(re.sub(r"^// ?", "", lines.pop(0)))
    return Header(name, comment, items_of(inside_namespaces(lines)))
