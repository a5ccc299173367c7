#!/usr/bin/env python3
"""A small GPT in PyTorch, in training and in generation: the figures of
`maskgrad bench transformer`, as JSON."""

from common import (
    HEAD,
    ROW,
    VOCAB,
    check_parameters,
    median_seconds,
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
IGNORED = -100  # a target that does not count


def make_model(torch, width, layers, positions):
    nn, functional = torch.nn, torch.nn.functional

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.second_norm = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def attend(self, x, cache, at):
            """With a cache x is the token at `at`, else whole rows."""
            q, k, v = self.qkv(x).unflatten(-1, (3, -1, HEAD)).permute(2, 0, 3, 1, 4)
            if cache is None:
                y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            else:
                cache[0, :, :, at : at + 1], cache[1, :, :, at : at + 1] = k, v
                k, v = cache[:, :, :, : at + 1]
                y = functional.scaled_dot_product_attention(q, k, v)
            return self.out(y.transpose(1, 2).flatten(2))

        def forward(self, x, cache=None, at=None):
            x = x + self.attend(self.norm(x), cache, at)
            return x + self.down(functional.gelu(self.up(self.second_norm(x))))

    class Gpt(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.positions = nn.Embedding(VOCAB, width), nn.Embedding(positions, width)
            self.blocks = nn.ModuleList(Block() for _ in range(layers))
            self.norm, self.logits = nn.LayerNorm(width), nn.Linear(width, VOCAB)

        def forward(self, tokens):
            x = self.embed(tokens) + self.positions.weight
            for block in self.blocks:
                x = block(x)
            return self.logits(self.norm(x))

        def next_logits(self, tokens, caches, at):
            x = self.embed(tokens) + self.positions.weight[at]
            for block, cache in zip(self.blocks, caches):
                x = block(x, cache, at)
            return self.logits(self.norm(x))

    model = Gpt()
    expected = transformer_parameters(width, layers, positions)
    check_parameters(sum(p.numel() for p in model.parameters()), expected)
    return model


def make_optimizer(torch, model):
    groups = [
        {"params": [p for p in model.parameters() if p.ndim >= 2], "weight_decay": 0.01},
        {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=1e-4, betas=(0.9, 0.98), eps=1e-7, fused=True)


def tokens_per_second(torch, compiled, width, mixed):
    """Of training steps. Padding stands behind the tokens of a row, where causal attention does not
    look, so it needs no mask."""
    layers, batch = transformer_sizes(width)
    model = make_model(torch, width, layers, positions=ROW)
    optimizer = make_optimizer(torch, model)
    tokens, targets = (torch.tensor(values) for values in transformer_data(batch))
    lengths = torch.tensor(transformer_lengths(batch, mixed))
    targets = targets.masked_fill(torch.arange(ROW) >= lengths[:, None], IGNORED)

    def loss_of():
        logits = model(tokens).flatten(0, 1)
        return torch.nn.functional.cross_entropy(logits, targets.flatten(), ignore_index=IGNORED)

    loss_of = torch.compile(loss_of) if compiled else loss_of

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss_of().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return lengths.sum().item() / median_seconds(step)


def microseconds_per_token(torch, batch):
    """Of texts of TOKENS tokens behind a prompt of one, with a cache of keys and values."""
    width = 128
    layers, _ = transformer_sizes(width)
    model = make_model(torch, width, layers, POSITIONS)
    shape = (2, batch, width // HEAD, POSITIONS, HEAD)

    def run():
        with torch.inference_mode():
            caches = [torch.empty(shape) for _ in range(layers)]
            tokens = torch.ones(batch, 1, dtype=torch.int64)
            for at in range(TOKENS):
                tokens = model.next_logits(tokens, caches, at).argmax(-1)

    return 1e6 * median_seconds(run) / (TOKENS * batch)


def main():
    arguments = transformer_parser(__doc__)
    arguments.add_argument(
        "--compile",
        action="store_true",
        help="training with torch.compile, and no generation; needs a C++ compiler",
    )
    options = arguments.parse_args()
    torch = require("torch")
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    figures = transformer_figures(
        options.width,
        lambda width, mixed: tokens_per_second(torch, options.compile, width, mixed),
        None if options.compile else lambda batch: microseconds_per_token(torch, batch),
    )
    print_json(figures, {"PyTorch": torch.__version__})


if __name__ == "__main__":
    main()
