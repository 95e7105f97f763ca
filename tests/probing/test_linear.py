"""The linear probe against scikit-learn, its scaler, its choice of regularisation and the ridge head."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from pointcept_msm.probing.linear import (
    choose_l2,
    fit_linear,
    fit_linear_path,
    fit_ridge,
    fit_scaler,
    slab_rows,
    split_scenes,
)
from pointcept_msm.probing.metrics import confusion_matrix, segmentation_scores
from tests.probe_toy import make_features


def clusters(seed=0, rows=1500, width=24, classes=6, noise=1.5):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, classes, rows)
    centre, scale = np.random.default_rng(9).standard_normal((classes, width)), 10 ** np.linspace(-3, 3, width)
    return ((centre[label] + noise * rng.standard_normal((rows, width))) * scale + 5 * scale).astype(np.float32), label


def mean_iou(pred, label):
    return segmentation_scores(confusion_matrix(pred, label, 6))["mIoU"]


def objective(logits, weight, label, l2):
    """Mean cross-entropy + l2 / 2 |weight|^2, in float64."""
    logits = logits.astype(np.float64)
    score = logits[np.arange(len(label)), label] - logsumexp(logits, axis=1)
    return -score.mean() + 0.5 * l2 * np.square(weight.astype(np.float64)).sum()


@pytest.mark.parametrize("l2", [1e-1, 1e-3])
def test_equals_sklearn(l2):
    (x, y), (test, truth) = clusters(0), clusters(1)
    scaler = StandardScaler().fit(x)
    reference = LogisticRegression(C=1 / (l2 * len(x)), max_iter=2000, tol=1e-8).fit(scaler.transform(x), y)
    probe = fit_linear(x, y, 6, l2)
    ours = objective(probe.predict_logits(x), probe.weight.numpy(), y, l2)
    best = objective(reference.decision_function(scaler.transform(x)), reference.coef_, y, l2)
    assert best - 1e-6 < ours < best + 2e-5  # the same minimum
    logits, want = probe.predict_logits(test), reference.decision_function(scaler.transform(test))
    assert np.allclose(logits - logits.mean(1, keepdims=True), want - want.mean(1, keepdims=True), atol=0.1)
    assert abs(mean_iou(probe.predict(test), truth) - mean_iou(reference.predict(scaler.transform(test)), truth)) < 0.5


def test_scaler_and_constant_channels():
    x, _ = clusters()
    x[:, 3] = 7.0
    scaler = fit_scaler(x)
    assert np.allclose(scaler.mean, x.mean(0, dtype=np.float64), rtol=1e-5) and scaler.std[3] == 1
    assert np.allclose(np.delete(scaler.std.numpy(), 3), np.delete(x.std(0, dtype=np.float64), 3), rtol=1e-4)


def test_separable_is_perfect_shuffled_is_chance_and_runs_agree():
    (x, y), (test, truth) = clusters(0, noise=0.05), clusters(1, noise=0.05)
    before = x.copy()
    probe = fit_linear(x, y, 6)
    assert (probe.predict(test) == truth).all()
    assert np.array_equal(fit_linear(x, y, 6).predict_logits(test), probe.predict_logits(test))
    assert np.array_equal(x, before)  # a probe alters nothing it was given
    shuffled = fit_linear(x, np.random.default_rng(0).permutation(y), 6, l2=0.1)
    assert (shuffled.predict(test) == truth).mean() < 0.35


def test_unknown_labels_do_not_count():
    x, y = clusters(rows=400)
    half = np.where(np.arange(400) < 200, y, -1)
    assert np.array_equal(fit_linear(x, half, 6).weight, fit_linear(x[:200], y[:200], 6).weight)
    with pytest.raises(ValueError, match="none of the 400 points"):
        fit_linear(x, np.full(400, -1), 6)


def test_warm_start_along_the_path_changes_nothing():
    x, y = clusters(rows=500)
    path = fit_linear_path(x, y, 6, [1e-1, 1e-2])
    assert np.allclose(path[1].predict_logits(x), fit_linear(x, y, 6, 1e-2).predict_logits(x), atol=0.05)


def test_regularisation_is_chosen_on_held_out_scenes():
    """Few rows of pure noise beside two useful channels: only a strong penalty carries over to other scenes."""
    rng = np.random.default_rng(0)
    scenes = []
    for _ in range(8):
        label = rng.integers(0, 2, 12)
        scenes.append(
            (
                np.c_[label[:, None] + rng.standard_normal((12, 2)), rng.standard_normal((12, 60))].astype(np.float32),
                label,
            )
        )
    scenes = [make_features(f"s{i}", feat, label) for i, (feat, label) in enumerate(scenes)]
    chosen, probe = choose_l2(scenes, 2, l2_grid=(1e-6, 1.0))
    assert chosen == 1.0 and probe.weight.shape == (62, 2)
    assert choose_l2(scenes[::-1], 2, l2_grid=(1e-6, 1.0))[0] == chosen  # the order of scenes does not matter


def test_ridge_equals_sklearn():
    x, _ = clusters(rows=300)
    target = np.random.default_rng(0).standard_normal((300, 3)) + 4
    scaled = StandardScaler().fit_transform(x.astype(np.float64))
    want = Ridge(alpha=1e-2 * 300).fit(scaled, target).predict(scaled)
    assert np.allclose(fit_ridge(x, target, 1e-2).predict_logits(x), want, atol=1e-3)


def test_split_scenes():
    names = [f"scene{i}" for i in range(10)]
    fit, held = split_scenes(names, share=0.3)
    assert sorted(fit + held) == list(range(10)) and len(held) == 3
    other = split_scenes(names[::-1], share=0.3)[1]
    assert {names[i] for i in held} == {names[::-1][i] for i in other}
    with pytest.raises(ValueError, match="at least 2"):
        split_scenes(["one"])


def test_slabs_share_out_the_points_along_the_longer_side():
    coord = np.random.default_rng(0).uniform(0, [2, 9, 3], (90, 3))
    parts = slab_rows(coord, 4)
    assert [len(rows) for rows in parts] == [23, 23, 22, 22]
    assert sorted(np.concatenate(parts)) == list(range(90))
    assert all(coord[a, 1].max() <= coord[b, 1].min() for a, b in pairwise(parts))
    assert [len(rows) for rows in slab_rows(coord[:2], 4)] == [1, 1]
