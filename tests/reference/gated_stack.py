#!/usr/bin/env python3
"""Writes tests/data/gated_stack.safetensors: a stack of gated layers as PyTorch trains it.

    gated_stack.py ../data/gated_stack.safetensors

Two GatedFeedForward, "one" [4] -> [6] and "two" [6] -> [6], and a Dense "logits" [6] -> [3] are
trained in float64 to tell three classes apart. network() says what they compute, of parameters
under maskgrad's names and in its layout (y = x W, W [in, out]). The file holds x, float32 [N, 4],
and what training.py says.

Needs PyTorch and safetensors.
"""
import pathlib
import sys

import torch
from safetensors.torch import save_file

from training import train

FEATURES, HIDDEN, CLASSES, SAMPLES = 4, 6, 3, 64

SHAPES = {
    "one.w1": (FEATURES, HIDDEN), "one.b1": (HIDDEN,),
    "one.w2": (HIDDEN, HIDDEN), "one.b2": (HIDDEN,),
    "one.gate2.w": (HIDDEN, 1), "one.gate2.b": (1,),
    "two.w1": (HIDDEN, HIDDEN), "two.b1": (HIDDEN,),
    "two.gate1.w": (HIDDEN, HIDDEN), "two.gate1.b": (HIDDEN,),
    "two.w2": (HIDDEN, HIDDEN), "two.b2": (HIDDEN,),
    "two.gate2.w": (HIDDEN, HIDDEN), "two.gate2.b": (HIDDEN,),
    "logits.weight": (HIDDEN, CLASSES), "logits.bias": (CLASSES,),
}


def network(p, x):
    """Layer one has a gate for each sample, layer two one for each feature and a residual."""
    a = torch.tanh(x @ p["one.w1"] + p["one.b1"])
    a = torch.tanh(a @ p["one.w2"] + p["one.b2"])
    one = a * torch.sigmoid(a @ p["one.gate2.w"] + p["one.gate2.b"])
    a = torch.tanh(one @ p["two.w1"] + p["two.b1"])
    a = a * torch.sigmoid(a @ p["two.gate1.w"] + p["two.gate1.b"])
    a = torch.tanh(a @ p["two.w2"] + p["two.b2"])
    two = one + a * torch.sigmoid(a @ p["two.gate2.w"] + p["two.gate2.b"])
    return two @ p["logits.weight"] + p["logits.bias"]


def main(path):
    """The third feature says whether the signs of the first two count."""
    torch.manual_seed(6)
    parameters = {name: (torch.randn(shape) / 2).double().requires_grad_()
                  for name, shape in SHAPES.items()}
    x = torch.randn(SAMPLES, FEATURES)
    classes = torch.where(x[:, 2] < 0, 0, 1 + (x[:, 0] * x[:, 1] > 0).long())
    found = train(parameters.values(), lambda: parameters,
                  lambda ids: network(parameters, x[ids].double()), classes)
    save_file(found | {"x": x}, path)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]))
