#!/usr/bin/env python3
"""Writes tests/data/half.safetensors: numbers as NumPy and PyTorch round them to 16 bits.

    half.py ../data/half.safetensors

    from64          float64, finite or infinite, that float16 holds after rounding
    from64.float16  the same, rounded by NumPy
    from32          float32, finite or infinite, that both types hold after rounding
    from32.float16  the same, rounded by NumPy
    from32.bfloat16 the same, rounded by PyTorch

The numbers are float16 and bfloat16 numbers and the middles between neighbours, the float64 or
float32 numbers beside these, and random ones of every exponent. Needs NumPy, PyTorch and
safetensors.
"""
import sys

import numpy as np
import torch
from safetensors.torch import save_file


def beside(x):
    """x, and the numbers before and behind each."""
    infinity = x.dtype.type(np.inf)
    return np.concatenate([x, np.nextafter(x, infinity), np.nextafter(x, -infinity)])


def some(random, dtype):
    half = np.sort(random.choice(0x7BFF, 100, replace=False).astype(np.uint16))
    half = np.concatenate([half, np.array([0, 1, 2, 0x3FF, 0x400, 0x401, 0x7BFE], np.uint16)])
    low, high = half.view(np.float16).astype(dtype), (half + 1).view(np.float16).astype(dtype)
    brain = (np.concatenate([random.integers(0, 0x477F, 100), [0, 1, 0x7F, 0x80, 0x81]])).astype(np.uint32)
    brain_low = (brain << 16).view(np.float32).astype(dtype)
    brain_high = ((brain + 1) << 16).view(np.float32).astype(dtype)
    exponents = random.uniform(-30, 15.9, 300)
    x = np.concatenate([low, (low + high) / 2, brain_low, (brain_low + brain_high) / 2,
                        np.exp2(exponents).astype(dtype)])
    x = beside(x)
    x = np.concatenate([x, -x, np.array([np.inf, -np.inf, 65504, 65519], dtype)])
    return x[(np.abs(x) < 65520) | np.isinf(x)]


def main():
    random = np.random.default_rng(16)
    from64, from32 = some(random, np.float64), some(random, np.float32)
    tensor = torch.from_numpy
    save_file({
        "from64": tensor(from64), "from64.float16": tensor(from64.astype(np.float16)),
        "from32": tensor(from32), "from32.float16": tensor(from32.astype(np.float16)),
        "from32.bfloat16": tensor(from32).to(torch.bfloat16),
    }, sys.argv[1])


main()
