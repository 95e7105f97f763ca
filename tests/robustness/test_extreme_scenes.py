"""Scenes at the edge of what is one: extraction and training give finite numbers, or one sentence."""

import time

import numpy as np
import pytest

from pointcept_msm.datasets.scene_io import check_scene, load_scene, save_scene
from pointcept_msm.datasets.voxelise import voxelise
from pointcept_msm.extractor import build_extractor
from tests.probe_toy import NETWORK
from tests.robustness import msm_run


def paint(coord):
    coord = np.asarray(coord, dtype=np.float64)
    return dict(coord=coord, color=np.full(coord.shape, 100.0), normal=np.tile([0.0, 0, 1], (len(coord), 1)))


def make_gap(gap):
    rng = np.random.default_rng(0)
    return np.concatenate([rng.uniform(0, 1, (200, 3)) + [step * gap, 0, 0] for step in range(3)])


SCENES = {
    "one point": [[1.0, 2.0, 3.0]],
    "duplicates": np.full((50, 3), 0.7),
    "two voxels": [[0.0, 0, 0], [0.1, 0, 0]],
    "gaps of 20 m": make_gap(20.0),
    "a line": np.linspace(0, 5, 80)[:, None] * [1, 0, 0],
    "far from the origin": make_gap(1.0) + 4000,
}


@pytest.mark.parametrize("name", SCENES)
def test_extraction(name):
    scene = paint(SCENES[name])
    extractor = build_extractor(None, NETWORK, dict(grid_size=0.1, feat_keys=["color", "normal"]))
    features = extractor.extract(scene)
    assert features.shape == (len(scene["coord"]), 24) and np.isfinite(features).all()
    if name == "duplicates":
        assert (features == features[0]).all()


def test_training(tmp_path):
    """All of them in one set: steps are taken, none is skipped, the weights stay finite."""
    for name, coord in SCENES.items():
        save_scene(tmp_path / "rooms/train" / name.replace(" ", "_"), paint(coord))
    trainer = msm_run.train(tmp_path, epoch=2, eval_epoch=1)
    assert trainer.global_step == 6 and trainer.skipped_steps == 0
    assert all(bool(value.isfinite().all()) for value in trainer.model.state_dict().values())


def test_broken_normals_and_fractions_are_worked_with(tmp_path):
    scene = paint(make_gap(1.0))
    scene["normal"][::3] = np.nan
    extractor = build_extractor(None, NETWORK, dict(grid_size=0.1, feat_keys=["color", "normal"]))
    assert np.isfinite(extractor.extract(scene)).all()
    integers = extractor.extract(dict(scene, color=scene["color"].astype(np.int64)))
    fractions = extractor.extract(dict(scene, color=scene["color"] / 255))
    np.testing.assert_allclose(integers, fractions, atol=1e-5)


def test_voxels_never_wrap_around():
    """Two clusters at distances at which 64-bit cell numbers overflow: refused, where they once shared a voxel."""
    coord = np.array([[0.0, 0, 0], [1e15, 1e15, 1e15], [3e15, 1e15, 7e15]])
    with pytest.raises(ValueError, match=r"spans 7e\+15 m, too far to number its voxels of 0.02 m"):
        voxelise(coord, 0.02, random=False)
    with pytest.raises(ValueError, match="coord reaches 7e\\+15 m"):
        check_scene(dict(coord=coord), "far")


@pytest.mark.slow
def test_five_million_points(tmp_path):
    rng, count = np.random.default_rng(0), 5_000_000
    scene = paint(rng.uniform(0, (60, 60, 3), (count, 3)))
    save_scene(tmp_path / "hall", scene)
    start = time.monotonic()
    loaded = load_scene(tmp_path / "hall")
    extractor = build_extractor(None, NETWORK, dict(grid_size=0.2, feat_keys=["color", "normal"]))
    rows = rng.integers(0, count, 1000)
    features = extractor.extract(loaded, rows=rows)
    print(f"\n5 million points, read and extracted in {time.monotonic() - start:.0f} s")
    assert features.shape == (1000, 24) and np.isfinite(features).all()
