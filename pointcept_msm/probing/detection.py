"""Detection probe: 3DETR's decoder on frozen features of points (Tables 8 and 18). Axis-aligned boxes.

Points by farthest-point sampling, a linear layer on their features, queries at some of the points, and after each
decoder layer a class and a box a query; each object is matched with one query, which is trained to be it. Settings and
losses are 3DETR's (Misra, Girdhar, Joulin, ICCV 2021; facebookresearch/3detr), written anew.
Legend: B scenes, P points, C channels, Q queries, K objects, L layers, D width.
"""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import nn

from pointcept_msm.host import MODELS, register
from pointcept_msm.models.feature_sampling import sample_levels
from pointcept_msm.models.layers.norm import RunningStandard
from pointcept_msm.probing.boxes import Boxes, Detections, box_overlap, random_turn, suppress, turn_boxes

LOGGER = logging.getLogger("msm")
MIN_OBJECTNESS = 0.05
CLASS_COST, OVERLAP_COST = 1.0, 2.0  # of the matching
CENTRE_WEIGHT, SIZE_WEIGHT, OVERLAP_WEIGHT, NOTHING_WEIGHT = 5.0, 1.0, 1.0, 0.25  # of the loss


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
    for epoch in range(training.epochs if count else 0):
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


class Cloud(NamedTuple):
    """A scene for the detector: coord (P, 3) metres, its objects (category 0 .. classes - 1), and feat (P, C), frozen;
    or, to compute them at every step, the network's inputs on its device: grid (V, 3), columns (V, C'), voxel (P,)."""

    coord: torch.Tensor
    objects: Boxes
    feat: torch.Tensor | None = None
    inputs: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = None


def farthest_points(coord: torch.Tensor, count: int) -> torch.Tensor:
    """Row numbers (count,) of points (P, 3), each the farthest from those before it; the first is row 0.

    Fewer points than `count` are repeated in order.
    """
    if len(coord) <= count:
        return torch.arange(count, device=coord.device) % len(coord)
    chosen = torch.zeros(count, dtype=torch.long, device=coord.device)
    distance = torch.full((len(coord),), float("inf"), device=coord.device)
    for i in range(1, count):
        distance = torch.minimum(distance, (coord - coord[chosen[i - 1]]).square().sum(1))
        chosen[i] = distance.argmax()
    return chosen


def build_output(width: int, outputs: int, dropout: float) -> nn.Sequential:
    """Two hidden layers with batch norm and dropout, then a linear one; on (rows, width)."""
    block = [lambda: nn.Linear(width, width), lambda: nn.BatchNorm1d(width), nn.ReLU, lambda: nn.Dropout(dropout)]
    return nn.Sequential(*[make() for make in 2 * block], nn.Linear(width, outputs))


@register(MODELS, "MSM-Detection-v1m1")
class MSMDetection(nn.Module):
    """Classes and boxes from points' features (B, P, C) and coordinates (B, P, 3) in metres, each farthest from those
    before it, so that the first are the queries that farthest-point sampling would take.

    Returns logits (L, B, Q, num_classes + 1), the last for "nothing", boxes (L, B, Q, 6), the scenes' sizes (B, 3).
    reach: side in metres of the cube around a query that its box's centre lies in. see_own_point: a query starts from
    its point's features, which is learned in a tenth of the steps, instead of zeros as in 3DETR.
    """

    def __init__(
        self, in_channels: int, num_classes: int, queries: int = 256, layers: int = 8, width: int = 256,
        heads: int = 4, hidden: int = 256, dropout: float = 0.1, head_dropout: float = 0.3, reach: float = 1.0,
        see_own_point: bool = False,
    ):  # fmt: skip
        super().__init__()
        self.queries, self.reach, self.see_own_point = queries, reach, see_own_point
        self.standard = RunningStandard(in_channels)  # no other class of functions than a linear layer alone
        self.inputs = nn.Linear(in_channels, width)
        self.register_buffer("waves", torch.randn(3, width // 2))  # random Fourier features of the place
        self.place = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.layers = nn.ModuleList(AttentionLayer(width, heads, hidden, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.category, self.centre, self.size = (build_output(width, n, head_dropout) for n in (num_classes + 1, 3, 3))
        for parameter in self.layers.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(self, feat: torch.Tensor, coord: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        low = coord.amin(1, keepdim=True)
        extent = (coord.amax(1, keepdim=True) - low).clamp(min=0.1)
        wave = ((coord - low) / extent * 2 * torch.pi) @ self.waves
        wave = torch.cat([wave.sin(), wave.cos()], -1)  # (B, P, D)
        memory = self.inputs(self.standard(feat.flatten(0, 1)).unflatten(0, feat.shape[:2]))
        query, place, x = (values[:, : self.queries] for values in (coord, wave, memory))
        place, x, states = self.place(place), x if self.see_own_point else torch.zeros_like(x), []
        for layer in self.layers:
            x = layer(x, memory, place, memory + wave)
            states.append(self.norm(x))
        shape, states = (len(states), *query.shape[:2]), torch.cat(states).flatten(0, 1)
        logits, centre, size = (head(states).unflatten(0, shape) for head in (self.category, self.centre, self.size))
        box = torch.cat([query + (centre.sigmoid() - 0.5) * self.reach, size.sigmoid() * extent], -1)
        return logits, box, extent[:, 0]


def match_queries(cost: np.ndarray, counts: Sequence[int]) -> np.ndarray:
    """(4, matches): layer, scene, query, object of the cheapest one-to-one matchings. cost (L, B, Q, K); counts (B,):
    objects of each scene, the first of K."""
    found = [np.zeros((4, 0), dtype=np.int64)]
    for layer, scene in np.ndindex(*cost.shape[:2]):
        query, number = linear_sum_assignment(cost[layer, scene, :, : counts[scene]])
        found.append(np.stack([np.full_like(query, layer), np.full_like(query, scene), query, number]))
    return np.concatenate(found, axis=1)


def detection_loss(
    logits: torch.Tensor, box: torch.Tensor, extent: torch.Tensor, targets: Sequence[tuple[torch.Tensor, torch.Tensor]]
) -> torch.Tensor:
    """3DETR's loss, summed over layers. logits (L, B, Q, classes + 1), box (L, B, Q, 6), extent (B, 3): in its units
    centre and size are compared; targets: (box (K, 6), category (K,)) a scene."""
    wanted, category = (nn.utils.rnn.pad_sequence(parts, batch_first=True) for parts in zip(*targets))
    overlap = box_overlap(box, wanted)[1]  # (L, B, Q, K)
    share = logits.softmax(-1).gather(3, category[None, :, None].expand(overlap.shape))
    cost = (-CLASS_COST * share - OVERLAP_COST * overlap).detach().float().cpu().numpy()
    match = match_queries(cost, [len(category) for _, category in targets])
    layer, scene, query, number = torch.from_numpy(match).to(box.device)
    error = (box[layer, scene, query] - wanted[scene, number]).abs() / extent[scene].repeat(1, 2)
    loss = CENTRE_WEIGHT * error[:, :3].sum() + SIZE_WEIGHT * error[:, 3:].sum()
    loss = loss + OVERLAP_WEIGHT * (1 - overlap[layer, scene, query, number]).sum()
    label = torch.full(logits.shape[:-1], logits.shape[-1] - 1, device=logits.device)  # nothing
    label[layer, scene, query] = category[scene, number]
    weight = torch.tensor([1.0] * (logits.shape[-1] - 1) + [NOTHING_WEIGHT], device=logits.device)
    named = sum(F.cross_entropy(a.flatten(0, 1), b.flatten(), weight) for a, b in zip(logits, label))
    return named + loss / max(1, sum(len(category) for _, category in targets))


def collect_features(clouds: Sequence[Cloud], device, network: nn.Module | None = None):
    """Features (B, P, C) of clouds: the frozen ones or, with a network, from one pass of it, with gradients."""
    if network is None:
        return torch.stack([c.feat for c in clouds]).to(device)
    grid, feat, voxel = zip(*(c.inputs for c in clouds))
    offset = torch.tensor([len(g) for g in grid]).cumsum(0).to(device)
    levels = network(dict(grid_coord=torch.cat(grid), feat=torch.cat(feat), offset=offset))
    query = torch.cat([g[v] for g, v in zip(grid, voxel)])
    scene = torch.arange(len(clouds), device=device).repeat_interleave(len(voxel[0]))
    return sample_levels(levels, query, scene).float().unflatten(0, (len(clouds), -1))


def fit_detection(
    head: MSMDetection, clouds: Sequence[Cloud], training: Training, seed: int = 0,
    network: nn.Module | None = None,
) -> None:  # fmt: skip
    """Train the head on clouds, and the network with it if one is given. With training.augment scenes are mirrored and
    turned by quarters: coordinates and boxes; features are taken to be the same from any side."""
    device = next(head.parameters()).device

    def loss(rows, rng):
        part = [clouds[i] for i in rows]
        turns = [random_turn(rng) if training.augment else np.eye(3, dtype=np.float32) for _ in part]
        coord = torch.stack([c.coord @ torch.from_numpy(turn).T for c, turn in zip(part, turns)]).to(device)
        wanted = [(turn_boxes(c.objects.box, turn), c.objects.category) for c, turn in zip(part, turns)]
        targets = [tuple(torch.from_numpy(x).to(device) for x in pair) for pair in wanted]
        return detection_loss(*head(collect_features(part, device, network), coord), targets)

    fit_head([head] if network is None else [head, network], len(clouds), loss, training, seed)


@torch.no_grad()
def predict_detections(head: MSMDetection, cloud: Cloud, network: nn.Module | None = None) -> Detections:
    """Boxes of one scene as VoteNet's rules take them: queries that are an object with 5 % at least, whose box holds a
    point and is no weaker double of the same class; each of them for every class, with that class's probability."""
    device = next(head.parameters()).device
    logits, box, _ = head(collect_features([cloud], device, network), cloud.coord[None].to(device))
    share, box = logits[-1, 0].softmax(-1).cpu().numpy()[:, :-1], box[-1, 0].cpu().numpy()
    inside = (abs(cloud.coord.numpy() - box[:, None, :3]) <= box[:, None, 3:] / 2).all(2).any(1)
    objectness = share.sum(1)
    rows = np.flatnonzero((objectness > MIN_OBJECTNESS) & inside)
    rows = rows[suppress(box[rows], objectness[rows], share[rows].argmax(1))]
    classes, score = share.shape[1], share[rows] * objectness[rows, None]
    return Detections(np.repeat(box[rows], classes, 0), np.tile(np.arange(classes), len(rows)), score.ravel())
