"""Every builder makes a thing of several parts whose size varies and is told truly."""

import numpy as np
import pytest

from pointcept_msm.rooms import furniture, layout
from pointcept_msm.rooms.generate import ROOM_CLASSES, STRUCTURE
from pointcept_msm.rooms.solids import BOX, part_bounds

BUILT = [name for name in ROOM_CLASSES if hasattr(furniture, f"build_{name}")]
FEWEST_PARTS = {"chair": 5, "armchair": 8, "sofa": 10, "bed": 5, "desk": 5, "bookshelf": 15, "plant": 14, "toilet": 5}


def samples(name, count=30):
    generators, build = [np.random.default_rng(seed) for seed in range(count)], getattr(furniture, f"build_{name}")
    if name == "curtain":
        return [build(rng, rng.uniform(1, 2), rng.uniform(1.2, 2.2)) for rng in generators]
    return [build(rng) for rng in generators]


def test_every_class_has_a_builder():
    assert set(BUILT) | set(STRUCTURE) | {"door", "window"} == set(ROOM_CLASSES)


@pytest.mark.parametrize("name", BUILT)
def test_parts_and_size(name):
    things = samples(name)
    for thing in things:
        assert thing.name == name
        assert len(thing.parts) >= FEWEST_PARTS.get(name, 2)
        low, high = part_bounds(thing.parts)
        np.testing.assert_allclose(high - low, thing.size, atol=1e-9)
        np.testing.assert_allclose([low[2], low[0] + high[0], low[1] + high[1]], 0, atol=1e-9)
        assert (np.array([part.half for part in thing.parts]) > 0).all()
    sizes = np.array([thing.size for thing in things])
    assert (sizes.std(axis=0) / sizes.mean(axis=0)).max() > 0.05, "sizes should vary"
    assert len({thing.parts[0].material.color for thing in things}) > 20, "colours should vary"


@pytest.mark.parametrize("name", ["table", "desk", "counter"])
def test_tops_carry_things(name):
    for thing in samples(name, 10):
        assert thing.supports
        for support in thing.supports:
            assert support.half_x * 2 <= thing.size[0] + 1e-9 and support.half_y * 2 <= thing.size[1] + 1e-9
            assert 0.3 < support.z <= thing.size[2] + 1e-9


def test_counter_s_hole_is_empty():
    thing = furniture.build_counter(np.random.default_rng(0), 2.0, 0.4)
    hole = thing.supports[0]
    point = np.array([hole.x, hole.y, hole.z + 0.05])
    boxes = [part for part in thing.parts if part.kind == BOX]
    assert not any((np.abs((point - part.center) @ part.rot) < part.half).all() for part in boxes)


@pytest.mark.parametrize("kind", ["door", "window"])
def test_doors_and_windows_have_parts(kind):
    groups = [g for seed in range(8) for g in layout.build_shell(np.random.default_rng(seed), (4, 4), (6, 5)).groups]
    parts = [len(parts) for name, parts in groups if name == kind]
    assert parts and min(parts) >= 5
