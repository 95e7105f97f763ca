"""Ray casting against marching along each ray with a test for "inside" written from the definition of the solids."""

import numpy as np
import pytest

from pointcept_msm.rooms.scanner import build_grid, cast_rays, grid_directions, hit_normals
from pointcept_msm.rooms.solids import BOX, CYLINDER, ELLIPSOID, PartList, rotation, sample_material, stack_parts

STEP, REACH = 0.002, 6.0


def inside(part, points):
    """Whether points (N, 3) lie in a part."""
    unit = (points - part.center) @ part.rot / part.half
    if part.kind == BOX:
        return (np.abs(unit) <= 1).all(axis=1)
    if part.kind == ELLIPSOID:
        return (unit**2).sum(axis=1) <= 1
    radius = 1 - part.taper * (unit[:, 2] + 1) / 2
    return (np.abs(unit[:, 2]) <= 1) & (unit[:, 0] ** 2 + unit[:, 1] ** 2 <= radius**2)


def random_parts(rng, count, kinds=(BOX, CYLINDER, ELLIPSOID)):
    parts, material = PartList(), sample_material(rng, "any")
    for _ in range(count):
        center, size = rng.uniform(-1, 1, 3) * 2, rng.uniform(0.3, 1.6, 3)
        turn, kind = rotation(*rng.uniform(-3, 3, 3)), rng.choice(kinds)
        if kind == CYLINDER:
            parts.cylinder(center, size, material, turn, taper=rng.uniform(-0.5, 0.8))
        else:
            (parts.box if kind == BOX else parts.ellipsoid)(center, size, material, turn)
    return [part for part in parts if not inside(part, np.zeros((1, 3)))[0]]


def march(parts, origin, rays):
    """Distance (N,) of the first sample along each ray that lies in a part, and that part's index, -1 for none."""
    steps = np.arange(0.05, REACH, STEP)
    samples = (origin + steps[:, None, None] * rays).reshape(-1, 3)
    first, which = np.full(len(rays), np.inf), np.full(len(rays), -1)
    for index, part in enumerate(parts):
        held = inside(part, samples).reshape(len(steps), len(rays))
        depth = np.where(held.any(axis=0), steps[held.argmax(axis=0)], np.inf)
        which[depth < first] = index
        first = np.minimum(first, depth)
    return first, which


@pytest.mark.parametrize("kind", [BOX, CYLINDER, ELLIPSOID])
@pytest.mark.parametrize("seed", range(3))
def test_first_hits(kind, seed):
    rng = np.random.default_rng([seed, kind])
    parts = random_parts(rng, 4, (kind,))
    grid = build_grid(700, -1.5, 1.5, phase=0.3)
    depth, part = cast_rays(stack_parts([(parts, 0, 0)]), np.zeros(3), grid)
    expected, which = march(parts, np.zeros(3), grid_directions(grid)[0].reshape(-1, 3))
    depth, part = depth.ravel(), part.ravel()
    assert np.isfinite(expected).sum() > 20
    # Marching steps over chords shorter than STEP: it may miss a grazed edge, never invent a hit.
    assert np.isfinite(depth[np.isfinite(expected)]).all()
    assert np.mean(np.isfinite(depth) != np.isfinite(expected)) < 0.01
    same = np.isfinite(expected) & (part == which)
    assert same.sum() > 0.95 * np.isfinite(expected).sum()
    assert np.abs(depth[same] - expected[same]).max() < STEP * 1.01


def test_nothing_ahead_gives_no_hit():
    parts = random_parts(np.random.default_rng(0), 1)
    depth, part = cast_rays(stack_parts([(parts, 0, 0)]), np.array([50.0, 0, 0]), build_grid(500, 0.5, 1.5))
    assert np.isinf(depth).all() and (part == -1).all()


def test_solid_behind_the_start_of_the_turn_is_seen_whole():
    """A solid across the azimuth where the grid begins lies in two pieces of the range image."""
    parts = PartList()
    parts.box((-2, 0, 0), (0.5, 2, 2), sample_material(np.random.default_rng(0), "any"))
    depth, _ = cast_rays(stack_parts([(parts, 0, 0)]), np.zeros(3), build_grid(2000, -0.3, 0.3))
    row = np.isfinite(depth[len(depth) // 2])
    expected = 2 * np.arctan2(1, 1.75) / (2 * np.pi) * len(row)
    assert row[:5].all() and row[-5:].all() and abs(row.sum() - expected) <= 2


def test_normals_point_out_of_the_solid():
    rng = np.random.default_rng(4)
    parts = random_parts(rng, 6)
    grid = build_grid(3000, -1.5, 1.5)
    solids, rays = stack_parts([(parts, 0, 0)]), grid_directions(grid)[0]
    depth, part = cast_rays(solids, np.zeros(3), grid)
    seen = np.isfinite(depth)
    points = depth[seen][:, None] * rays[seen]
    normals, _ = hit_normals(solids, part[seen], points)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-9)
    assert ((normals * rays[seen]).sum(axis=1) < 0.02).all()
    for index, solid in enumerate(parts):
        rows = part[seen] == index
        assert not inside(solid, points[rows] + 0.003 * normals[rows]).any()
        tangent = np.cross(normals[rows], rng.normal(size=3))
        tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
        near = points[rows] - 0.004 * normals[rows]
        assert np.mean(inside(solid, near + 0.008 * tangent)) > 0.9, (
            "a step along the surface should stay by the surface"
        )
