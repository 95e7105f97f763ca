"""Furniture stays in the room and out of other furniture, checked by sampling points of footprints."""

import itertools

import numpy as np
import pytest

from pointcept_msm.rooms.generate import build_plan
from pointcept_msm.rooms.layout import Volume, build_shell, overlaps_any, volume_corners
from pointcept_msm.rooms.solids import move_parts, part_bounds


@pytest.fixture(scope="module")
def plans():
    return [build_plan(seed, "train", index) for seed in (0, 1) for index in range(8)]


def sample_points(volume, steps=21):
    """A grid of points (steps^2, 2) over a footprint, edges included."""
    u = np.linspace(-1, 1, steps)
    x, y = (axis.ravel() for axis in np.meshgrid(u * volume.half_x, u * volume.half_y))
    c, s = np.cos(volume.yaw), np.sin(volume.yaw)
    return np.stack([volume.x + c * x - s * y, volume.y + s * x + c * y], axis=1)


def holds(volume, points):
    """Whether points (N, 2) lie in a footprint."""
    dx, dy = points[:, 0] - volume.x, points[:, 1] - volume.y
    c, s = np.cos(volume.yaw), np.sin(volume.yaw)
    return (np.abs(c * dx + s * dy) <= volume.half_x) & (np.abs(c * dy - s * dx) <= volume.half_y)


def meet(a, b):
    """Whether two volumes share space, up to the grid's resolution."""
    if a.high <= b.low or b.high <= a.low:
        return False
    return bool(holds(a, sample_points(b)).any() or holds(b, sample_points(a)).any())


def stands_on(item, anchor):
    return any(abs(item.volume.low - anchor.volume.low - support.z) < 0.01 for support in anchor.furniture.supports)


def test_overlap_agrees_with_sampling():
    rng, agreed = np.random.default_rng(0), []
    for _ in range(300):
        a, b = (
            Volume(*rng.uniform(-1, 1, 2), *rng.uniform(0.1, 0.8, 2), rng.uniform(-3, 3), 0.0, 1.0) for _ in range(2)
        )
        sampled = meet(a, b)
        assert not sampled or overlaps_any(a, np.array([b]))
        agreed.append(sampled == overlaps_any(a, np.array([b])))
    assert np.mean(agreed) > 0.98


def test_heights_that_do_not_meet_do_not_overlap():
    a = Volume(0, 0, 1, 1, 0, 0.0, 1.0)
    assert not overlaps_any(a, np.array([a._replace(low=1.0, high=2.0)]))
    assert overlaps_any(a, np.array([a._replace(low=0.9, high=2.0)]))
    assert overlaps_any(a, np.array([a._replace(x=2.05)]), margin=0.1) and not overlaps_any(
        a, np.array([a._replace(x=2.05)])
    )


def test_furniture_does_not_interpenetrate(plans):
    for plan in plans:
        for a, b in itertools.combinations(plan.room.placed, 2):
            if not (stands_on(a, b) or stands_on(b, a)):
                assert not meet(a.volume, b.volume), f"{a.furniture.name} in {b.furniture.name}"


def test_furniture_is_in_the_room(plans):
    for plan in plans:
        width, depth, height = plan.room.shell.size
        for placed in plan.room.placed:
            pose = placed.volume
            parts = move_parts(placed.furniture.parts, (pose.x, pose.y, pose.low), pose.yaw)
            low, high = part_bounds(parts)
            assert (np.abs([low, high]) <= np.array([width / 2, depth / 2, height])[None] + 1e-6).all()
            assert low[2] >= -1e-6
            corners = volume_corners(placed.volume)
            assert plan.room.shell.notch is None or not holds(plan.room.shell.notch, corners).any()


def test_things_stand_on_the_floor_on_furniture_or_hang(plans):
    hung = {"picture", "monitor", "curtain", "cabinet", "lamp"}
    for plan in plans:
        for item in plan.room.placed:
            carried = any(stands_on(item, anchor) for anchor in plan.room.placed if anchor is not item)
            assert item.volume.low == 0 or carried or item.furniture.name in hung


def test_scanners_stand_in_free_space(plans):
    for plan in plans:
        assert 2 <= len(plan.stands) <= 5
        for x, y, z in plan.stands:
            for placed in plan.room.placed:
                assert not meet(placed.volume, Volume(x, y, 0.1, 0.1, 0.0, z - 0.1, z + 0.1))


def test_walls_close_the_room():
    shells = [build_shell(np.random.default_rng(seed), (4.0, 4.0), (6.0, 5.0)) for seed in range(20)]
    assert {len(shell.walls) for shell in shells} == {4, 6}, "some rooms should be L-shaped"
    for shell in shells:
        area = 0.0
        for wall, following in zip(shell.walls, shell.walls[1:] + shell.walls[:1]):
            end = wall.start + wall.length * wall.along
            np.testing.assert_allclose(end, following.start, atol=1e-9)
            area += wall.start[0] * end[1] - wall.start[1] * end[0]
        notch = 4 * shell.notch.half_x * shell.notch.half_y if shell.notch else 0.0
        assert area / 2 == pytest.approx(shell.size[0] * shell.size[1] - notch)
