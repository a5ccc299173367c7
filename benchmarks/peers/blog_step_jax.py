#!/usr/bin/env python3
"""Training steps of the blog's model in JAX, a whole epoch compiled as one loop: the figures of
`maskgrad bench blog-step`, as JSON."""

from common import (
    FEATURES,
    LENGTH,
    blog_data,
    blog_shapes,
    check_parameters,
    median_seconds,
    parser,
    prepare_xla,
    print_json,
    require,
)


def make_epoch(jax):
    """A compiled function: state and batches of an epoch -> the state after it, and the losses."""
    jnp = jax.numpy

    def loss_of(parameters, tokens, targets):
        embedding, w_q, w_k, w_v, dense, dense_bias, last, last_bias = parameters
        keep = tokens != 0
        x = embedding[tokens] * keep[:, :, None]
        scores = (x @ w_q) @ (x @ w_k).swapaxes(1, 2) * FEATURES**-0.5
        weights = jax.nn.softmax(jnp.where(keep[:, None, :], scores, -jnp.inf))
        x = (weights @ (x @ w_v)) * keep[:, :, None]
        x = jax.nn.relu(x.reshape(-1, LENGTH * FEATURES) @ dense + dense_bias)
        log_probabilities = jax.nn.log_softmax(x @ last + last_bias)
        return -jnp.take_along_axis(log_probabilities, targets[:, None], 1).mean()

    def step(state, batch):
        parameters, means, squares, count = state
        loss, grads = jax.value_and_grad(loss_of)(parameters, *batch)
        count += 1
        rate = 1e-3 * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        means = [0.9 * m + 0.1 * g for m, g in zip(means, grads)]
        squares = [0.999 * s + 0.001 * g * g for s, g in zip(squares, grads)]
        parameters = [
            p - rate * m / (jnp.sqrt(s) + 1e-7) for p, m, s in zip(parameters, means, squares)
        ]
        return (parameters, means, squares, count), loss

    return jax.jit(lambda state, batches: jax.lax.scan(step, state, batches), donate_argnums=0)


def microseconds(jax, batch_size):
    """The time of one step, over several epochs."""
    jnp = jax.numpy
    keys = jax.random.split(jax.random.key(0), len(blog_shapes()))
    parameters = [0.1 * jax.random.normal(key, shape) for key, shape in zip(keys, blog_shapes())]
    check_parameters(sum(p.size for p in parameters))
    zeros = lambda: [jnp.zeros_like(p) for p in parameters]
    state = (parameters, zeros(), zeros(), jnp.zeros(()))
    tokens, targets = (jnp.array(values) for values in blog_data())
    steps = len(tokens) // batch_size
    batches = (tokens.reshape(steps, batch_size, LENGTH), targets.reshape(steps, batch_size))
    epoch = make_epoch(jax)

    def run():
        nonlocal state
        state, _ = jax.block_until_ready(epoch(state, batches))

    return 1e6 * median_seconds(run) / steps


def main():
    options = parser(__doc__).parse_args()
    prepare_xla(options.threads)
    jax, jaxlib = require("jax", "jaxlib")
    figures = {
        f"blog_step_b{batch_size}_us": microseconds(jax, batch_size) for batch_size in (2, 100)
    }
    print_json(figures, {"JAX": jax.__version__, "jaxlib": jaxlib.__version__})


if __name__ == "__main__":
    main()
