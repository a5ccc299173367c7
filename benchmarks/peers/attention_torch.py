#!/usr/bin/env python3
"""Masked attention in PyTorch: the figures of `maskgrad bench attention`, as JSON."""

from common import median_seconds, parser, positive, print_json, require


def masks(torch, batch, length):
    """Boolean masks that keep what is True; None for no mask."""
    query, key = torch.arange(length)[:, None], torch.arange(length)[None, :]
    lengths = (
        torch.linspace(length / 8, length, batch).round().long()
        if batch > 1
        else torch.tensor([length / 8]).round().long()
    )
    causal = key <= query
    padding = (key < lengths[:, None, None])[:, None]
    return {
        "none": None,
        "causal": causal,
        "padding": padding.expand(batch, 1, length, length),
        "window": (query - key).abs() <= 64,
        "causal_padding": padding & causal,
        "segments": (query // 128 == key // 128) & causal,
    }


def measure(torch, options, length):
    """The figures of all masks at one length."""
    attend = torch.nn.functional.scaled_dot_product_attention
    shape = (options.batch, options.heads, length, options.dim)
    q, k, v = (torch.randn(shape, requires_grad=True) for _ in range(3))
    grad_output = torch.randn(shape)
    figures = {}
    for name, mask in masks(torch, options.batch, length).items():
        # is_causal says the same as the mask and lets PyTorch skip what it leaves out.
        how = {"is_causal": True} if name == "causal" else {"attn_mask": mask}

        def forward():
            with torch.no_grad():
                attend(q, k, v, **how)

        def forward_backward():
            q.grad = k.grad = v.grad = None
            attend(q, k, v, **how).backward(grad_output)

        key = f"attention_{name}_s{length}"
        figures[f"{key}_forward_ms"] = 1e3 * median_seconds(forward)
        figures[f"{key}_forward_backward_ms"] = 1e3 * median_seconds(forward_backward)
        figures[f"{key}_kept_share"] = 1.0 if mask is None else mask.double().mean().item()
    return figures


def main():
    arguments = parser(__doc__)
    arguments.add_argument("--seq", type=positive, nargs="+", default=[128, 512, 2048], metavar="S")
    arguments.add_argument("--batch", type=positive, default=4)
    arguments.add_argument("--heads", type=positive, default=4)
    arguments.add_argument("--dim", type=positive, default=64, help="features of a head")
    options = arguments.parse_args()
    torch = require("torch")
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    figures = {}
    for length in options.seq:
        figures.update(measure(torch, options, length))
    print_json(figures, {"PyTorch": torch.__version__})


if __name__ == "__main__":
    main()
