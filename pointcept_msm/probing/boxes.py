"""Axis-aligned boxes: from instances, their overlap, and average precision by the rules of VoteNet's evaluation.

A box is six numbers, centre and size in metres. Legend: N points, K boxes, P predicted boxes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch


class Boxes(NamedTuple):
    """Objects of a scene: box (K, 6) float32, category (K,) int64 (-1 unknown), id (K,) int64 the instance's number."""

    box: np.ndarray
    category: np.ndarray
    id: np.ndarray


class Detections(NamedTuple):
    """Predicted boxes of a scene: box (P, 6), category (P,), score (P,)."""

    box: np.ndarray
    category: np.ndarray
    score: np.ndarray


def find_boxes(scene: dict, classes: Sequence[int], min_points: int = 1) -> Boxes:
    """Smallest boxes around a scene's instances whose commonest class is one of `classes`, by rising instance number.

    scene: coord (N, 3), segment and instance (N,), -1 unknown. Instances of fewer points than min_points are left out.
    """
    coord, segment, instance = (np.asarray(scene[key]) for key in ("coord", "segment", "instance"))
    order = np.argsort(instance, kind="stable")
    numbers, start = np.unique(instance[order], return_index=True)
    found = []
    for number, rows in zip(numbers, np.split(order, start[1:])):
        category = np.bincount(segment[rows] + 1).argmax() - 1
        if number >= 0 and len(rows) >= min_points and category in classes:
            low, high = coord[rows].min(0), coord[rows].max(0)
            size = np.maximum(high - low, 1e-3)  # a box without volume overlaps nothing
            found.append((np.concatenate([(low + high) / 2, size]), category, number))
    box, category, number = zip(*found) if found else (np.zeros((0, 6)), [], [])
    return Boxes(np.array(box, dtype=np.float32), np.array(category, dtype=np.int64), np.array(number, dtype=np.int64))


def random_turn(rng: np.random.Generator) -> np.ndarray:
    """Matrix (3, 3) of a random quarter turn about z and a mirror: boxes stay along the axes."""
    turn = np.diag([*rng.choice([-1.0, 1.0], 2), 1.0]).astype(np.float32)
    return turn[[1, 0, 2]] if rng.random() < 0.5 else turn


def turn_boxes(box: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Boxes (K, 6) turned by such a matrix."""
    return np.concatenate([box[:, :3] @ turn.T, box[:, 3:] @ abs(turn.T)], axis=1)


def turn_to_walls(scene: dict) -> dict:
    """The scene turned about z, by up to 45 degrees, until most horizontal normals lie along x or y.

    Boxes along the axes are then those of the furniture, as in ScanNet's axis alignment. coord (N, 3), normal (N, 3).
    """
    x, y = (np.asarray(scene["normal"], dtype=np.float64)[:, axis] for axis in (0, 1))
    angle = np.angle(((x + 1j * y) ** 4).sum()) / 4  # of the normals, modulo 90 degrees
    turn = np.array([[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    return scene | {key: (np.asarray(scene[key]) @ turn.T).astype(np.float32) for key in ("coord", "normal")}


def box_overlap(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """IoU and generalised IoU (..., K, P) of every box of a (..., K, 6) with every box of b (..., P, 6).

    Generalised: IoU minus the share of the smallest box around both that neither fills (from -1 to 1).
    """
    a, b = a.unsqueeze(-2), b.unsqueeze(-3)
    low_a, high_a = a[..., :3] - a[..., 3:] / 2, a[..., :3] + a[..., 3:] / 2
    low_b, high_b = b[..., :3] - b[..., 3:] / 2, b[..., :3] + b[..., 3:] / 2
    shared = (torch.minimum(high_a, high_b) - torch.maximum(low_a, low_b)).clamp(min=0).prod(-1)
    around = (torch.maximum(high_a, high_b) - torch.minimum(low_a, low_b)).prod(-1)
    union = a[..., 3:].prod(-1) + b[..., 3:].prod(-1) - shared
    iou = shared / union.clamp(min=1e-9)
    return iou, iou - (around - union) / around.clamp(min=1e-9)


def box_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU (K, P) of boxes a (K, 6) and b (P, 6)."""
    return box_overlap(torch.as_tensor(a, dtype=torch.float64), torch.as_tensor(b, dtype=torch.float64))[0].numpy()


def suppress(box: np.ndarray, score: np.ndarray, category: np.ndarray, threshold: float = 0.25) -> np.ndarray:
    """Rows of the boxes that no box of the same category with a better score overlaps by more than `threshold`."""
    iou = np.where(category[:, None] == category[None], box_iou(box, box), 0.0)
    kept = []
    for row in np.argsort(-score, kind="stable"):
        if not (iou[row, kept] > threshold).any():
            kept.append(row)
    return np.array(kept, dtype=np.int64)


def detection_scores(predictions: Sequence[Detections], targets: Sequence[Boxes]) -> dict[str, float]:
    """AP25 and AP50, mean AP in percent at IoU 0.25 and 0.5, over the classes that occur among the targets.

    A prediction is right when the target of its class that it overlaps most, by more than the threshold, is not that of
    a surer one; AP is the area under the precision envelope over recall, at all points. NaN without targets.
    """
    scores, classes = {}, np.unique(np.concatenate([t.category for t in targets]))
    for threshold in (0.25, 0.5):
        values = [_class_ap(predictions, targets, c, threshold) for c in classes]
        scores[f"AP{round(100 * threshold)}"] = 100 * float(np.mean(values)) if values else float("nan")
    return scores


def _class_ap(predictions, targets, category, threshold):
    scores, hits, count = [], [], 0
    for pred, target in zip(predictions, targets, strict=True):
        mine, wanted = np.flatnonzero(pred.category == category), target.box[target.category == category]
        mine = mine[np.argsort(-pred.score[mine], kind="stable")]
        hit = np.zeros(len(mine), dtype=bool)
        if len(wanted):
            iou = box_iou(pred.box[mine], wanted)
            near = np.flatnonzero(iou.max(1) > threshold)
            hit[near[np.unique(iou.argmax(1)[near], return_index=True)[1]]] = True  # the first of each target
        scores.append(pred.score[mine])
        hits.append(hit)
        count += len(wanted)
    hit = np.concatenate(hits)[np.argsort(-np.concatenate(scores), kind="stable")]
    precision = np.cumsum(hit) / np.arange(1, len(hit) + 1)
    return float(np.maximum.accumulate(precision[::-1])[::-1][hit].sum() / count)
