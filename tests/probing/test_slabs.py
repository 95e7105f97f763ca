"""Slabs of a scene: every point once, neighbours together."""

from itertools import pairwise

import numpy as np

from pointcept_msm.probing.features import SceneFeatures
from pointcept_msm.probing.slabs import cut_slabs


def make_scene(points):
    rng = np.random.default_rng(0)
    coord = rng.uniform(0, [2, 9, 3], (points, 3)).astype(np.float32)
    return SceneFeatures("s", coord.copy(), np.arange(points), np.arange(points), coord, np.arange(points))


def test_slabs_share_out_the_points_along_the_longer_side():
    parts = cut_slabs(make_scene(90), 4)
    assert [p.name for p in parts] == ["s/0", "s/1", "s/2", "s/3"] and [len(p.feat) for p in parts] == [23, 23, 22, 22]
    assert sorted(np.concatenate([p.segment for p in parts])) == list(range(90))
    assert all(a.coord[:, 1].max() <= b.coord[:, 1].min() for a, b in pairwise(parts))
    assert all(np.array_equal(p.feat, p.coord) and np.array_equal(p.row, p.segment) for p in parts)


def test_a_small_scene_has_fewer():
    assert [len(p.feat) for p in cut_slabs(make_scene(2), 4)] == [1, 1]
