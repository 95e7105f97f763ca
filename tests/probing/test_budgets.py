"""Label budgets: sizes, nesting, determinism and independence of order."""

import numpy as np
import pytest

from pointcept_msm.probing.budgets import limit_labels, point_budget, scene_budget

NAMES = [f"scene{i:04d}" for i in range(200)]


def test_scene_budget():
    sizes = [len(scene_budget(NAMES, s)) for s in (0.001, 0.01, 0.05, 0.1, 0.2, 1)]
    assert sizes == [1, 2, 10, 20, 40, 200]
    assert set(scene_budget(NAMES, 0.05)) < set(scene_budget(NAMES, 0.2))
    assert scene_budget(NAMES, 0.1) == scene_budget(NAMES, 0.1) != scene_budget(NAMES, 0.1, seed=1)
    picked = {NAMES[i] for i in scene_budget(NAMES, 0.1)}
    assert picked == {NAMES[::-1][i] for i in scene_budget(NAMES[::-1], 0.1)}


def test_known_draw():
    """The draw of seed 0 is part of the interface: a budget must mean the same scenes in every version."""
    assert scene_budget(NAMES, 0.02) == [6, 90, 105, 168]


def test_point_budget():
    segment = np.r_[np.full(500, -1), np.arange(500) % 7]
    small, large = point_budget(segment, 20, "a"), point_budget(segment, 200, "a")
    assert len(small) == 20 and set(small) < set(large) and segment[large].min() >= 0
    assert not np.array_equal(small, point_budget(segment, 20, "b"))
    assert len(point_budget(segment[:510], 20)) == 10
    limited = limit_labels(segment, 20, "a")
    assert (limited >= 0).sum() == 20 and np.array_equal(limited[small], segment[small]) and segment[500] == 0


def test_errors():
    with pytest.raises(ValueError, match="share of scenes is 5"):
        scene_budget(NAMES, 5)
    with pytest.raises(ValueError, match="1 or more"):
        point_budget(np.zeros(3), 0)
