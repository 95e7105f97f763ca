"""Clustering against an exact radius search, and the instance probe on scenes whose answer is known."""

import numpy as np
import pytest
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components as scipy_components
from scipy.spatial import cKDTree

from pointcept_msm.probing.instance import (
    choose_radius,
    cluster_points,
    fit_instance,
    offset_targets,
    predict_instances,
)
from pointcept_msm.probing.linear import fit_linear, pool
from pointcept_msm.probing.metrics import instance_scores
from tests.probe_toy import make_features


def same_partition(a, b):
    pairs = np.unique(np.c_[a, b], axis=0)
    return len(pairs) == len(np.unique(a)) == len(np.unique(b))


def test_a_long_chain_is_one_cluster():
    coord = np.c_[0.09 * np.arange(1000), np.zeros((1000, 2))]
    assert len(np.unique(cluster_points(np.random.default_rng(0).permutation(coord), 0.1))) == 1


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
    return make_features(f"s{seed}", feat, segment, instance, coord)


def test_offsets_point_to_the_mean():
    scene = make_scene(0)
    target = offset_targets(scene.coord, scene.instance)
    for i in range(5):
        mine = scene.instance == i
        assert np.allclose((scene.coord + target)[mine], scene.coord[mine].mean(0), atol=1e-5)
    assert not target[scene.instance < 0].any()


def test_probe_finds_touching_boxes():
    """Without offsets the boxes of a class run together; with them every box is found."""
    train, test = [make_scene(i) for i in range(4)], [make_scene(i) for i in (10, 11)]
    probe = fit_instance(train, fit_linear(*pool(train), 3), things=(1, 2))

    def score(probe):
        predictions = [predict_instances(probe, s.feat, s.coord, min_points=20) for s in test]
        return instance_scores(predictions, [s.segment for s in test], [s.instance for s in test], (1, 2), 20)["AP50"]

    assert score(probe) == pytest.approx(100)
    still = probe._replace(offset=probe.offset._replace(weight=probe.offset.weight * 0, bias=probe.offset.bias * 0))
    assert score(still) < 80


def test_true_classes_tell_a_bad_class_head_from_a_bad_cluster():
    train, scene = [make_scene(i) for i in range(4)], make_scene(10)
    probe = fit_instance(train, fit_linear(*pool(train), 3), things=(1, 2))
    floor = probe.semantic._replace(weight=probe.semantic.weight * 0, bias=torch.tensor([1.0, 0, 0]))  # everywhere
    for category, expected in ((None, 0), (scene.segment, 100)):
        found = predict_instances(probe._replace(semantic=floor), scene.feat, scene.coord, 20, category)
        scores = instance_scores([found], [scene.segment], [scene.instance], (1, 2), 20)
        assert scores["AP50"] == pytest.approx(expected)


def test_radius_is_chosen_and_missing_instances_are_an_error():
    train = [make_scene(i) for i in range(4)]
    assert choose_radius(train, 3, (1, 2), min_points=20, radius_grid=(1.0, 0.1)) == 0.1
    blind = [s._replace(feat=s.feat * [0, 0, 0, 1, 1, 1]) for s in train]  # all is floor: nothing is found
    assert choose_radius(blind, 3, (1, 2), min_points=20, radius_grid=(1.0, 0.1)) == 0.1
    bare = [s._replace(instance=np.full_like(s.instance, -1)) for s in train]
    with pytest.raises(ValueError, match="needs scenes with `instance`"):
        fit_instance(bare, None, (1, 2))
