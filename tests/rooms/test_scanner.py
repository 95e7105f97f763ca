"""Scans of furnished rooms against the true surfaces: noise, density, occlusion, normals."""

import numpy as np
import pytest

from pointcept_msm.rooms.generate import ROOM_CLASSES, build_plan, scan_plan
from pointcept_msm.rooms.scanner import MAX_NOISE, build_grid, grid_directions, range_normals
from pointcept_msm.rooms.solids import BOX

REGISTRATION = 0.01  # five standard deviations of a stand's shift


@pytest.fixture(scope="module", params=[1, 4])
def scanned(request):
    plan = build_plan(0, "train", request.param)
    return plan, scan_plan(plan, np.random.default_rng(0), 30_000)


def box_distance(solids, part, points):
    """Distance of each point to the surface of its box, (N,)."""
    local = np.abs(np.einsum("nij,ni->nj", solids.rot[part], points - solids.center[part])) - solids.half[part]
    outside = np.linalg.norm(np.maximum(local, 0), axis=1)
    return np.where((local < 0).all(axis=1), -local.max(axis=1), outside)


def test_points_lie_within_noise_of_the_surfaces(scanned):
    plan, scan = scanned
    rows = plan.solids.kind[scan.part] == BOX
    distance = box_distance(plan.solids, scan.part[rows], scan.coord[rows])
    assert rows.mean() > 0.7
    assert distance.max() < MAX_NOISE + REGISTRATION
    assert 0.001 < np.median(distance) < 0.01


def test_noise_grows_with_distance(scanned):
    plan, scan = scanned
    rows = plan.solids.segment[scan.part] <= 2
    error = box_distance(plan.solids, scan.part[rows], scan.coord[rows])
    depth = np.linalg.norm(scan.coord[rows] - plan.stands[scan.stand[rows]], axis=1)
    assert error[depth > 3].mean() > 1.5 * error[depth < 1.5].mean()


def test_density_falls_with_distance(scanned):
    """Per square metre of wall that a stand could see, fewer points far away than near by."""
    plan, scan = scanned
    wall = plan.solids.segment[scan.part] == ROOM_CLASSES.index("wall")
    coord = scan.coord[wall]
    depth = np.linalg.norm(coord - plan.stands[scan.stand[wall]], axis=1)
    cells = np.floor(coord / 0.25).astype(int)
    far, near = (
        len(cells[rows]) / len(np.unique(cells[rows], axis=0)) for rows in (depth > 3.2, (depth > 1) & (depth < 1.8))
    )
    assert near > 2 * far


def test_nothing_stands_between_a_point_and_its_scanner(scanned):
    plan, scan = scanned
    rows = np.random.default_rng(1).choice(len(scan.part), 1500, replace=False)
    start, end = plan.stands[scan.stand[rows]], scan.coord[rows]
    boxes = np.flatnonzero(plan.solids.kind == BOX)
    for index in boxes:
        rot, half = plan.solids.rot[index], plan.solids.half[index] - 0.002
        a, b = (start - plan.solids.center[index]) @ rot, (end - plan.solids.center[index]) @ rot
        with np.errstate(divide="ignore", invalid="ignore"):
            one, two = (-half - a) / (b - a), (half - a) / (b - a)
        enter, leave = np.fmin(one, two).max(axis=1), np.fmax(one, two).min(axis=1)
        length = np.linalg.norm(b - a, axis=1)
        blocked = (half > 0).all() & (enter < leave) & ((1 - enter) * length > MAX_NOISE + REGISTRATION) & (enter > 0)
        assert not blocked.any(), f"{blocked.sum()} points behind part {index}"


def test_normals_of_flat_parts(scanned):
    plan, scan = scanned
    np.testing.assert_allclose(np.linalg.norm(scan.normal, axis=1), 1, atol=1e-6)
    for name, sign in (("floor", 1), ("ceiling", -1)):
        rows = plan.solids.segment[scan.part] == ROOM_CLASSES.index(name)
        angle = np.degrees(np.arccos(np.clip(sign * scan.normal[rows, 2], -1, 1)))
        assert np.median(angle) < 5
        assert np.mean(angle > 90) < 0.1
    toward = ((plan.stands[scan.stand] - scan.coord) * scan.normal).sum(axis=1)
    assert np.mean(toward > 0) > 0.99


def test_range_normals_of_a_plane_are_exact():
    grid = build_grid(4000, -0.6, 0.6)
    frame = grid_directions(grid)
    normal = np.array([-0.6, 0.64, 0.48])
    reach = -2.0 / (frame[0] @ normal)
    measured = np.where((reach > 0) & (reach < 4), reach, 0.0)
    found = range_normals(measured, grid, frame)
    held = measured > 0
    surrounded = held & np.all([np.roll(held, (dy, dx), (0, 1)) for dy in range(-5, 6) for dx in range(-5, 6)], axis=0)
    surrounded[:6] = surrounded[-6:] = False
    assert surrounded.sum() > 100
    np.testing.assert_allclose(found[surrounded] @ normal, 1, atol=1e-3)
