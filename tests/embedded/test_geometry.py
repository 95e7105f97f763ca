"""Geometric transforms against their definitions (draw for draw against Pointcept: tests/host/test_host_parity.py)."""

import numpy as np
import pytest

from pointcept_msm.embedded.geometry import distort_points
from pointcept_msm.host import Compose


def scene(points=400):
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(points, 3))
    return dict(
        coord=rng.uniform((1, 2, 3), (4, 4, 5), (points, 3)).astype(np.float32),
        normal=(normal / np.linalg.norm(normal, axis=1, keepdims=True)).astype(np.float32),
    )


def run(*transforms, **entries):
    return Compose([dict(transform) for transform in transforms])(entries or scene())


def test_shifts():
    coord = run(dict(type="CenterShift"))["coord"]
    assert np.allclose(coord[:, :2].min(0), -coord[:, :2].max(0), atol=1e-5) and abs(coord[:, 2].min()) < 1e-6
    assert run(dict(type="CenterShift", apply_z=False))["coord"][:, 2].min() > 2.9


@pytest.mark.parametrize("axis, start, end", [("x", 1, 2), ("y", 2, 0), ("z", 0, 1)])
def test_quarter_turn_takes_one_axis_to_the_next(axis, start, end):
    """Right-handed: x turns y into z, y turns z into x, z turns x into y."""
    entries = dict(coord=np.eye(3, dtype=np.float32), normal=np.eye(3, dtype=np.float32))
    turn = dict(type="RandomRotate", angle=(1 / 2, 1 / 2), axis=axis, center=[0, 0, 0], always_apply=True)
    turned = run(turn, **entries)
    for key in ("coord", "normal"):
        assert np.allclose(turned[key][start], np.eye(3)[end], atol=1e-7)


def test_rotation_keeps_shape_and_middle():
    before, after = scene(), run(dict(type="RandomRotate", angle=[0.3, 0.4], axis="z", always_apply=True))
    middle = (before["coord"].min(0) + before["coord"].max(0)) / 2
    radius = [np.linalg.norm((s["coord"] - middle)[:, :2], axis=1) for s in (before, after)]
    assert np.allclose(*radius, atol=1e-5) and np.allclose(after["coord"][:, 2], before["coord"][:, 2], atol=1e-6)
    cosine = np.sum((before["coord"] - middle)[:, :2] * (after["coord"] - middle)[:, :2], 1) / radius[0] ** 2
    assert np.all((np.arccos(cosine) > 0.3 * np.pi - 1e-3) & (np.arccos(cosine) < 0.4 * np.pi + 1e-3))


def test_rotation_probability():
    turned = [not np.array_equal(run(dict(type="RandomRotate", p=0.3))["coord"], scene()["coord"]) for _ in range(200)]
    assert 35 < sum(turned) < 85


def test_scale_flip_jitter():
    ratio = run(dict(type="RandomScale", scale=[2, 3], anisotropic=True))["coord"] / scene()["coord"]
    assert (
        np.allclose(ratio, ratio[0], rtol=1e-5)
        and len(set(ratio[0].round(4))) == 3
        and 2 <= ratio.min() <= ratio.max() <= 3
    )
    ratio = run(dict(type="RandomScale", scale=[2, 3]))["coord"] / scene()["coord"]
    assert np.allclose(ratio, ratio[0, 0], rtol=1e-5)
    flipped = run(dict(type="RandomFlip", p=1))
    assert all(np.array_equal(flipped[key], scene()[key] * [-1, -1, 1]) for key in ("coord", "normal"))
    noise = run(dict(type="RandomJitter", sigma=0.02, clip=0.03))["coord"] - scene()["coord"]
    assert 0.012 < noise.std() < 0.02 and np.abs(noise).max() < 0.0301


def test_scenes_without_normals_pass():
    names = (
        "CenterShift",
        "RandomRotate",
        "RandomScale",
        "RandomFlip",
        "RandomJitter",
        "ElasticDistortion",
    )
    assert set(run(*(dict(type=name) for name in names), coord=scene()["coord"])) == {"coord"}


def test_elastic_distortion_moves_neighbours_alike():
    np.random.seed(1)
    coord = np.random.default_rng(2).uniform(0, 3, (300, 3))
    pairs = np.concatenate([coord, coord + 0.001])
    push = distort_points(pairs.copy(), granularity=0.4, magnitude=0.5) - pairs
    assert 0.02 < push.std() < 0.5
    assert np.abs(push[:300] - push[300:]).max() < 0.02


def test_dropout_keeps_a_share_of_every_listed_entry():
    dropout = dict(type="RandomDropout", dropout_ratio=0.2, dropout_application_ratio=1)
    row = np.arange(400)
    kept = run(dropout, **scene(), row=row, segment=row, index_valid_keys=["coord", "segment"])
    assert len(kept["coord"]) == len(set(kept["segment"])) == 320 and len(kept["row"]) == 400
    assert np.array_equal(kept["coord"], scene()["coord"][kept["segment"]])
