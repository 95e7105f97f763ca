"""Clustering against scipy's connected components, and the instance probe on scenes whose answer is known."""

import numpy as np
import pytest
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components as scipy_components
from scipy.spatial import cKDTree

from pointcept_msm.probing.instance import (
    choose_radius,
    cluster_points,
    connected_components,
    fit_instance,
    offset_targets,
    predict_instances,
)
from pointcept_msm.probing.metrics import instance_scores


def same_partition(a, b):
    pairs = np.unique(np.c_[a, b], axis=0)
    return len(pairs) == len(np.unique(a)) == len(np.unique(b))


def test_components_equal_scipy():
    rng = np.random.default_rng(0)
    for nodes, links in ((50, 20), (500, 400), (500, 2000), (10, 0)):
        a, b = rng.integers(0, nodes, (2, links))
        want = scipy_components(coo_matrix((np.ones(links), (a, b)), shape=(nodes, nodes)), directed=False)[1]
        assert same_partition(connected_components(nodes, a, b), want)


def test_long_chain():
    assert len(np.unique(connected_components(1000, np.arange(999), np.arange(1, 1000)))) == 1


def test_clusters_equal_exact_radius_search_when_gaps_are_clear():
    rng = np.random.default_rng(1)
    centres = rng.permutation(np.stack(np.meshgrid(*[np.arange(0, 4, 0.8)] * 3), -1).reshape(-1, 3))[:20]
    coord = (centres[:, None] + 0.05 * rng.standard_normal((20, 60, 3)).clip(-2, 2)).reshape(-1, 3) - 2
    want = np.repeat(np.arange(20), 60)
    order = rng.permutation(len(coord))
    assert same_partition(cluster_points(coord[order], 0.3), want[order])
    pairs = cKDTree(coord).query_pairs(0.3, output_type="ndarray")
    exact = scipy_components(coo_matrix((np.ones(len(pairs)), pairs.T), shape=(len(coord),) * 2), directed=False)[1]
    assert same_partition(cluster_points(coord, 0.3), exact)
    assert len(cluster_points(np.zeros((0, 3)), 0.3)) == 0 and cluster_points(np.ones((1, 3)), 0.3).tolist() == [0]


def make_scene(seed, boxes=5):
    """Boxes of two classes on a floor (class 0, no instances); features tell the class and the way to the centre."""
    rng = np.random.default_rng(seed)
    centre = np.c_[np.arange(boxes) * 0.5, rng.uniform(0, 0.05, boxes), np.full(boxes, 0.5)]  # touching boxes
    coord = (centre[:, None] + rng.uniform(-0.24, 0.24, (boxes, 80, 3))).reshape(-1, 3)
    floor = np.c_[rng.uniform(-1, 3, (200, 2)), np.zeros(200)]
    instance = np.r_[np.repeat(np.arange(boxes), 80), np.full(200, -1)]
    segment = np.r_[np.repeat(1 + rng.integers(0, 2, boxes), 80), np.zeros(200, int)]
    coord = np.concatenate([coord, floor]).astype(np.float32)
    offset = offset_targets(coord, instance)
    feat = np.c_[np.eye(3)[segment], offset + 0.01 * rng.standard_normal(offset.shape)].astype(np.float32)
    return feat, segment, instance, coord


def test_offsets_point_to_the_mean():
    _, _, instance, coord = make_scene(0)
    target = offset_targets(coord, instance)
    for i in range(5):
        assert np.allclose((coord + target)[instance == i], coord[instance == i].mean(0), atol=1e-5)
    assert not target[instance < 0].any()


def test_probe_finds_touching_boxes():
    """Without offsets the boxes of a class run together; with them every box is found."""
    train, test = [make_scene(i) for i in range(4)], [make_scene(i) for i in (10, 11)]
    probe = fit_instance(*zip(*train, strict=True), num_classes=3, things=(1, 2), radius=0.1)
    _, segment, instance, _ = zip(*test, strict=True)
    predictions = [predict_instances(probe, f, c, min_points=20) for f, _, _, c in test]
    assert instance_scores(predictions, segment, instance, (1, 2), 20)["AP50"] == pytest.approx(100)
    still = probe._replace(offset=probe.offset._replace(weight=probe.offset.weight * 0, bias=probe.offset.bias * 0))
    predictions = [predict_instances(still, f, c, min_points=20) for f, _, _, c in test]
    assert instance_scores(predictions, segment, instance, (1, 2), 20)["AP50"] < 80


def test_radius_is_chosen_and_missing_instances_are_an_error():
    train = [make_scene(i) for i in range(4)]
    parts = list(zip(*train, strict=True))
    radius = choose_radius(*parts, [f"s{i}" for i in range(4)], 3, (1, 2), min_points=20, radius_grid=(1.0, 0.1))
    assert radius == 0.1
    parts[2] = [np.full_like(i, -1) for i in parts[2]]
    with pytest.raises(ValueError, match="needs labelled instances"):
        fit_instance(*parts, 3, (1, 2))
