#!/usr/bin/env python3
"""Writes tests/data/transformer/training.safetensors: a small GPT as PyTorch trains it in float64.

    transformer_training.py ../data

The texts are those problems of arithmetic_steps.tsv, with their working steps, that have at most 53
characters. Model, loss, optimizer, schedule, clipping and average of the weights are PyTorch's own
modules and functions. The file holds:

    tokens         int32 [N, 53], the texts, filled up with 0
    asked          bool [N, 52], where the token behind is one of the working steps. The loss is the
                   mean over these positions of a batch
    batches        int32 [500, 8], which texts each step reads
    start.NAME     float32, the parameters under maskgrad's names and in its layout (y = x W,
                   W [in, out])
    losses         float64 [500], each before the update of its step
    average.NAME   float64, the average of the weights after the last step

Needs PyTorch and safetensors.
"""
import pathlib
import sys

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn
from torch.optim import lr_scheduler, swa_utils

VOCABULARY = " :|xy=,+-*0123456789"
LENGTH = 53  # of the longest texts
FEATURES, HEADS, LAYERS = 32, 4, 2
STEPS, BATCH, WARMUP = 500, 8, 50
LR, BETAS, WEIGHT_DECAY, CLIP, AVERAGE = 2e-3, (0.9, 0.98), 0.05, 1.5, 0.99


class Gpt(nn.Module):
    def __init__(self):
        super().__init__()
        block = nn.TransformerEncoderLayer(FEATURES, HEADS, 4 * FEATURES, dropout=0.0,
                                           activation="gelu", batch_first=True, norm_first=True)
        self.embed = nn.Embedding(len(VOCABULARY), FEATURES)
        self.positions = nn.Embedding(LENGTH - 1, FEATURES)
        self.decoder = nn.TransformerEncoder(block, LAYERS, nn.LayerNorm(FEATURES),
                                             enable_nested_tensor=False)
        self.logits = nn.Linear(FEATURES, len(VOCABULARY))

    def forward(self, tokens):
        """The texts' padding is behind them, where no position of theirs attends to it."""
        length = tokens.shape[1]
        causal = nn.Transformer.generate_square_subsequent_mask(length, dtype=torch.float64)
        x = self.embed(tokens) + self.positions.weight
        return self.logits(self.decoder(x, mask=causal, is_causal=True))


def start(seed):
    """Numbers that float32 holds. Without this all blocks would start alike."""
    torch.manual_seed(seed)
    model = Gpt()
    for name, p in model.named_parameters():
        if name.startswith(("embed", "positions")):
            nn.init.normal_(p, std=0.1)
        elif p.ndim == 2:
            nn.init.xavier_uniform_(p)
        else:
            middle = 1.0 if "norm" in name and name.endswith("weight") else 0.0
            nn.init.uniform_(p, middle - 0.1, middle + 0.1)
    return model.double()


def texts(path):
    tokens, asked = [], []
    for line in path.read_text().splitlines():
        prompt, steps, _ = line.split("\t")
        text = prompt + steps
        if len(text) > LENGTH:
            continue
        tokens.append([VOCABULARY.index(c) for c in text.ljust(LENGTH)])
        asked.append([len(prompt) <= i < len(text) for i in range(1, LENGTH)])
    return torch.tensor(tokens), torch.tensor(asked)


def closer(average, weights, updates):
    """Of the exponential moving average, whose decay grows as that of TensorFlow's with num_updates.
    PyTorch has counted the first call as well."""
    steps = updates.double() - 1
    decay = torch.clamp((1 + steps) / (10 + steps), max=AVERAGE)
    return average + (1 - decay) * (weights - average)


def train(model, tokens, asked, batches):
    """The losses, and the average of the weights."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": WEIGHT_DECAY},
                                   {"params": others, "weight_decay": 0.0}], lr=LR, betas=BETAS)
    rise = lr_scheduler.LinearLR(optimizer, start_factor=1 / WARMUP, total_iters=WARMUP - 1)
    fall = lr_scheduler.CosineAnnealingLR(optimizer, T_max=STEPS - WARMUP)
    schedule = lr_scheduler.SequentialLR(optimizer, [rise, fall], milestones=[WARMUP])
    average = swa_utils.AveragedModel(model, avg_fn=closer)
    average.update_parameters(model)  # the first call takes the weights as they are
    losses = []
    for batch in batches:
        counted = asked[batch]
        logits = model(tokens[batch, :-1])
        loss = F.cross_entropy(logits[counted], tokens[batch, 1:][counted])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        schedule.step()
        average.update_parameters(model)
        losses.append(loss.item())
    return torch.tensor(losses, dtype=torch.float64), average.module


def block_parameters(block):
    attention = block.self_attn
    p = dict(zip("qkv", attention.in_proj_weight.chunk(3)))
    p |= dict(zip(("q_bias", "k_bias", "v_bias"), attention.in_proj_bias.chunk(3)))
    p |= {"o": attention.out_proj.weight, "o_bias": attention.out_proj.bias}
    p = {f"attention.{name}": x for name, x in p.items()}
    for i, layer in enumerate((block.linear1, block.linear2), 1):
        p |= {f"feed_forward.w{i}": layer.weight, f"feed_forward.b{i}": layer.bias}
    p = {name: x.T if x.ndim == 2 else x for name, x in p.items()}
    for name, norm in (("attention_norm", block.norm1), ("feed_forward_norm", block.norm2)):
        p |= {f"{name}.weight": norm.weight, f"{name}.bias": norm.bias}
    return p


def parameters(model):
    """Under maskgrad's names and in its layout."""
    p = {"embed.weight": model.embed.weight, "positions.table": model.positions.weight,
         "decoder.norm.weight": model.decoder.norm.weight,
         "decoder.norm.bias": model.decoder.norm.bias,
         "logits.weight": model.logits.weight.T, "logits.bias": model.logits.bias}
    for i, block in enumerate(model.decoder.layers):
        p |= {f"decoder.block{i}.{name}": x for name, x in block_parameters(block).items()}
    return {name: x.detach().contiguous().clone() for name, x in p.items()}


def main():
    data = pathlib.Path(sys.argv[1])
    torch.set_num_threads(1)
    tokens, asked = texts(data / "arithmetic_steps.tsv")
    model = start(seed=1)
    tensors = {"tokens": tokens.int(), "asked": asked}
    tensors |= {f"start.{name}": x.float() for name, x in parameters(model).items()}
    batches = torch.randint(len(tokens), (STEPS, BATCH))
    losses, average = train(model, tokens, asked, batches)
    tensors |= {"batches": batches.int(), "losses": losses}
    tensors |= {f"average.{name}": x for name, x in parameters(average).items()}
    save_file(tensors, data / "transformer" / "training.safetensors")


if __name__ == "__main__":
    main()
