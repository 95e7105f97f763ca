"""All probes on one feature source: known answers, chance, order, and that nothing given is changed."""

import numpy as np
import pytest

from pointcept_msm.probing import evaluate
from pointcept_msm.probing.evaluate import ProbeSettings, evaluate_probes, layer_columns, limit_labels
from pointcept_msm.probing.linear import draw_scenes
from tests.probe_toy import make_features

LEVELS = [("level0", 0.02, slice(0, 4)), ("level1", 0.04, slice(4, 8))]


def make_scenes(count, seed, noise=0.1, shuffled=False):
    """Level 1 tells the class, level 0 is noise."""
    rng = np.random.default_rng(seed)
    scenes = []
    for i in range(count):
        label = rng.integers(0, 4, 80)
        feat = np.c_[rng.standard_normal((80, 4)), np.eye(4)[label] + noise * rng.standard_normal((80, 4))]
        seen = rng.permutation(label) if shuffled else label
        scenes.append(make_features(f"s{i}", feat.astype(np.float32), seen, label))
    return scenes


SETTINGS = ProbeSettings(4, probes=("knn", "linear", "layers", "budgets"), l2_grid=(1e-1, 1e-3), max_iter=40)


def test_separable_and_layers():
    metrics, chosen, confusion = evaluate_probes(make_scenes(8, 0), iter(make_scenes(3, 1)), LEVELS, SETTINGS)
    assert chosen["l2"] in (1e-1, 1e-3) and set(confusion) == {"knn", "linear"}
    assert {name: counts.sum() for name, counts in confusion["linear"].items()} == dict(s0=80, s1=80, s2=80)
    assert metrics["linear_mIoU"] == metrics["level1_alone"] == metrics["level0_without"] == 100
    assert metrics["level0_alone"] < 30 and metrics["level1_without"] == metrics["level0_alone"]
    assert metrics["knn_mIoU"] > 90
    assert {"linear_scenes_1%", "linear_scenes_20%", "linear_points_20", "linear_points_200"} <= set(metrics)


def test_what_can_be_reached_when_classes_have_no_point_to_fit_on():
    """IoU of a class without a fitted point is 0, so a perfect probe gets the share of the classes that have one."""
    settings = ProbeSettings(4, probes=("linear",), l2_grid=(1e-3,))
    train = [s._replace(segment=np.where(s.segment == 3, -1, s.segment)) for s in make_scenes(4, 0)]
    test = [s.take(s.segment != 0) for s in make_scenes(2, 1)]  # classes 1, 2, 3
    metrics, _, confusion = evaluate_probes(train, test, LEVELS, settings)
    assert sum(confusion["linear"].values())[:, 3].sum() == 0, "a class without a fitted point is never predicted"
    assert metrics["reachable"] == pytest.approx(200 / 3) and 0 < metrics["linear_mIoU"] <= metrics["reachable"]
    assert evaluate_probes(make_scenes(4, 0), test, LEVELS, settings).metrics["reachable"] == 100


def test_order_of_scenes_does_not_matter():
    train, test = make_scenes(6, 0, noise=0.8), make_scenes(4, 1, noise=0.8)
    before = [s.feat.copy() for s in train]
    first = evaluate_probes(train, test, LEVELS, SETTINGS)
    other = evaluate_probes(train[::-1], test[::-1], LEVELS, SETTINGS)
    assert other[:2] == first[:2]
    for name, counts in first.confusion["knn"].items():
        assert np.array_equal(other.confusion["knn"][name], counts)
    assert all(np.array_equal(a, s.feat) for a, s in zip(before, train, strict=True))
    assert 30 < first[0]["linear_mIoU"] < 99


def test_hyper_parameters_never_see_the_test_scenes(monkeypatch):
    """Test scenes come after everything is fitted: an iterator that fails at once lets the fit finish."""
    fitted = []
    fit = evaluate.fit_probes
    monkeypatch.setattr(evaluate, "fit_probes", lambda *args: fitted.append(fit(*args)) or fitted[0])

    def unseen():
        raise RuntimeError("read the test scenes")
        yield

    with pytest.raises(RuntimeError, match="read the test scenes"):
        evaluate_probes(make_scenes(3, 0), unseen(), LEVELS, SETTINGS)
    assert len(fitted) == 1 and fitted[0][1]["l2"]


def test_of_one_train_scene_a_slab_is_held_out(caplog):
    """The strength is chosen, also when a label budget leaves a single scene; without labels to spare it is not."""
    settings = ProbeSettings(4, probes=("linear",), l2_grid=(1e3, 1e-2, 1e-3))
    with caplog.at_level("WARNING", logger="msm"):
        metrics, chosen, _ = evaluate_probes(make_scenes(1, 0), make_scenes(1, 1), LEVELS, settings)
    assert chosen["l2"] < 1 and metrics["linear_mIoU"] > 95 and not caplog.text
    (scene,) = make_scenes(1, 0)
    few = scene._replace(segment=np.where(np.arange(80) < 1, scene.segment, -1))
    with caplog.at_level("WARNING", logger="msm"):
        assert evaluate_probes([few], make_scenes(1, 1), LEVELS, settings)[1]["l2"] == 1e-2
    assert "too few labelled points" in caplog.text


def test_settings_are_checked():
    with pytest.raises(ValueError, match="allowed: knn, linear"):
        ProbeSettings(4, probes=("svm",))
    with pytest.raises(ValueError, match="needs `things`"):
        ProbeSettings(4, probes=("instance",))


NAMES = [f"scene{i:04d}" for i in range(200)]


def test_scene_budget():
    sizes = [len(draw_scenes(NAMES, s)) for s in (0.001, 0.01, 0.05, 0.1, 0.2, 1)]
    assert sizes == [1, 2, 10, 20, 40, 200]
    assert set(draw_scenes(NAMES, 0.05)) < set(draw_scenes(NAMES, 0.2))
    assert draw_scenes(NAMES, 0.1) != draw_scenes(NAMES, 0.1, seed=1)
    picked = {NAMES[i] for i in draw_scenes(NAMES, 0.1)}
    assert picked == {NAMES[::-1][i] for i in draw_scenes(NAMES[::-1], 0.1)}


def test_known_draw():
    """The draw of seed 0 is part of the interface: a budget must mean the same scenes in every version."""
    assert draw_scenes(NAMES, 0.02) == [6, 90, 105, 168]


def test_label_budget():
    segment = np.r_[np.full(500, -1), np.arange(500) % 7]
    small, large, other = (limit_labels(segment, n, name) for n, name in ((20, "a"), (200, "a"), (20, "b")))
    kept = small >= 0
    assert kept.sum() == 20 and (large >= 0).sum() == 200 and not np.array_equal(small, other)
    assert np.array_equal(small[kept], segment[kept]) and np.array_equal(large[kept], segment[kept])
    assert (limit_labels(segment[:510], 20) >= 0).sum() == 10 and segment[500] == 0


def test_layer_columns():
    levels = [("level0", 0.02, slice(0, 2)), ("level1", 0.04, slice(2, 3)), ("level2", 0.08, slice(3, 6))]
    columns = {name: list(value) for name, value in layer_columns(levels).items()}
    assert columns == dict(
        level0_alone=[0, 1],
        level0_without=[2, 3, 4, 5],
        level1_alone=[2],
        level1_without=[0, 1, 3, 4, 5],
        level2_alone=[3, 4, 5],
        level2_without=[0, 1, 2],
    )
    assert layer_columns(levels[:1]) == {}
