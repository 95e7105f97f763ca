"""Grounding probe: which of a scene's proposals does a sentence mean (Tables 3, 6 and 17), on frozen features.

A proposal is a set of points; its features are pooled, its centre and size added. The head lets proposals look at each
other, with nearness as a bias, and at the sentence's words, and gives one score a proposal. It follows the matching
module of M3DRef-CLIP (Zhang, Gong, Chang, ICCV 2023), whose optimiser settings Table 17 has; written anew.
Legend: B sentences, P proposals, C channels, T words, D width.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from pointcept_msm.host import MODELS, register
from pointcept_msm.models.layers.norm import RunningStandard
from pointcept_msm.probing.boxes import Boxes, box_iou, random_turn, turn_boxes
from pointcept_msm.probing.detection import AttentionLayer, Training, fit_head


class Proposals(NamedTuple):
    """Of one scene: feat (P, 2 C) mean and maximum over the proposal's points, box (P, 6) centre and size."""

    feat: np.ndarray
    box: np.ndarray


class Query(NamedTuple):
    """A sentence about scene number `scene`, the box (6,) it means, and whether the object is alone in its class."""

    scene: int
    words: tuple[str, ...]
    box: np.ndarray
    unique: bool


def pool_proposals(feat: np.ndarray, label: np.ndarray, boxes: Boxes) -> Proposals:
    """Features (N, C) pooled by proposal; label (N,): the `id` of each point's box. Boxes without a point are left out;
    a scene without any gets one of no size, which is never right."""
    rows = [np.flatnonzero(label == number) for number in boxes.id]
    pooled = [np.concatenate([feat[mine].mean(0), feat[mine].max(0)]) for mine in rows if len(mine)]
    if not pooled:
        return Proposals(np.zeros((1, 2 * feat.shape[1]), np.float32), np.zeros((1, 6), np.float32))
    return Proposals(np.array(pooled, np.float32), boxes.box[[len(mine) > 0 for mine in rows]])


class WordEncoder(nn.Module):
    """Embeddings and a GRU over the words of a vocabulary: sentences to (words (B, T, width), mask (B, T)).

    An encoder of your own has the same `width` and `forward`; register it in MODELS and name it as `text_encoder`.
    """

    def __init__(self, vocabulary: Sequence[str], width: int = 128):
        super().__init__()
        self.width = width
        self.index = {word: i + 2 for i, word in enumerate(sorted(set(vocabulary)))}  # 0: no word, 1: unknown
        self.embedding = nn.Embedding(len(self.index) + 2, width, padding_idx=0)
        self.gru = nn.GRU(width, width, batch_first=True)

    def forward(self, sentences: Sequence[Sequence[str]]) -> tuple[torch.Tensor, torch.Tensor]:
        numbers = [torch.tensor([self.index.get(w, 1) for w in s or [""]]) for s in sentences]
        numbers = nn.utils.rnn.pad_sequence(numbers, batch_first=True).to(self.embedding.weight.device)
        return self.gru(self.embedding(numbers))[0], numbers > 0


@register(MODELS, "MSM-Grounding-v1m1")
class MSMGrounding(nn.Module):
    """One score a proposal, (B, P), minus infinity where there is none, from pooled features (B, P, C), boxes
    (B, P, 6), mask (B, P) and sentences. text_encoder: config of a registered module in the place of `WordEncoder`."""

    def __init__(
        self, in_channels: int, vocabulary: Sequence[str] = (), text_encoder: dict | None = None, layers: int = 2,
        width: int = 128, heads: int = 4, dropout: float = 0.1,
    ):  # fmt: skip
        super().__init__()
        self.heads = heads
        self.text = MODELS.build(dict(text_encoder)) if text_encoder else WordEncoder(vocabulary, width)
        self.words = nn.Sequential(nn.Linear(self.text.width, width), nn.LayerNorm(width), nn.Dropout(dropout))
        self.standard = RunningStandard(in_channels)
        self.inputs = nn.Sequential(nn.Linear(in_channels + 6, width), nn.LayerNorm(width), nn.PReLU())
        self.layers = nn.ModuleList(AttentionLayer(width, heads, 2 * width, dropout) for _ in range(layers))
        self.score = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.PReLU(), nn.Dropout(dropout), nn.Linear(width, 1)
        )

    def forward(self, feat, box, mask, sentences) -> torch.Tensor:
        words, known = self.text(sentences)
        words = self.words(words)
        feat = torch.zeros_like(feat).masked_scatter(mask[..., None], self.standard(feat[mask]))
        x = self.inputs(torch.cat([feat, box], -1))
        bias = self.nearness(box[..., :3], mask)
        for layer in self.layers:
            x = layer(x, words, bias=bias, missing=~known)
        return self.score(x).squeeze(-1).masked_fill(~mask, float("-inf"))

    def nearness(self, centre, mask):
        """Bias (B * heads, P, P) of the attention between proposals: their share of all nearness (1 / distance) in the
        first head, minus the distance in metres in the second, none in the others; missing proposals are not seen."""
        distance = torch.cdist(centre, centre)
        near = (1 / (distance + 0.01)).masked_fill(~mask[:, None], 0)
        bias = distance.new_zeros(len(centre), self.heads, *distance.shape[1:])
        bias[:, 0] = near / near.sum(-1, keepdim=True)
        bias[:, 1 % self.heads] -= distance
        return bias.masked_fill(~mask[:, None, None], float("-inf")).flatten(0, 1)


def collate(scenes: Sequence[Proposals], queries: Sequence[Query], device, rng: np.random.Generator | None = None):
    """(feat, box, mask) of the queries' scenes, padded to the most proposals; boxes are centred on the scene and, with
    an rng, mirrored and turned by quarters at random, the same for a whole scene."""
    boxes = []
    for query in queries:
        box = scenes[query.scene].box.copy()
        box[:, :3] -= (box[:, :3].min(0) + box[:, :3].max(0)) / 2
        boxes.append(torch.from_numpy(box if rng is None else turn_boxes(box, random_turn(rng))))
    feats = [torch.from_numpy(scenes[query.scene].feat) for query in queries]
    masks = [torch.ones(len(box), dtype=torch.bool) for box in boxes]
    return tuple(nn.utils.rnn.pad_sequence(x, batch_first=True).to(device) for x in (feats, boxes, masks))


def fit_grounding(head: nn.Module, scenes, queries: Sequence[Query], training: Training, seed: int = 0) -> None:
    """Train the head by cross-entropy over proposals; the right one has the largest IoU with the box that is meant.

    Queries whose box no proposal of their scene overlaps teach nothing and are left out.
    """
    device = next(head.parameters()).device
    overlap = [box_iou(scenes[q.scene].box, q.box[None])[:, 0] for q in queries]
    samples = [(q, int(iou.argmax())) for q, iou in zip(queries, overlap) if iou.max() > 0]

    def loss(rows, rng):
        part, best = zip(*(samples[i] for i in rows))
        logits = head(*collate(scenes, part, device, rng if training.augment else None), [q.words for q in part])
        return F.cross_entropy(logits, torch.tensor(best, device=device))

    fit_head([head], len(samples), loss, training, seed)


@torch.no_grad()
def choose_boxes(head: nn.Module, scenes: Sequence[Proposals], queries: Sequence[Query]) -> np.ndarray:
    """The box (N, 6) of the best-scored proposal for each query."""
    device, found = next(head.parameters()).device, []
    for start in range(0, len(queries), 64):
        part = queries[start : start + 64]
        best = head(*collate(scenes, part, device), [q.words for q in part]).argmax(1).tolist()
        found += [scenes[q.scene].box[i] for q, i in zip(part, best)]
    return np.array(found)


def grounding_scores(found: np.ndarray, queries: Sequence[Query], prefix: str = "") -> dict[str, float]:
    """Accuracy in percent at IoU 0.25 and 0.5 (found (N, 6) against what is meant): unique, multiple, overall."""
    iou = np.array([box_iou(f[None], q.box[None])[0, 0] for f, q in zip(found, queries, strict=True)])
    unique = np.array([q.unique for q in queries], dtype=bool)
    scores = {}
    for threshold in (0.25, 0.5):
        for name, rows in (("unique", unique), ("multiple", ~unique), ("overall", np.ones(len(unique), dtype=bool))):
            value = 100 * float((iou[rows] >= threshold).mean()) if rows.any() else float("nan")
            scores[f"{prefix}{name}{round(100 * threshold)}"] = value
    return scores
