"""Doubts about unit and axis: heard where they are due, and not where they are not."""

import re
from pathlib import Path

import numpy as np
import pytest

from pointcept_msm.files.inspection import find_strays, inspect_scene
from pointcept_msm.rooms import generate_room
from tests.files.box_room import make_room

TURNS = {  # from z up to another axis, by a rotation
    "y": ((0, 2, 1), (1, 1, -1)), "-y": ((0, 2, 1), (1, -1, 1)), "-z": ((0, 1, 2), (1, -1, -1)),
    "x": ((2, 1, 0), (1, 1, -1)), "-x": ((2, 1, 0), (-1, 1, 1)),
}  # fmt: skip
UNITS = {"feet": 1 / 0.3048, "centimetres": 100, "millimetres": 1000}
SCANS = Path(__file__).resolve().parents[3] / "shared/scans"


def test_the_report():
    seen, doubts = inspect_scene(make_room()["coord"] + [0, 0, 7], 0.08)
    found = re.fullmatch(r"9,000 points, (\S+) x (\S+) x (\S+) m, (\S+) m apart; floor: (\S+)", seen)
    x, y, z, spacing, floor = map(float, found.groups())
    assert np.allclose((x, y, z, floor), (4, 3, 2.5, 7), atol=0.05) and 0.02 < spacing < 0.08 and doubts == []


@pytest.mark.parametrize("up", TURNS)
def test_another_axis_up(up):
    columns, signs = TURNS[up]
    (doubt,) = inspect_scene(make_room()["coord"][:, columns] * signs, 0.08)[1]
    assert f"give up={up!r}" in doubt


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("up", ["z", "y"])
def test_another_unit(unit, up):
    columns, signs = TURNS.get(up, ((0, 1, 2), 1))
    doubts = inspect_scene(make_room()["coord"][:, columns] * signs * UNITS[unit], 0.08)[1]
    assert len(doubts) == (1 if up == "z" else 2)
    assert f"like a room in {unit}, 2.5 m high: if so, give scale={1 / UNITS[unit]:.4g}" in doubts[-1]


def test_no_false_alarm_on_rooms():
    for index in range(12):
        coord = generate_room(seed=11, split="val", index=index, points=8000)["coord"]
        assert inspect_scene(coord, 0.08)[1] == [], index


def box(low, high, points, sides="xXyYzZ"):
    """Points on sides of a box; capitals are the far ones."""
    rng, low, high, parts = np.random.default_rng(0), np.array(low, float), np.array(high, float), []
    for side in sides:
        part, axis = rng.uniform(low, high, (points, 3)), "xyz".index(side.lower())
        part[:, axis] = high[axis] if side.isupper() else low[axis]
        parts.append(part)
    return np.concatenate(parts)


def ground(x, y, points):
    return box((-x / 2, -y / 2, 0), (x / 2, y / 2, 0), points, "z")


OTHER = {
    "street": [ground(60, 16, 60000), box((-30, -8, 0), (30, 8, 12), 30000, "yY"), box((0, -4, 0), (4, -2, 1.5), 800)],
    "house": [box((-6, -5, 0), (6, 5, 9), 8000, "xXyYZ")],
    "house and garden": [ground(30, 30, 60000), box((-6, -5, 0), (6, 5, 7), 8000, "xXyYZ")],
    "facade": [box((0, 0, 0), (20, 0.3, 12), 20000, "yY")],
    "hall": [box((0, 0, 0), (40, 25, 10), 40000), box((9, 9, 0), (11, 10, 0.8), 1000)],
    "corridor": [box((0, 0, 0), (50, 2.5, 2.6), 20000)],
    "car": [box((0, 0, 0), (4.5, 1.8, 1.5), 5000)],
    "empty room": [box((0, 0, 0), (4, 3, 2.5), 5000)],
    "few points": [np.zeros((3, 3))],
}


@pytest.mark.parametrize("name", OTHER)
def test_no_false_alarm_elsewhere(name):
    assert inspect_scene(np.concatenate(OTHER[name]), 0.08)[1] == []


@pytest.mark.skipif(not SCANS.is_dir(), reason="no real scans at hand")
def test_no_false_alarm_on_real_scans():
    paths = sorted(SCANS.glob("*/coord.npy"))
    assert paths and all(inspect_scene(np.load(path), 0.08)[1] == [] for path in paths)


def test_a_voxel_size_for_what_is_sparse_or_small():
    sparse = inspect_scene(ground(400, 400, 20000), 0.02)[1]
    assert len(sparse) == 1 and "give voxel_size=" in sparse[0] and "lie 1." in sparse[0]
    small = inspect_scene(make_room()["coord"] / 20, 0.08)[1]
    assert len(small) == 1 and "2 voxels of 0.08 m across: if its unit is not metres, give scale" in small[0]


@pytest.mark.parametrize("depth", [0.3, 1, 30])
def test_stray_points_are_brought_to_the_rest(depth):
    coord = make_room()["coord"]
    same, said = find_strays(coord)
    assert same is coord and said is None
    found, said = find_strays(np.r_[coord, [[2, 1.5, -depth], [2, 1.5, -depth - 5]]])
    assert np.array_equal(found[:-2], coord) and found[-2:, 2].tolist() == [coord[:, 2].min()] * 2
    assert said == f"2 of 9002 points up to {depth + 5:.3g} m below the rest count as stray"


def test_what_is_no_stray_point():
    """A pit of many points, a small scene, a point beside the room that is near."""
    coord = make_room()["coord"]
    pit = np.r_[coord, box((0, 0, -2), (1, 1, -1), 20)]
    for kept in (pit, coord[:400], np.r_[coord, [[4.5, 1, 1]]]):
        assert find_strays(kept)[0] is kept
