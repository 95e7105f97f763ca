"""Parts of the data: sizes, nesting, determinism, independence of order."""

from itertools import pairwise

import numpy as np
import pytest

from pointcept_msm.probing.subsets import (
    choose_points,
    layer_columns,
    limit_labels,
    scene_budget,
    slab_rows,
    split_scenes,
)

NAMES = [f"scene{i:04d}" for i in range(200)]


def test_points_follow_name_and_seed():
    rows = choose_points(500, 100, "a", 0)
    assert len(np.unique(rows)) == 100 and np.array_equal(rows, choose_points(500, 100, "a", 0))
    assert not np.array_equal(rows, choose_points(500, 100, "b", 0))
    assert not np.array_equal(rows, choose_points(500, 100, "a", 1))
    assert np.array_equal(choose_points(50, 100, "a", 0), choose_points(50, None, "a", 0))


def test_scene_budget():
    sizes = [len(scene_budget(NAMES, s)) for s in (0.001, 0.01, 0.05, 0.1, 0.2, 1)]
    assert sizes == [1, 2, 10, 20, 40, 200]
    assert set(scene_budget(NAMES, 0.05)) < set(scene_budget(NAMES, 0.2))
    assert scene_budget(NAMES, 0.1) != scene_budget(NAMES, 0.1, seed=1)
    picked = {NAMES[i] for i in scene_budget(NAMES, 0.1)}
    assert picked == {NAMES[::-1][i] for i in scene_budget(NAMES[::-1], 0.1)}


def test_known_draw():
    """The draw of seed 0 is part of the interface: a budget must mean the same scenes in every version."""
    assert scene_budget(NAMES, 0.02) == [6, 90, 105, 168]


def test_label_budget():
    segment = np.r_[np.full(500, -1), np.arange(500) % 7]
    small, large, other = (limit_labels(segment, n, name) for n, name in ((20, "a"), (200, "a"), (20, "b")))
    kept = small >= 0
    assert kept.sum() == 20 and (large >= 0).sum() == 200 and not np.array_equal(small, other)
    assert np.array_equal(small[kept], segment[kept]) and np.array_equal(large[kept], segment[kept])
    assert (limit_labels(segment[:510], 20) >= 0).sum() == 10 and segment[500] == 0


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
