"""Writes collected figures as a page of Markdown."""

import statistics

from comparison.runs import ATTENTION_PEERS, BLOG_PEERS, OURS

MASKS = ("none", "causal", "padding", "window", "causal_padding", "segments")

INTRODUCTION = """\
# Benchmarks

Written by `benchmarks/compare` on {date}; run it again rather than edit it.

maskgrad and its peers do the same work with the same data sizes in float32, one program after the
other on {cores}. A program warms up, repeats, and takes its median; a figure here is the median
over {rounds}{turns}. A ratio above 1 means that maskgrad is faster.
"""

BLOG = """\
## A training step

One step of the blog's model of 49,145 parameters with padding masked: forward, backward and Adam.
It is small, so what is measured is mostly what a framework costs around the arithmetic. maskgrad's
step takes its batch from the data loader; PyTorch steps over batches that are ready; JAX compiles
a whole epoch into one loop; Keras trains through `fit()`.
"""

ATTENTION = """\
## Attention

`scaled_dot_product_attention` with batch {batch}, {heads} and {dim} features a head. Padding keeps
keys up to lengths spread evenly from S / 8 to S; window keeps |i - j| <= 64; segments are packed
documents of 128, causal inside. "Kept" is the share of pairs that a mask keeps, "of unmasked"
maskgrad's time as a share of its own with no mask. PyTorch gets no mask, `is_causal`, or a boolean
mask made beforehand.
"""

AGAIN = """\
## To repeat it

```sh
{commands}
```

`PYTHON` is an interpreter that has torch, jax, or tensorflow and keras; give several with several
`--python`. One program by itself:

```sh
{single}
```
"""


def table(header, rows, align):
    """Markdown; `align` has l or r for each column."""
    widths = [max(len(row[c]) for row in [header, *rows]) for c in range(len(header))]
    rule = ["-" * (w - 1) + ":" if a == "r" else "-" * w for a, w in zip(align, widths)]

    def line(row):
        cells = [x.rjust(w) if a == "r" else x.ljust(w) for x, a, w in zip(row, align, widths)]
        return "| " + " | ".join(cells) + " |"

    return "\n".join(line(row) for row in [header, rule, *rows])


def plural(count, noun):
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def show(value):
    """Three digits that count, and no more than two behind the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def median(collected, program, key):
    """Of all rounds, or None."""
    values = collected.figures.get(program, {}).get(key)
    return statistics.median(values) if values else None


def compared(collected, peer, key, benchmark):
    """Two cells: the peer's figure and how many times ours that is; or why there is none."""
    value = median(collected, peer, key)
    if value is None or (peer, benchmark) in collected.absent:
        return [collected.absent.get((peer, benchmark), "-"), ""]
    return [show(value), f"{value / median(collected, OURS, key):.2f}"]


def blog_table(collected):
    keys = ("blog_step_b2_us", "blog_step_b100_us")
    rows = [[OURS]]
    for key in keys:
        rows[0] += [show(median(collected, OURS, key)), "1.00"]
    for peer in BLOG_PEERS:
        cells = [compared(collected, peer.name, key, "blog-step") for key in keys]
        rows.append([peer.name, *cells[0], *cells[1]])
    header = ["program", "batch 2, µs", "/ maskgrad", "batch 100, µs", "/ maskgrad"]
    return table(header, rows, "lrrrr")


def attention_table(collected, lengths, quantity):
    header = ["S", "mask", "kept", "maskgrad, ms", "of unmasked"]
    for peer in ATTENTION_PEERS:
        header += [f"{peer.name}, ms", f"{peer.name} / maskgrad"]
    rows = []
    for length in lengths:
        unmasked = median(collected, OURS, f"attention_none_s{length}_{quantity}")
        for mask in MASKS:
            key = f"attention_{mask}_s{length}_{quantity}"
            ours = median(collected, OURS, key)
            kept = median(collected, OURS, f"attention_{mask}_s{length}_kept_share")
            row = [str(length), mask, f"{kept:.3f}", show(ours), f"{ours / unmasked:.2f}"]
            for peer in ATTENTION_PEERS:
                row += compared(collected, peer.name, key, "attention")
            rows.append(row)
    return table(header, rows, "rl" + "r" * (len(header) - 2))


def spread(collected):
    """The largest difference between rounds, as a share of the median, and where; or None."""
    found = [
        ((max(values) - min(values)) / statistics.median(values), program, key)
        for program, figures in collected.figures.items()
        for key, values in figures.items()
        if len(values) > 1 and min(values) > 0
    ]
    return max(found, default=None)


def spread_line(collected):
    largest = spread(collected)
    if largest is None:
        return ""
    share, program, key = largest
    return f"\nRounds differ most in {key} of {program}: by {100 * share:.0f}% of the median.\n"


def machine_table(collected, machine):
    facts = collected.facts
    rows = [[name, value] for name, value in machine.items()]
    native = ", for the instructions of this machine" if facts.get("native") else ""
    rows.append(["compiler", f"{facts['compiler']}{native}"])
    rows.append(["BLAS", facts["blas"]])
    versions = {}
    for found in collected.versions.values():
        python = found.get("Python")
        versions.update(
            {name: f"{v} on Python {python}" for name, v in found.items() if name != "Python"}
        )
    rows += [list(item) for item in versions.items()]
    return table(["what", "which"], rows, "ll")


def cores_of(options):
    return (
        f"core {options.core}"
        if options.threads == 1
        else f"{options.threads} cores with as many threads"
    )


def commands(options):
    extra = "".join(f" --{name} {value}" for name, value in options.given.items())
    return (
        "cmake --preset release\ncmake --build build --target maskgrad_cli\n"
        f"benchmarks/compare --python PYTHON --rounds {options.rounds}{extra}"
    )


def single_commands(options):
    start = f"env -u OPENBLAS_CORETYPE {' '.join(options.pin)}"
    more = f" --threads {options.threads}"
    sizes = "".join(
        f" --{name} {options.given[name]}"
        for name in ("batch", "heads", "dim")
        if name in options.given
    )
    length = f"{sizes} --seq {options.seq[-1]}"
    return "\n".join(
        [
            f"{start} build/maskgrad bench blog-step{more}",
            *(
                f"{start} PYTHON {' '.join(['benchmarks/peers/' + p.script, *p.arguments])}{more}"
                for p in BLOG_PEERS
            ),
            f"{start} build/maskgrad bench attention{more}{length}",
            *(f"{start} PYTHON benchmarks/peers/{p.script}{more}{length}" for p in ATTENTION_PEERS),
        ]
    )


def render(collected, machine, options, date):
    """The whole page."""
    several = options.rounds > 1
    introduction = INTRODUCTION.format(
        date=date,
        cores=cores_of(options),
        rounds=plural(options.rounds, "round"),
        turns=", each in the reverse order of the one before" if several else "",
    )
    attention = ATTENTION.format(
        batch=options.batch, heads=plural(options.heads, "head"), dim=options.dim
    )
    parts = [
        introduction + spread_line(collected),
        "## Machine\n\n" + machine_table(collected, machine) + "\n",
        BLOG + "\n" + blog_table(collected) + "\n",
        attention
        + "\n### Forward\n\n"
        + attention_table(collected, options.seq, "forward_ms")
        + "\n",
        "### Forward and backward\n\n"
        + attention_table(collected, options.seq, "forward_backward_ms")
        + "\n",
        AGAIN.format(commands=commands(options), single=single_commands(options)),
    ]
    return "\n".join(parts)
