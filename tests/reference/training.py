"""A training by Adam in float64, for the scripts beside this one. Its file holds:

    classes                int64 [N], of the samples
    batches                int32 [200, 8], which samples each step reads
    start.NAME             float32, the parameters before the first step
    losses                 float64 [200], each before the update of its step
    end.NAME               float64, the parameters behind the last step
"""
import torch
import torch.nn.functional as F

STEPS, BATCH, LR = 200, 8, 5e-3


def train(parameters, named, logits, classes):
    """Trains `parameters` on batches that it draws. named() gives them as the file names them, and
    logits(ids) those of samples. They begin as numbers that float32 holds."""
    batches = torch.stack([torch.randperm(len(classes))[:BATCH] for _ in range(STEPS)])
    found = {"classes": classes, "batches": batches.int()}
    found |= {"start." + name: value.detach().float() for name, value in named().items()}
    adam = torch.optim.Adam(parameters, LR)
    losses = []
    for ids in batches:
        loss = F.cross_entropy(logits(ids), classes[ids])
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    found |= {"end." + name: value.detach() for name, value in named().items()}
    return found | {"losses": torch.tensor(losses, dtype=torch.float64)}
