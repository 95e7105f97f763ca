"""What the heads of detection and grounding share: an attention layer, and training by AdamW, warm-up and cosine."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

LOGGER = logging.getLogger("msm")


class AttentionLayer(nn.Module):
    """Self-attention between queries, cross-attention to a memory, two linear layers; norms first, as in 3DETR."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float):
        super().__init__()
        self.own = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.cross = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, memory, place=0.0, key=None, bias=None, missing=None):
        """x (B, Q, D): Q queries of width D; memory (B, M, D); place (B, Q, D) and key (B, M, D): how they find each
        other; bias (B * heads, Q, Q) of the self-attention; missing (B, M): memory that is not there."""
        y = self.norms[0](x)
        x = x + self.dropout(self.own(y + place, y + place, y, attn_mask=bias, need_weights=False)[0])
        y, key = self.norms[1](x) + place, memory if key is None else key
        x = x + self.dropout(self.cross(y, key, memory, key_padding_mask=missing, need_weights=False)[0])
        return x + self.dropout(self.mlp(self.norms[2](x)))


@dataclass
class Training:
    """How a head is trained. warmup: epochs in which the rate rises from final_lr to lr; then a cosine back to it.

    augment: mirrored and turned scenes. backbone_lr: share of the rate that a network gets when it is fine-tuned.
    """

    epochs: int
    batch_size: int
    lr: float
    final_lr: float = 1e-6
    warmup: float = 0.0
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.95)
    clip: float = 0.1
    augment: bool = True
    backbone_lr: float = 0.1

    def rate(self, epoch: float) -> float:
        """Learning rate at a point of time, counted in epochs."""
        if epoch < self.warmup:
            return self.final_lr + (self.lr - self.final_lr) * epoch / self.warmup
        share = (epoch - self.warmup) / max(self.epochs - self.warmup, 1e-9)
        return self.final_lr + (self.lr - self.final_lr) * (1 + math.cos(math.pi * share)) / 2


def fit_head(
    modules: list[nn.Module],
    count: int,
    loss: Callable[[np.ndarray, np.random.Generator], torch.Tensor],
    training: Training,
    seed: int = 0,
) -> None:
    """Train a head, and the network under it if `modules` holds one too, on `count` samples; all end in eval mode.

    loss(rows, rng): mean loss of the samples `rows`; rng: for their augmentation.
    """
    everything = nn.ModuleList(modules).train()
    groups = [dict(params=list(m.parameters()), share=s) for m, s in zip(modules, (1.0, training.backbone_lr))]
    optimizer = torch.optim.AdamW(groups, training.lr, tuple(training.betas), weight_decay=training.weight_decay)
    rng, steps = np.random.default_rng(seed), max(1, round(count / training.batch_size))
    for epoch in range(training.epochs):
        total = 0.0
        for step, rows in enumerate(np.array_split(rng.permutation(count), steps)):  # none of a few samples
            for group in optimizer.param_groups:
                group["lr"] = group["share"] * training.rate(epoch + step / steps)
            optimizer.zero_grad(set_to_none=True)
            value = loss(rows, rng)
            value.backward()
            nn.utils.clip_grad_norm_(everything.parameters(), training.clip)
            optimizer.step()
            total += value.detach()
        if (epoch + 1) % max(1, training.epochs // 10) == 0:
            LOGGER.info("head: epoch %d of %d, loss %.3f", epoch + 1, training.epochs, float(total) / steps)
    everything.eval()
