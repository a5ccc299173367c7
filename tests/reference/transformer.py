#!/usr/bin/env python3
"""Writes tests/data/transformer/*.safetensors: transformer layers as PyTorch computes them.

    transformer.py ../data/transformer

A file is one case: a layer with given inputs and parameters. It holds, under maskgrad's names and
in its layout (y = x W, W [in, out]):

    input.NAME, parameter.NAME   float32
    keep.NAME                    bool, which positions of the input exist; none: all do
    weights                      float32; the loss is sum(output * weights), and weights are 0 at
                                 positions that do not exist
    float64.output               0 at positions that do not exist
    float64.gradient.NAME        of each input and parameter, computed in float64
    float32.output, float32.gradient.NAME    the same, computed in float32

Inputs and parameters are the same numbers for both dtypes, as float32 holds them. So the two
results differ by the rounding of what is computed, and by nothing else. Needs PyTorch and
safetensors.
"""
import pathlib
import sys
from typing import Callable, NamedTuple

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

BATCH, FEATURES, HIDDEN = 2, 12, 20
KEEP = {  # a hole within and padding behind; padding before
    "x": torch.tensor([[1, 1, 0, 1, 1, 0], [0, 1, 1, 1, 1, 1]], dtype=torch.bool),
    "memory": torch.tensor([[1, 1, 1, 1, 0], [0, 1, 0, 1, 1]], dtype=torch.bool),
}


# Parts of networks. p has the parameters of one part by their names within it.

def part(p, name):
    return {key[len(name) + 1:]: value for key, value in p.items() if key.startswith(name + ".")}


def affine(x, p, matrix, bias):
    return x @ p[matrix] + p[bias] if bias in p else x @ p[matrix]


def layer_norm(x, p):
    return F.layer_norm(x, x.shape[-1:], p["weight"], p["bias"], eps=1e-5)


def rms_norm(x, p):
    return F.rms_norm(x, x.shape[-1:], p["weight"], eps=1e-6)


def feed_forward(x, p, activation):
    h = activation(affine(x, p, "w1", "b1"))
    if "v" in p:
        h = h * affine(x, p, "v", "c")
    return affine(h, p, "w2", "b2")


def split(x, heads):
    """[B, S, H d] -> [B, H, S, d]"""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def attention(x, memory, p, pairs, heads, rotate=lambda x: x):
    """pairs: bool [B, S, T]. Queries in groups share heads of keys and values."""
    q = split(affine(x, p, "q", "q_bias"), heads)
    key_heads = heads * p["k"].shape[1] // p["q"].shape[1]
    k = split(affine(memory, p, "k", "k_bias"), key_heads)
    v = split(affine(memory, p, "v", "v_bias"), key_heads)
    k, v = (t.repeat_interleave(heads // key_heads, dim=1) for t in (rotate(k), v))
    y = F.scaled_dot_product_attention(rotate(q), k, v, attn_mask=pairs.unsqueeze(1))
    return affine(y.transpose(1, 2).flatten(2), p, "o", "o_bias")


# Which pairs attend, and where positions are.

def own_pairs(keep, causal=False):
    """A position that does not exist attends to itself, so that its numbers are finite. No loss
    reads them."""
    pairs = keep.unsqueeze(1) & keep.unsqueeze(2)
    pairs = pairs.tril() if causal else pairs
    return pairs | torch.eye(keep.shape[1], dtype=torch.bool)


def pairs_with(keep, memory_keep):
    return memory_keep.unsqueeze(1).expand(-1, keep.shape[1], -1)


def positions(keep):
    """Each position's number among those that exist."""
    return (keep.cumsum(1) - 1).clamp(min=0)


def angles(keep, size, base):
    """float64 [B, 1, S, size / 2]"""
    rates = base ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
    return (positions(keep).to(torch.float64).unsqueeze(-1) * rates).unsqueeze(1)


def rotary_interleaved(keep, base):
    """Pairs (2i, 2i + 1) as complex numbers, after Su et al. 2021."""
    def rotate(x):
        turn = angles(keep, x.shape[-1], base)
        turn = torch.polar(torch.ones_like(turn), turn)
        z = torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous())
        return torch.view_as_real(z * turn.to(z.dtype)).flatten(-2)
    return rotate


def rotary_halves(keep, base):
    """Pairs (i, i + d/2), as in GPT-NeoX and Llama."""
    def rotate(x):
        turn = angles(keep, x.shape[-1], base)
        turn = torch.cat([turn, turn], dim=-1)
        a, b = x.chunk(2, dim=-1)
        return x * turn.cos().to(x.dtype) + torch.cat([-b, a], dim=-1) * turn.sin().to(x.dtype)
    return rotate


def sinusoids(keep, size, dtype):
    """sin and cos of the same angle side by side, after Vaswani et al. 2017."""
    turn = angles(keep, size, 10000.0).squeeze(1)
    return torch.stack([turn.sin(), turn.cos()], dim=-1).flatten(-2).to(dtype)


# Blocks. memory: (values, pairs), or nothing.

def pre_norm(x, p, norm, pairs, heads, activation, memory=None, rotate=lambda x: x):
    h = norm(x, part(p, "attention_norm"))
    x = x + attention(h, h, part(p, "attention"), pairs, heads, rotate)
    if memory:
        h = norm(x, part(p, "memory_norm"))
        x = x + attention(h, memory[0], part(p, "memory"), memory[1], heads)
    h = norm(x, part(p, "feed_forward_norm"))
    return x + feed_forward(h, part(p, "feed_forward"), activation)


def post_norm(x, p, norm, pairs, heads, activation):
    x = norm(x + attention(x, x, part(p, "attention"), pairs, heads), part(p, "attention_norm"))
    y = feed_forward(x, part(p, "feed_forward"), activation)
    return norm(x + y, part(p, "feed_forward_norm"))


# Shapes of parameters.

def within(name, shapes):
    return {f"{name}.{key}": shape for key, shape in shapes.items()}


def attention_shapes(features, keys, bias=True):
    shapes = {"q": (features, features), "k": (features, keys), "v": (features, keys),
              "o": (features, features)}
    return shapes | ({f"{key}_bias": shape[1:] for key, shape in shapes.items()} if bias else {})


def feed_forward_shapes(gated, bias=True):
    shapes = {"w1": (FEATURES, HIDDEN), "w2": (HIDDEN, FEATURES)}
    shapes |= {"v": (FEATURES, HIDDEN)} if gated else {}
    biases = {"b1": (HIDDEN,), "b2": (FEATURES,)} | ({"c": (HIDDEN,)} if gated else {})
    return shapes | (biases if bias else {})


NORM = {"weight": (FEATURES,), "bias": (FEATURES,)}
RMS = {"weight": (FEATURES,)}


def block_shapes(norm=NORM, memory=False, keys=FEATURES, gated=False, bias=True):
    shapes = within("attention", attention_shapes(FEATURES, keys, bias))
    shapes |= within("attention_norm", norm)
    if memory:
        shapes |= within("memory", attention_shapes(FEATURES, keys, bias))
        shapes |= within("memory_norm", norm)
    shapes |= within("feed_forward", feed_forward_shapes(gated, bias))
    return shapes | within("feed_forward_norm", norm)


# The outputs of the cases: x and keep have inputs and masks by name.

def encoder_block(x, keep, p):
    return pre_norm(x["x"], p, layer_norm, own_pairs(keep["x"]), 3, F.gelu)


def encoder_block_post_norm(x, keep, p):
    return post_norm(x["x"], p, layer_norm, own_pairs(keep["x"]), 3, F.relu)


def decoder_block(x, keep, p):
    return pre_norm(x["x"], p, layer_norm, own_pairs(keep["x"], causal=True), 3, F.gelu)


def encoder_decoder(x, keep, p):
    """One block each, and a norm behind them."""
    here, there = keep["x"], keep["memory"]
    h = x["memory"] + sinusoids(there, FEATURES, x["memory"].dtype)
    h = pre_norm(h, part(p, "encoder.block0"), layer_norm, own_pairs(there), 2, F.gelu)
    h = layer_norm(h, part(p, "encoder.norm"))
    y = x["x"] + p["positions.table"][positions(here)]
    y = pre_norm(y, part(p, "decoder.block0"), layer_norm, own_pairs(here, causal=True), 2, F.gelu,
                 memory=(h, pairs_with(here, there)))
    return layer_norm(y, part(p, "decoder.norm"))


def interleaved_attention(x, keep, p):
    rotate = rotary_interleaved(keep["x"], 10000.0)
    return attention(x["x"], x["x"], p, own_pairs(keep["x"]), 4, rotate)


def halves_attention(x, keep, p):
    rotate = rotary_halves(keep["x"], 500000.0)
    return attention(x["x"], x["x"], p, own_pairs(keep["x"], causal=True), 4, rotate)


def swiglu_block(x, keep, p):
    return pre_norm(x["x"], p, rms_norm, own_pairs(keep["x"]), 3, F.silu)


def llama_block(x, keep, p):
    pairs, rotate = own_pairs(keep["x"], causal=True), rotary_halves(keep["x"], 10000.0)
    return pre_norm(x["x"], p, rms_norm, pairs, 3, F.silu, rotate=rotate)


class Case(NamedTuple):
    forward: Callable
    inputs: dict  # shapes
    parameters: dict
    padded: bool = True


SHORT = {"x": (BATCH, 6, FEATURES)}
BOTH = SHORT | {"memory": (BATCH, 5, FEATURES)}
LONG = {"x": (1, 72, 16)}  # attention takes 64 positions at a time
ENCODER_DECODER = {"positions.table": (7, FEATURES),
                   **within("encoder.block0", block_shapes()), **within("encoder.norm", NORM),
                   **within("decoder.block0", block_shapes(memory=True)),
                   **within("decoder.norm", NORM)}
CASES = [
    Case(encoder_block, SHORT, block_shapes()),
    Case(encoder_block_post_norm, SHORT, block_shapes()),
    Case(decoder_block, SHORT, block_shapes()),
    Case(encoder_decoder, BOTH, ENCODER_DECODER),
    Case(interleaved_attention, {"x": (BATCH, 6, 16)}, attention_shapes(16, 8)),
    Case(halves_attention, LONG, attention_shapes(16, 8), padded=False),
    Case(swiglu_block, SHORT, block_shapes(RMS, gated=True)),
    Case(llama_block, SHORT, block_shapes(RMS, keys=4, gated=True, bias=False)),
]


def uniform(shape, rng):
    return torch.rand(shape, generator=rng, dtype=torch.float32) * 2 - 1


def start(name, shape, rng):
    """Matrices that keep the size of what they multiply; weights of norms near 1."""
    if len(shape) == 2:
        return uniform(shape, rng) * (3 / shape[0]) ** 0.5
    return uniform(shape, rng) * 0.3 + (1 if name.endswith("norm.weight") else 0)


def weights_of(shape, keep, rng):
    """Multiples of 1/64, so that sums of weights alone, which some gradients are, round nowhere."""
    return (uniform(shape, rng) * 64).round().masked_fill(~keep.unsqueeze(-1), 0) / 64


def results(forward, inputs, keep, parameters, weights, dtype):
    def leaves(values):
        return {name: x.to(dtype).requires_grad_() for name, x in values.items()}
    x, p = leaves(inputs), leaves(parameters)
    y = forward(x, keep, p)
    y.backward(weights.to(dtype))
    prefix = str(dtype).removeprefix("torch.")
    exists = keep["x"].unsqueeze(-1)
    return {f"{prefix}.output": y.detach().masked_fill(~exists, 0),
            **{f"{prefix}.gradient.{name}": leaf.grad for name, leaf in (x | p).items()}}


def tensors_of(case, seed):
    rng = torch.Generator().manual_seed(seed)
    inputs = {name: uniform(shape, rng) * 2 for name, shape in case.inputs.items()}
    parameters = {name: start(name, shape, rng) for name, shape in case.parameters.items()}
    keep = {name: KEEP[name] if case.padded else torch.ones(x.shape[:2], dtype=torch.bool)
            for name, x in inputs.items()}
    weights = weights_of(inputs["x"].shape, keep["x"], rng)
    tensors = {"weights": weights, **within("input", inputs), **within("parameter", parameters)}
    tensors |= within("keep", keep) if case.padded else {}
    for dtype in (torch.float64, torch.float32):
        tensors |= results(case.forward, inputs, keep, parameters, weights, dtype)
    return {name: x.contiguous() for name, x in tensors.items()}


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    torch.set_num_threads(1)
    for seed, case in enumerate(CASES, 1):
        save_file(tensors_of(case, seed), folder / f"{case.forward.__name__}.safetensors")


if __name__ == "__main__":
    main()
