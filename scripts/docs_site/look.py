"""How a page of the site looks."""

import html

STYLE = """
:root { color-scheme: light dark; --back: #fff; --text: #1d2129; --dim: #667; --line: #dde0e6; --code: #f4f5f8;
  --link: #0b57b0; --shade: #0003; }
@media (prefers-color-scheme: dark) { :root { --back: #15181e; --text: #dfe3ea; --dim: #98a0ae; --line: #323844;
  --code: #1e222b; --link: #7db4ff; --shade: #fff3; } }
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; }
body { margin: 0; background: var(--back); color: var(--text); font: 16px/1.55 system-ui, sans-serif;
  overflow-wrap: break-word; }
a { color: var(--link); text-decoration: none; }
a:hover { text-decoration: underline; }
.page { display: grid; grid-template-columns: 15rem minmax(0, 52rem); gap: 2.5rem; max-width: 72rem; margin: 0 auto;
  padding: 0 1.25rem; }
.side { position: sticky; top: 0; align-self: start; max-height: 100vh; overflow-y: auto; padding: 1.5rem 0; }
.side h2 { font-size: .8rem; color: var(--dim); margin: 1.1rem 0 .2rem; border: 0; padding: 0; font-weight: 600; }
.side ul { list-style: none; margin: 0; padding: 0; }
.side li { padding: .12rem 0; }
.side ul ul { padding-left: .8rem; font-size: .88rem; }
.side [aria-current] { color: inherit; font-weight: 600; }
.side input { width: 100%; font: inherit; padding: .35rem .5rem; color: inherit; background: var(--code);
  border: 1px solid var(--line); border-radius: .3rem; }
.side summary { font-weight: 600; padding: .6rem 0; cursor: pointer; }
main { padding: 1rem 0 4rem; min-width: 0; }
h1, h2, h3, h4 { line-height: 1.25; margin: 2rem 0 .7rem; }
h1 { margin-top: 1rem; font-size: 1.9rem; }
h2 { border-top: 1px solid var(--line); padding-top: 1.2rem; font-size: 1.4rem; }
h3 { font-size: 1.15rem; }
.anchor { margin-left: .4rem; color: var(--dim); opacity: 0; font-weight: 400; }
:hover > .anchor, .anchor:focus { opacity: 1; }
code, pre { font: .875em/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
code { background: var(--code); padding: .1em .3em; border-radius: .25em; }
pre { padding: .8rem 1rem; border-radius: .4rem; font-size: .84em; }
pre code { background: none; padding: 0; font-size: 1em; }
.c { color: var(--dim); }
/* A shadow at an edge shows that there is more to scroll to. */
.scroll, pre { overflow-x: auto; background: linear-gradient(to right, var(--here) 1.5rem, transparent) left,
  linear-gradient(to left, var(--here) 1.5rem, transparent) right,
  linear-gradient(to right, var(--shade), transparent) left, linear-gradient(to left, var(--shade), transparent) right,
  var(--here); background-size: 3rem 100%, 3rem 100%, .8rem 100%, .8rem 100%, 100% 100%;
  background-repeat: no-repeat; background-attachment: local, local, scroll, scroll, scroll; }
.scroll { --here: var(--back); }
pre { --here: var(--code); }
table { border-collapse: collapse; margin: .6rem 0; font-size: .93em; }
th, td { text-align: left; vertical-align: top; padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--line);
  overflow-wrap: normal; }
.item { margin: 1.6rem 0; }
.item pre { margin: .4rem 0; }
.item p { margin: .4rem 0; }
.members { margin-left: 1rem; padding-left: 1rem; border-left: 2px solid var(--line); }
.members .item { margin: 1rem 0; }
@media (min-width: 60rem) { .side summary { display: none; } }
@media (max-width: 59.99rem) {
  .page { display: block; padding: 0 1rem; }
  .side { position: static; max-height: none; padding: .3rem 0; border-bottom: 1px solid var(--line); }
  .anchor { opacity: .5; }
}
"""

# The box that finds pages, headings and names. Without scripts the site works all the same.
SCRIPT = """
const wide = matchMedia("(min-width: 60rem)"), menu = document.querySelector(".side details");
const fit = () => { menu.open = wide.matches; };
wide.addEventListener("change", fit);
fit();
const box = document.querySelector(".side input"), list = document.querySelector(".found");
box.hidden = false;
// "attention mask" finds AttentionMask and attention_mask.
const plain = name => name.toLowerCase().replace(/[\\s_-]/g, "");
box.addEventListener("input", () => {
  const text = plain(box.value);
  list.replaceChildren();
  if (!text) return;
  const rank = name => (name === text ? 0 : name.startsWith(text) ? 1 : 2);
  const found = INDEX.filter(entry => plain(entry[0]).includes(text));
  found.sort((a, b) => rank(plain(a[0])) - rank(plain(b[0])) || a[0].length - b[0].length);
  if (!found.length) {
    const nothing = document.createElement("li");
    nothing.textContent = "nothing found";
    list.append(nothing);
  }
  for (const [name, place, where] of found.slice(0, 20)) {
    const link = document.createElement("a"), item = document.createElement("li");
    link.href = place;
    link.textContent = name;
    item.append(link, " " + where);
    list.append(item);
  }
});
"""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="style.css">
</head>
<body>
<div class="page">
<nav class="side">
<details open>
<summary>maskgrad: contents</summary>
<input type="search" placeholder="Find a name or heading" aria-label="Find a name or heading" hidden>
<ul class="found"></ul>
{navigation}
</details>
</nav>
<main>
{body}
</main>
</div>
<script src="index.js"></script>
<script src="site.js"></script>
</body>
</html>
"""


def navigation(groups, current, headings):
    """groups: (title, [(file, name)]). The current page is followed by its headings."""
    out = []
    for title, entries in groups:
        out.append(f"<h2>{html.escape(title)}</h2>\n<ul>")
        for file, name in entries:
            here = file == current
            mark = ' aria-current="page"' if here else ""
            out.append(f'<li><a href="{file}"{mark}>{html.escape(name)}</a>')
            if here and headings:
                out.append("<ul>" + "".join(f'<li><a href="#{a}">{inner}</a></li>' for a, inner in headings) + "</ul>")
            out.append("</li>")
        out.append("</ul>")
    return "\n".join(out)

