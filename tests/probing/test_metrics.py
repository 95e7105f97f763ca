"""Metrics against scikit-learn and against average precisions worked out by hand."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix as sklearn_confusion
from sklearn.metrics import jaccard_score

from pointcept_msm.probing.metrics import (
    Instances,
    average_precision,
    class_iou,
    confusion_matrix,
    instance_scores,
    segmentation_scores,
)


def test_scores_equal_sklearn():
    rng = np.random.default_rng(0)
    target, pred = rng.integers(0, 6, 5000), rng.integers(0, 6, 5000)
    pred[:3000] = target[:3000]
    confusion = confusion_matrix(pred, target, 6)
    assert np.array_equal(confusion, sklearn_confusion(target, pred))
    scores = segmentation_scores(confusion)
    assert scores["mIoU"] == pytest.approx(100 * jaccard_score(target, pred, average="macro"))
    assert scores["allAcc"] == pytest.approx(100 * (pred == target).mean())
    assert np.allclose(class_iou(confusion), 100 * jaccard_score(target, pred, average=None))


def test_ignored_and_absent_classes():
    """Unknown targets do not count; a class absent from the target is out of the mean but its false alarms hurt
    others.
    """
    scores = segmentation_scores(confusion_matrix([0, 0, 1, 3, 2], [0, 0, 1, 1, -1], 4))
    assert scores["mIoU"] == pytest.approx(100 * (1 + 0.5) / 2) and scores["classes"] == 2
    assert scores["mAcc"] == pytest.approx(75) and scores["allAcc"] == pytest.approx(75)


def test_both_rules_for_a_class_that_does_not_occur():
    """As in Pointcept's evaluators: I / (U + 1e-10), then the plain mean over all classes."""
    confusion = np.array([[80, 20, 0], [10, 90, 0], [0, 0, 0]])
    hit, union = np.diag(confusion), confusion.sum(0) + confusion.sum(1) - np.diag(confusion)
    scores = segmentation_scores(confusion)
    assert scores["mIoU_all"] == pytest.approx(100 * np.mean(hit / (union + 1e-10)))
    assert scores["mIoU"] == pytest.approx(100 * (80 / 110 + 90 / 120) / 2)
    assert scores["mAcc_all"] == pytest.approx(100 * np.mean(hit / (confusion.sum(1) + 1e-10)))
    assert scores["mIoU_all"] == pytest.approx(scores["mIoU"] * scores["classes"] / 3)


def test_one_matrix_over_all_scenes_is_not_the_mean_of_scenes():
    a, b = confusion_matrix([0] * 90 + [1] * 10, [0] * 100, 2), confusion_matrix([1], [1], 2)
    assert segmentation_scores(a + b)["mIoU"] == pytest.approx(100 * (90 / 100 + 1 / 11) / 2)


@pytest.mark.parametrize(
    "pred, target, text",
    [
        ([7], [0], "prediction classes run from 7"),
        ([0], [9], "target classes run from 9"),
    ],
)
def test_errors(pred, target, text):
    with pytest.raises(ValueError, match=text):
        confusion_matrix(pred, target, 3)


def test_average_precision_by_hand():
    """Scores .9 hit, .8 miss, .7 hit, 3 targets. (recall, precision): (0, 1), (1/3, 1), (1/3, 1/2), (2/3, 2/3).
    Central differences: 1/6 * 1 + 1/6 * 1 + 1/6 * 1/2 + 1/6 * 2/3."""
    got = average_precision(np.array([True, False, True]), np.array([0.9, 0.8, 0.7]), 3)
    assert got == pytest.approx((1 + 1 + 0.5 + 2 / 3) / 6)
    assert average_precision(np.array([True, True]), np.array([0.9, 0.5]), 2) == pytest.approx(1.0)
    assert average_precision(np.array([True, True]), np.array([0.9, 0.5]), 4) == pytest.approx(0.5)
    assert average_precision(np.array([False]), np.array([0.9]), 2) == 0


def test_equal_scores_make_one_step():
    """Two predictions with one score are one point of the curve: (0, 1), (1, 1/2) -> (1 + 1/2) / 2."""
    assert average_precision(np.array([True, False]), np.array([0.5, 0.5]), 1) == pytest.approx(0.75)


def scene():
    """Points 0-9 instance 0, 10-19 instance 1, 20-23 an instance below the least size, 24-29 void; one class."""
    instance = np.repeat([0, 1, 2, -1], [10, 10, 4, 6])
    return np.where(instance >= 0, 5, -1), instance


def score(label, values, min_points=5):
    segment, instance = scene()
    pred = Instances(np.array(label), np.full(len(values), 5), np.array(values))
    return instance_scores([pred], [segment], [instance], [5], min_points)


def test_perfect_instances():
    label = np.repeat([0, 1, -1], [10, 10, 10])
    assert score(label, [0.9, 0.8]) == pytest.approx(dict(AP25=100, AP50=100, AP=100))


def test_half_right_instances():
    """Prediction 0 shares 6 of 10 points (IoU .6): a hit at .25 to .55. Prediction 1 is exact, less confident."""
    label = np.repeat([0, -1, 1, -1], [6, 4, 10, 10])
    got = score(label, [0.9, 0.8])
    miss_first = 100 * average_precision(np.array([False, True]), np.array([0.9, 0.8]), 2)
    assert got["AP25"] == got["AP50"] == 100
    assert got["AP"] == pytest.approx((2 * 100 + 7 * miss_first) / 9)  # .50 and .55 full, .60 to .90 missed


def test_void_and_small_targets_do_not_punish():
    on_void = np.repeat([0, 1, -1, 2], [10, 10, 4, 6])
    assert score(on_void, [0.9, 0.8, 0.99])["AP50"] == 100
    on_small = np.repeat([0, 1, 2, -1], [10, 10, 4, 6])
    assert score(on_small, [0.9, 0.8, 0.99], min_points=3)["AP50"] == 100  # now a target of its own, and found
    halves = np.repeat([0, 1, 2, 3, -1], [5, 5, 5, 5, 10])  # IoU .5 each: not above .5
    assert score(halves, [0.9, 0.8, 0.7, 0.6])["AP50"] == 0


def test_duplicate_detection_is_a_false_alarm():
    """Both halves of instance 0 exceed IoU .25; the more confident one takes it, the other is a miss."""
    label = np.repeat([0, 1, 2, -1], [5, 5, 10, 10])
    want = 100 * average_precision(np.array([True, False, True]), np.array([0.9, 0.8, 0.7]), 2)
    assert score(label, [0.9, 0.8, 0.7])["AP25"] == pytest.approx(want)


def test_no_targets_is_nan():
    segment, instance = scene()
    empty = Instances(np.full(30, -1), np.zeros(0, int), np.zeros(0))
    assert np.isnan(instance_scores([empty], [segment], [instance], [1])["AP50"])
    assert instance_scores([empty], [segment], [instance], [5], 5)["AP50"] == 0
