#!/usr/bin/env python3
"""Writes tests/data/recurrent/*.safetensors: LSTM and GRU as PyTorch computes and trains them.

    recurrent.py ../data/recurrent

Everything is computed in float64 on packed sequences (pack_padded_sequence), of numbers that
float32 holds. Names and layout are maskgrad's (y = x W, W [in, out]). A file is one network:

    x, start_h, start_c    inputs [B, S, D], and the states before the first step, [layers and
                           directions, B, F]; start_c for an LSTM only
    lengths                int64 [B]
    parameter.NAME
    weights, weights_h, weights_c    the loss is sum(output * weights) + sum(last_h * weights_h) + ...
    output                 [B, S, F or 2 F], 0 behind the end of a sequence
    last_h, last_c         as start_h
    gradient.NAME          of x, start_h, start_c and each parameter

The two biases of an LSTM are one here. training_*.safetensors are trainings by Adam on sequences of
mixed lengths, each of one of three classes. They hold x, float32 [N, S, D], lengths, int64 [N], and
what training.py says. The parameters are layer.NAME of the network, and w [F, 3], b [3] behind its
last state.

Needs PyTorch and safetensors.
"""
import pathlib
import sys

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from training import train

FEATURES, HIDDEN, CLASSES = 3, 5, 3
LENGTHS = torch.tensor([4, 1, 6, 3])


def network(kind, layers, bidirectional, seed):
    """The second bias of an LSTM is 0, and stays so."""
    torch.manual_seed(seed)
    model = {"lstm": nn.LSTM, "gru": nn.GRU}[kind](FEATURES, HIDDEN, layers, batch_first=True,
                                                    bidirectional=bidirectional).double()
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(p.float().double())
            if kind == "lstm" and "bias_hh" in name:
                p.zero_().requires_grad_(False)
    return model


def our_name(kind, name):
    """weight_ih_l0_reverse is w_x1_reverse."""
    what, part, layer, *reverse = name.split("_")
    letter = {"ih": "_x", "hh": "_h"}[part] if what == "weight" or kind == "gru" else ""
    return "_".join([("w" if what == "weight" else "b") + letter + str(int(layer[1:]) + 1), *reverse])


def ours(kind, model, value=lambda p: p.detach()):
    return {our_name(kind, name): value(p).T if p.ndim == 2 else value(p)
            for name, p in model.named_parameters() if p.requires_grad}


def run(model, x, lengths, start=None):
    """The output, and the last states in a list."""
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    start = start[0] if start and len(start) == 1 else start and tuple(start)
    output, last = model(packed, start)
    output, _ = pad_packed_sequence(output, batch_first=True, total_length=x.shape[1])
    return output, list(last) if isinstance(last, tuple) else [last]


def case(kind, layers, bidirectional, seed):
    model = network(kind, layers, bidirectional, seed)
    draw = lambda *shape: torch.randn(*shape).double().requires_grad_()
    x = draw(len(LENGTHS), 6, FEATURES)
    states = layers * (1 + bidirectional)
    start = [draw(states, len(LENGTHS), HIDDEN) for _ in range(2 if kind == "lstm" else 1)]
    output, last = run(model, x, LENGTHS, start)
    weights = [torch.randn_like(y).float().double() for y in (output, *last)]
    sum((y * w).sum() for y, w in zip((output, *last), weights)).backward()
    found = {"x": x.detach(), "lengths": LENGTHS, "output": output.detach(), "gradient.x": x.grad,
             "weights": weights[0]}
    for letter, begin, end, w in zip("hc", start, last, weights[1:]):
        found |= {"start_" + letter: begin.detach(), "last_" + letter: end.detach(),
                  "weights_" + letter: w, "gradient.start_" + letter: begin.grad}
    found |= {"parameter." + name: value for name, value in ours(kind, model).items()}
    return found | {"gradient." + name: value
                    for name, value in ours(kind, model, lambda p: p.grad).items()}


def training(kind, seed):
    """The class of a sequence is told by how often its first feature changes its sign."""
    model = network(kind, 1, False, seed)
    head = nn.Linear(HIDDEN, CLASSES).double()
    with torch.no_grad():
        for p in head.parameters():
            p.copy_(p.float().double())
    x = torch.randn(64, 7, FEATURES)
    lengths = torch.randint(2, 8, (64,))
    changes = ((x[:, 1:, 0] * x[:, :-1, 0] < 0) & (torch.arange(6) < lengths[:, None] - 1)).sum(1)
    classes = changes.clamp(max=CLASSES - 1)
    named = lambda: {"layer." + name: value for name, value in ours(kind, model).items()} | {
        "w": head.weight.T, "b": head.bias}

    def logits(ids):
        _, last = run(model, x[ids].double(), lengths[ids])
        return head(last[0][0])

    trained = [p for p in (*model.parameters(), *head.parameters()) if p.requires_grad]
    return train(trained, named, logits, classes) | {"x": x, "lengths": lengths}


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for i, kind in enumerate(("lstm", "gru")):
        files[kind] = case(kind, 1, False, seed=i)
        files[kind + "_stack"] = case(kind, 2, True, seed=2 + i)
        files["training_" + kind] = training(kind, seed=4 + i)
    for name, tensors in files.items():
        save_file({key: value.contiguous() for key, value in tensors.items()},
                  folder / (name + ".safetensors"))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]))
