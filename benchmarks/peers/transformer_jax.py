#!/usr/bin/env python3
"""A small GPT in JAX, in training and in generation, each training step and each whole generation
compiled: the figures of `maskgrad bench transformer`, as JSON."""

from common import (
    HEAD,
    ROW,
    VOCAB,
    check_parameters,
    median_seconds,
    prepare_xla,
    print_json,
    require,
    transformer_data,
    transformer_figures,
    transformer_lengths,
    transformer_parameters,
    transformer_parser,
    transformer_sizes,
)

TOKENS, POSITIONS = 100, 128  # of generation


def make_parameters(jax, width, layers, positions):
    jnp = jax.numpy
    keys = iter(jax.random.split(jax.random.key(0), 3 + 4 * layers))
    matrix = lambda *shape: shape[0] ** -0.5 * jax.random.normal(next(keys), shape)
    norm = lambda: {"weight": jnp.ones(width), "bias": jnp.zeros(width)}
    dense = lambda *shape: {"weight": matrix(*shape), "bias": jnp.zeros(shape[1])}
    block = lambda: {
        "norm": norm(),
        "qkv": dense(width, 3 * width),
        "out": dense(width, width),
        "second_norm": norm(),
        "up": dense(width, 4 * width),
        "down": dense(4 * width, width),
    }
    parameters = {
        "embed": matrix(VOCAB, width),
        "positions": matrix(positions, width),
        "blocks": [block() for _ in range(layers)],
        "norm": norm(),
        "logits": dense(width, VOCAB),
    }
    expected = transformer_parameters(width, layers, positions)
    check_parameters(sum(p.size for p in jax.tree.leaves(parameters)), expected)
    return parameters


def affine(x, p):
    return x @ p["weight"] + p["bias"]


def normalize(jax, x, p):
    x = x - x.mean(-1, keepdims=True)
    x = x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-5)
    return x * p["weight"] + p["bias"]


def attend(jax, q, k, v, keep):
    """q [B, S, H, d], k and v [B, T, H, d], keep [S, T] -> [B, S, H d]"""
    scores = jax.numpy.einsum("bshd,bthd->bhst", q, k) * HEAD**-0.5
    weights = jax.nn.softmax(jax.numpy.where(keep, scores, -jax.numpy.inf))
    y = jax.numpy.einsum("bhst,bthd->bshd", weights, v)
    return y.reshape(*y.shape[:2], -1)


def run_block(jax, x, p, attention):
    """attention: queries, keys and values [B, S, H, d] -> [B, S, H d]"""
    qkv = affine(normalize(jax, x, p["norm"]), p["qkv"])
    q, k, v = (part.reshape(*x.shape[:2], -1, HEAD) for part in jax.numpy.split(qkv, 3, -1))
    x = x + affine(attention(q, k, v), p["out"])
    h = affine(normalize(jax, x, p["second_norm"]), p["up"])
    return x + affine(jax.nn.gelu(h, approximate=False), p["down"])


def logits_of(jax, x, parameters):
    return affine(normalize(jax, x, parameters["norm"]), parameters["logits"])


def make_loss(jax):
    """Padding stands behind the tokens of a row, where causal attention does not look."""
    jnp = jax.numpy
    causal = jnp.tril(jnp.ones((ROW, ROW), bool))
    attention = lambda q, k, v: attend(jax, q, k, v, causal)

    def loss_of(parameters, tokens, targets, counts):
        x = parameters["embed"][tokens] + parameters["positions"]
        for p in parameters["blocks"]:
            x = run_block(jax, x, p, attention)
        log_probabilities = jax.nn.log_softmax(logits_of(jax, x, parameters))
        losses = -jnp.take_along_axis(log_probabilities, targets[..., None], -1)[..., 0]
        return jnp.where(counts, losses, 0).sum() / counts.sum()

    return loss_of


def make_step(jax):
    """A compiled function: state and a batch -> the state after it."""
    jnp = jax.numpy
    loss_of = make_loss(jax)

    def step(state, batch):
        parameters, means, squares, count = state
        grads = jax.grad(loss_of)(parameters, *batch)
        norm = jnp.sqrt(sum((g * g).sum() for g in jax.tree.leaves(grads)))
        scale = jnp.minimum(1, 1 / (norm + 1e-6))
        count += 1
        root = jnp.sqrt(1 - 0.98**count)
        rate = 1e-4 / (1 - 0.9**count)
        means = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * scale * g, means, grads)
        squares = jax.tree.map(lambda s, g: 0.98 * s + 0.02 * (scale * g) ** 2, squares, grads)

        def update(p, m, s):
            kept = 1 - 1e-4 * 0.01 if p.ndim >= 2 else 1
            return kept * p - rate * m / (jnp.sqrt(s) / root + 1e-7)

        return jax.tree.map(update, parameters, means, squares), means, squares, count

    return jax.jit(step, donate_argnums=0)


def tokens_per_second(jax, width, mixed):
    """Of training steps."""
    jnp = jax.numpy
    layers, batch_size = transformer_sizes(width)
    parameters = make_parameters(jax, width, layers, positions=ROW)
    zeros = lambda: jax.tree.map(jnp.zeros_like, parameters)
    state = (parameters, zeros(), zeros(), jnp.zeros(()))
    lengths = jnp.array(transformer_lengths(batch_size, mixed))
    tokens, targets = (jnp.array(values) for values in transformer_data(batch_size))
    batch = (tokens, targets, jnp.arange(ROW) < lengths[:, None])
    step = make_step(jax)

    def run():
        nonlocal state
        state = jax.block_until_ready(step(state, batch))

    return lengths.sum().item() / median_seconds(run)


def make_generate(jax, width, layers, batch):
    """A compiled function: parameters -> TOKENS tokens behind a prompt of one, with a cache of keys
    and values."""
    jnp = jax.numpy
    shape = (batch, TOKENS, width // HEAD, HEAD)

    def next_token(parameters, state, at):
        tokens, caches = state
        x = (parameters["embed"][tokens] + parameters["positions"][at])[:, None]
        read = []

        def attention(q, k, v):
            old_keys, old_values = caches[len(read)]
            keys, values = old_keys.at[:, at].set(k[:, 0]), old_values.at[:, at].set(v[:, 0])
            read.append((keys, values))
            return attend(jax, q, keys, values, jnp.arange(TOKENS)[None] <= at)

        for p in parameters["blocks"]:
            x = run_block(jax, x, p, attention)
        tokens = logits_of(jax, x[:, 0], parameters).argmax(-1)
        return (tokens, read), tokens

    def generate(parameters):
        caches = [(jnp.zeros(shape), jnp.zeros(shape)) for _ in range(layers)]
        step = lambda state, at: next_token(parameters, state, at)
        return jax.lax.scan(step, (jnp.ones(batch, int), caches), jnp.arange(TOKENS))[1]

    return jax.jit(generate)


def microseconds_per_token(jax, batch):
    width = 128
    layers, _ = transformer_sizes(width)
    parameters = make_parameters(jax, width, layers, POSITIONS)
    generate = make_generate(jax, width, layers, batch)
    seconds = median_seconds(lambda: jax.block_until_ready(generate(parameters)))
    return 1e6 * seconds / (TOKENS * batch)


def main():
    options = transformer_parser(__doc__).parse_args()
    prepare_xla(options.threads)
    jax, jaxlib = require("jax", "jaxlib")
    figures = transformer_figures(
        options.width,
        lambda width, mixed: tokens_per_second(jax, width, mixed),
        lambda batch: microseconds_per_token(jax, batch),
    )
    print_json(figures, {"JAX": jax.__version__, "jaxlib": jaxlib.__version__})


if __name__ == "__main__":
    main()
