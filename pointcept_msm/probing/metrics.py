"""Scores of predictions: confusion matrix, mIoU / mAcc / allAcc, and the instance AP of the ScanNet benchmark.

The AP follows the public ScanNet evaluation in its rules (greedy matching by confidence, void and too small instances
ignored, area under the curve by central differences), for predictions that do not overlap each other.
Legend: N points, K classes, P predicted instances.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pointcept_msm.runtime.errors import UserError

AP_THRESHOLDS = tuple(np.round(np.arange(0.5, 0.95, 0.05), 2))  # "AP" of ScanNet: 0.50 to 0.90


def confusion_matrix(pred: np.ndarray, target: np.ndarray, num_classes: int, ignore: int = -1) -> np.ndarray:
    """Counts (K, K) int64, rows the target, columns the prediction; points whose target is `ignore` do not count.

    UserError: a class outside 0 .. K - 1.
    """
    pred, target = np.asarray(pred).reshape(-1), np.asarray(target).reshape(-1)
    known = target != ignore
    pred, target = pred[known].astype(np.int64), target[known].astype(np.int64)
    check_classes("target", target, num_classes)
    check_classes("prediction", pred, num_classes)
    return np.bincount(target * num_classes + pred, minlength=num_classes**2).reshape(num_classes, num_classes)


def check_classes(name: str, label: np.ndarray, num_classes: int) -> None:
    """Raise UserError unless every label (N,) is a class 0 .. K - 1."""
    if len(label) and not 0 <= label.min() <= label.max() < num_classes:
        raise UserError(
            f"{name} classes run from {label.min()} to {label.max()}; allowed 0 to {num_classes - 1}, and -1 for "
            "unknown: set data.num_classes, or name the label that means unknown (data.ignore_index, a probe's "
            "test.ignore)"
        )


def segmentation_scores(confusion: np.ndarray) -> dict[str, float]:
    """mIoU, mAcc and allAcc in percent, from one confusion matrix over all scenes, by two rules.

    mIoU and mAcc: means over the classes that occur in the target, so that every method has the same denominator
    whatever it predicts. mIoU_all and mAcc_all: Pointcept's rule, means over all K classes, where one that does not
    occur counts 0. `classes` says how many occur: the second figure is the first times classes / K.
    """
    confusion = np.asarray(confusion, dtype=np.float64)
    hit, target, pred = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    occurs = target > 0
    if not occurs.any():
        return dict.fromkeys(("mIoU", "mAcc", "allAcc", "mIoU_all", "mAcc_all"), float("nan")) | dict(classes=0)
    iou = hit[occurs] / (target + pred - hit)[occurs]
    accuracy = hit[occurs] / target[occurs]
    return dict(
        mIoU=100 * float(iou.mean()),
        mAcc=100 * float(accuracy.mean()),
        allAcc=100 * float(hit.sum() / target.sum()),
        mIoU_all=100 * float(iou.sum() / len(hit)),
        mAcc_all=100 * float(accuracy.sum() / len(hit)),
        classes=int(occurs.sum()),
    )


def class_iou(confusion: np.ndarray) -> np.ndarray:
    """IoU of each class in percent (..., K) from confusion matrices (..., K, K); NaN where the target has no such
    class."""
    confusion = np.asarray(confusion, dtype=np.float64)
    hit, target = np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(-1)
    union = target + confusion.sum(-2) - hit
    return np.where(target > 0, 100 * hit / np.maximum(union, 1), np.nan)


class Instances(NamedTuple):
    """Predicted instances of a scene: label (N,) index of the point's instance or -1; category (P,); score (P,)."""

    label: np.ndarray
    category: np.ndarray
    score: np.ndarray


class _Overlaps(NamedTuple):
    """What the matching of one scene needs: points shared (P, G), sizes, and points of a prediction that are void."""

    shared: np.ndarray
    pred_size: np.ndarray
    target_size: np.ndarray
    target_category: np.ndarray
    void: np.ndarray  # (P,)


def instance_scores(
    predictions: Sequence[Instances],
    segments: Sequence[np.ndarray],
    instances: Sequence[np.ndarray],
    classes: Sequence[int],
    min_points: int = 100,
) -> dict[str, float]:
    """AP25, AP50 and AP (mean over 0.50 .. 0.90) in percent over `classes`, from one prediction, segment and instance
    a scene.

    Targets below `min_points` points and points without class or instance are void: a prediction mostly on them is not
    counted. NaN when no class of `classes` has an instance.
    """
    overlaps = [
        _overlaps(p, np.asarray(s), np.asarray(i), classes)
        for p, s, i in zip(predictions, segments, instances, strict=True)
    ]
    scores = {}
    for threshold in (0.25, *AP_THRESHOLDS):
        values = [_class_ap(predictions, overlaps, c, threshold, min_points) for c in classes]
        values = [v for v in values if not np.isnan(v)]
        scores[threshold] = 100 * float(np.mean(values)) if values else float("nan")
    return dict(AP25=scores[0.25], AP50=scores[0.5], AP=float(np.mean([scores[t] for t in AP_THRESHOLDS])))


def _overlaps(pred, segment, instance, classes):
    known = (instance >= 0) & np.isin(segment, np.asarray(classes))
    ids, first, target = np.unique(instance[known], return_index=True, return_inverse=True)
    count, inside = len(pred.category), pred.label >= 0
    shared = np.zeros((count, len(ids)), dtype=np.int64)
    rows = pred.label[known]
    np.add.at(shared, (rows[rows >= 0], target[rows >= 0]), 1)
    return _Overlaps(
        shared=shared,
        pred_size=np.bincount(pred.label[inside], minlength=count),
        target_size=np.bincount(target, minlength=len(ids)),
        target_category=segment[known][first] if len(ids) else np.zeros(0, dtype=np.int64),
        void=np.bincount(pred.label[inside & ~known], minlength=count),
    )


def _class_ap(predictions, overlaps, category, threshold, min_points):
    """AP of one class at one threshold over all scenes; NaN without a target of that class."""
    hits, scores, targets = [], [], 0
    for pred, overlap in zip(predictions, overlaps, strict=True):
        mine = np.flatnonzero(pred.category == category)
        mine = mine[overlap.pred_size[mine] >= min_points]
        mine = mine[np.argsort(-pred.score[mine], kind="stable")]
        same = overlap.target_category == category
        real = same & (overlap.target_size >= min_points)
        targets += int(real.sum())
        hit, counted = _match(overlap, mine, real, same & ~real, threshold)
        hits.append(hit[counted])
        scores.append(pred.score[mine][counted])
    if not targets:
        return float("nan")
    return average_precision(np.concatenate(hits), np.concatenate(scores), targets)


def _match(overlap, rows, real, small, threshold):
    """Greedy matching, most confident first: which of `rows` hit a target, and which count at all."""
    free = real.copy()
    hit, counted = np.zeros(len(rows), dtype=bool), np.ones(len(rows), dtype=bool)
    for i, row in enumerate(rows):
        shared = overlap.shared[row]
        iou = np.where(free, shared / (overlap.target_size + overlap.pred_size[row] - shared), 0.0)
        best = int(iou.argmax()) if len(iou) else -1
        if best >= 0 and iou[best] > threshold:
            free[best], hit[i] = False, True
        else:
            ignored = overlap.void[row] + shared[small].sum()
            counted[i] = ignored <= threshold * overlap.pred_size[row]
    return hit, counted


def average_precision(hit: np.ndarray, score: np.ndarray, targets: int) -> float:
    """Area under precision over recall as ScanNet integrates it. hit (P,) bool, score (P,), targets > 0 in all.

    Precision at every distinct score, (recall 0, precision 1) at the end; each point weighs half the recall between its
    two neighbours, the lowest score's left neighbour being itself.
    """
    if not hit.any():
        return 0.0
    order = np.argsort(-score, kind="stable")
    hit, score = hit[order], score[order]
    last = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)  # last prediction of each distinct score
    found = np.cumsum(hit)[last]
    precision = np.append(1.0, found / (last + 1))
    recall = np.append(0.0, found / targets)
    after = np.append(recall[1:], recall[-1])
    before = np.append(0.0, recall[:-1])
    return float(np.sum(precision * (after - before) / 2))
