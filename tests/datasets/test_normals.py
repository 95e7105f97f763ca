"""Estimated normals against shapes whose normals are known."""

import numpy as np
import pytest

from pointcept_msm.datasets.normals import estimate_normals, find_viewpoint, fit_planes


def make_box(points=6000, size=(4.0, 3.0, 2.5), seed=0):
    """Points on the inside of a room's six faces, and the inward normal of each."""
    rng = np.random.default_rng(seed)
    coord = rng.uniform(0, 1, (points, 3)) * size
    face = rng.integers(0, 6, points)
    normal = np.zeros((points, 3))
    axis, far = face % 3, face // 3
    rows = np.arange(points)
    coord[rows, axis] = far * np.array(size)[axis]
    normal[rows, axis] = 1 - 2 * far
    return coord, normal


def test_a_rooms_faces_look_inwards():
    coord, expected = make_box(20_000)
    cosine = (estimate_normals(coord.astype(np.float32)) * expected).sum(1)
    assert np.mean(cosine > 0.99) > 0.8 and np.mean(cosine > 0) > 0.97  # edges are between two faces


def test_a_sphere_from_a_viewpoint():
    rng = np.random.default_rng(0)
    outward = rng.standard_normal((4000, 3))
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    centre = np.array([50.0, -20, 3])
    normal = estimate_normals(centre + outward, viewpoint=centre)
    assert normal.dtype == np.float32 and normal.shape == (4000, 3)
    np.testing.assert_allclose(np.linalg.norm(normal, axis=1), 1, atol=1e-5)
    assert (normal * -outward).sum(1).min() > 0.97


def test_normals_do_not_depend_on_point_order():
    coord, _ = make_box(2000)
    order = np.random.default_rng(1).permutation(2000)
    np.testing.assert_allclose(estimate_normals(coord)[order], estimate_normals(coord[order]), atol=1e-5)


@pytest.mark.parametrize(
    "coord", [np.zeros((1, 3)), np.zeros((40, 3)), np.eye(3)[:2], np.linspace(0, 1, 30)[:, None] * [1, 2, 3]]
)
def test_degenerate_scenes_get_unit_normals(coord):
    normal = estimate_normals(coord)
    assert np.isfinite(normal).all()
    np.testing.assert_allclose(np.linalg.norm(normal, axis=1), 1, atol=1e-5)


def test_planes_and_viewpoint():
    rng = np.random.default_rng(0)
    across = rng.standard_normal((5, 20, 2)) @ np.array([[1.0, 0, 1], [0, 1, 0]])
    normal = fit_planes(across + 7)
    np.testing.assert_allclose(np.abs(normal @ np.array([1, 0, -1]) / np.sqrt(2)), 1, atol=1e-9)
    coord, _ = make_box()
    far = np.concatenate([coord, [[900, 900, 900]]])
    np.testing.assert_allclose(find_viewpoint(far), [2, 1.5, 1.5], atol=0.1)
