"""Writes collected figures as a page of Markdown."""

import statistics

from comparison.runs import ATTENTION_PEERS, BLOG_PEERS, OURS, TRANSFORMER_PEERS

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

TRANSFORMER = """\
## Transformers

Decoders like GPT over 20 tokens: learned positions, norms before attention and feed-forward, exact
gelu, 4 W hidden features, heads of 32. Training is forward, backward, clipping and AdamW, on rows
of 48 tokens. Mixed rows have lengths spread evenly from 16 to 48, and only tokens that exist count.
Peers pad them: padding stands behind the tokens, where causal attention does not look, so they need
no other mask. maskgrad packs rows where that is less work. JAX compiles a training step, and a
whole generation into one loop.
"""

GENERATION = """\
Texts of 100 tokens behind a prompt of one, with a cache of keys and values, at W 128 with 3 layers:
the time of all divided by the tokens of all. What PyTorch compiles is its training.
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


def compared(collected, peer, key, benchmark, is_rate=False):
    """Two cells: the peer's figure and how many times ours that is, or of a rate how many times its
    ours is; or why there is none."""
    value = median(collected, peer, key)
    if value is None or (peer, benchmark) in collected.absent:
        return [collected.absent.get((peer, benchmark), "-"), ""]
    ours = median(collected, OURS, key)
    return [show(value), f"{ours / value if is_rate else value / ours:.2f}"]


def programs_table(collected, peers, benchmark, columns, is_rate=False):
    """A row for each program; columns are titles and keys of figures."""
    header, ours = ["program"], [OURS]
    for title, key in columns:
        header += [title, "maskgrad /" if is_rate else "/ maskgrad"]
        ours += [show(median(collected, OURS, key)), "1.00"]
    rows = [ours]
    for peer in peers:
        row = [peer.name]
        for _, key in columns:
            row += compared(collected, peer.name, key, benchmark, is_rate)
        rows.append(row)
    return table(header, rows, "l" + "r" * (len(header) - 1))


def blog_table(collected):
    columns = [("batch 2, µs", "blog_step_b2_us"), ("batch 100, µs", "blog_step_b100_us")]
    return programs_table(collected, BLOG_PEERS, "blog-step", columns)


def training_table(collected):
    columns = [
        ("W 64, 2 layers, batch 32", "transformer_w64_full_tokens_per_s"),
        ("W 128, 3 layers, batch 64", "transformer_w128_full_tokens_per_s"),
        ("the same, mixed", "transformer_w128_mixed_tokens_per_s"),
        ("W 192, 4 layers, batch 64", "transformer_w192_full_tokens_per_s"),
    ]
    return programs_table(collected, TRANSFORMER_PEERS, "transformer", columns, is_rate=True)


def generation_table(collected):
    columns = [
        ("batch 1, µs", "generate_w128_us_per_token"),
        ("batch 64, µs", "generate_w128_b64_us_per_token"),
    ]
    peers = [peer for peer in TRANSFORMER_PEERS if "--compile" not in peer.arguments]
    return programs_table(collected, peers, "transformer", columns)


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
    lines = []
    for benchmark, peers, arguments in (
        ("blog-step", BLOG_PEERS, more),
        ("transformer", TRANSFORMER_PEERS, more),
        ("attention", ATTENTION_PEERS, more + length),
    ):
        lines.append(f"{start} build/maskgrad bench {benchmark}{arguments}")
        for peer in peers:
            script = " ".join(["benchmarks/peers/" + peer.script, *peer.arguments])
            lines.append(f"{start} PYTHON {script}{arguments}")
    return "\n".join(lines)


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
        TRANSFORMER + "\n### Training, tokens a second\n\n" + training_table(collected) + "\n",
        "### Generation, a token\n\n" + GENERATION + "\n" + generation_table(collected) + "\n",
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
