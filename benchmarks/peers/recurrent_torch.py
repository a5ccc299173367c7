#!/usr/bin/env python3
"""An LSTM and a GRU in PyTorch: the figures of `maskgrad bench recurrent`, as JSON."""

from common import median_seconds, parser, print_json, require

BATCH, LENGTH, WIDTH = 32, 64, 128


def measure(torch, name, make, lengths):
    """Rows of these lengths as a packed sequence; None: full rows."""
    rnn = torch.nn.utils.rnn
    layer = make(WIDTH, WIDTH, batch_first=True)
    x = torch.rand(BATCH, LENGTH, WIDTH, requires_grad=True)
    grad_output = torch.randn(BATCH, LENGTH, WIDTH)

    def output():
        if lengths is None:
            return layer(x)[0]
        packed = rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return rnn.pad_packed_sequence(layer(packed)[0], batch_first=True)[0]

    def forward():
        with torch.no_grad():
            output()

    def forward_backward():
        layer.zero_grad(set_to_none=True)
        x.grad = None
        output().backward(grad_output)

    return {
        f"{name}_forward_ms": 1e3 * median_seconds(forward),
        f"{name}_forward_backward_ms": 1e3 * median_seconds(forward_backward),
    }


def main():
    options = parser(__doc__).parse_args()
    torch = require("torch")
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    mixed = [LENGTH // 4 + b * (LENGTH - LENGTH // 4) // (BATCH - 1) for b in range(BATCH)]
    figures = {}
    for rows, lengths in (("full", None), ("mixed", torch.tensor(mixed))):
        figures.update(measure(torch, f"lstm_{rows}", torch.nn.LSTM, lengths))
        figures.update(measure(torch, f"gru_{rows}", torch.nn.GRU, lengths))
    print_json(figures, {"PyTorch": torch.__version__})


if __name__ == "__main__":
    main()
