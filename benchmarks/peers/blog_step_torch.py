#!/usr/bin/env python3
"""Training steps of the blog's model in PyTorch: the figures of
`maskgrad bench blog-step`, as JSON."""

from common import (
    FEATURES,
    LENGTH,
    blog_data,
    blog_shapes,
    check_parameters,
    median_seconds,
    parser,
    print_json,
    require,
)


def make_step(torch, compiled):
    """A function that trains a new model with one batch."""
    functional = torch.nn.functional
    parameters = [torch.nn.Parameter(0.1 * torch.randn(shape)) for shape in blog_shapes()]
    check_parameters(sum(p.numel() for p in parameters))
    embedding, w_q, w_k, w_v, dense, dense_bias, last, last_bias = parameters
    optimizer = torch.optim.Adam(parameters, lr=1e-3, eps=1e-7, fused=True)

    def loss_of(tokens, targets):
        keep = tokens != 0
        x = functional.embedding(tokens, embedding) * keep[:, :, None]
        scores = (x @ w_q) @ (x @ w_k).transpose(1, 2) * FEATURES**-0.5
        weights = scores.masked_fill(~keep[:, None, :], float("-inf")).softmax(-1)
        x = (weights @ (x @ w_v)) * keep[:, :, None]
        x = functional.linear(x.reshape(-1, LENGTH * FEATURES), dense.T, dense_bias).relu()
        return functional.cross_entropy(functional.linear(x, last.T, last_bias), targets)

    loss_of = torch.compile(loss_of) if compiled else loss_of

    def step(tokens, targets):
        optimizer.zero_grad(set_to_none=True)
        loss_of(tokens, targets).backward()
        optimizer.step()

    return step


def microseconds(torch, compiled, batch_size, steps):
    """The time of one step, over several times `steps` of them."""
    step = make_step(torch, compiled)
    tokens, targets = (torch.tensor(values) for values in blog_data())
    batches = [
        (tokens[i : i + batch_size], targets[i : i + batch_size])
        for i in range(0, steps * batch_size, batch_size)
    ]

    def run():
        for batch in batches:
            step(*batch)

    return 1e6 * median_seconds(run) / steps


def main():
    arguments = parser(__doc__)
    arguments.add_argument(
        "--compile", action="store_true", help="with torch.compile; needs a C++ compiler"
    )
    options = arguments.parse_args()
    torch = require("torch")
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    figures = {
        f"blog_step_b{batch_size}_us": microseconds(torch, options.compile, batch_size, steps)
        for batch_size, steps in ((2, 640), (100, 64))
    }
    print_json(figures, {"PyTorch": torch.__version__})


if __name__ == "__main__":
    main()
