"""Scenes at the edge of what is one: extraction and training give finite numbers, or one sentence."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from pointcept_msm.datasets.voxelise import voxelise
from pointcept_msm.files.scene_io import check_scene, save_scene
from tests import toy
from tests.robustness import msm_run
from tests.tools.scene_tools import call, write_weights


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


def vary(coord):
    """The same scene with its colours and normals stated in other ways."""
    scene, rng = paint(coord), np.random.default_rng(1)
    scene["color"] = rng.integers(0, 256, coord.shape).astype(np.float64)
    scene["color"][0] = 255.0  # so that fractions are seen to be fractions, whichever points are there
    normal = scene["normal"].copy()
    normal[::3] = np.nan
    return {
        "float_color": scene,
        "integer_color": dict(scene, color=scene["color"].astype(np.uint8)),
        "fraction_color": dict(scene, color=scene["color"] / 255),
        "nan_normal": dict(scene, normal=normal),
    }


def write_all(folder):
    """Every scene as arrays that nothing of this package has cleaned: {name: its arrays}."""
    scenes = {name.replace(" ", "_"): paint(coord) for name, coord in SCENES.items()} | vary(make_gap(1.0))
    for name, scene in scenes.items():
        (folder / name).mkdir(parents=True)
        for key, values in scene.items():
            np.save(folder / name / f"{key}.npy", values)
    return scenes


def test_the_tool_gives_features_of_every_scene(tmp_path, capsys):
    scenes, weights, out = write_all(tmp_path / "scenes"), write_weights(tmp_path), tmp_path / "out"
    paths = [tmp_path / "scenes" / name for name in scenes]
    code, _, errors = call(capsys, "extract_features", *paths, "--weights", weights, "--out", out)
    assert code == 0 and errors == ["nan_normal: 200 normals are not finite, or absurdly long, and become 0"]
    feats = {name: np.load(out / f"{name}.npz")["feat"] for name in scenes}
    for name, scene in scenes.items():
        assert feats[name].shape == (len(scene["coord"]), 24) and np.isfinite(feats[name]).all(), name
        assert np.abs(feats[name]).max() > 0, name
    assert (feats["duplicates"] == feats["duplicates"][0]).all()
    for name in ("integer_color", "fraction_color"):
        np.testing.assert_allclose(feats[name], feats["float_color"], atol=1e-4)
    assert np.abs(feats["nan_normal"] - feats["float_color"]).max() > 1e-3, "the normals are read"


def test_training(tmp_path):
    """All of them in one set: steps are taken, none is skipped, the weights stay finite."""
    scenes = write_all(tmp_path / "rooms/train")
    trainer = msm_run.train(tmp_path, epoch=2, eval_epoch=1)
    assert trainer.global_step == len(scenes) == 10 and trainer.skipped_steps == 0
    assert all(bool(value.isfinite().all()) for value in trainer.model.state_dict().values())


def test_voxels_never_wrap_around():
    """Two clusters at distances at which 64-bit cell numbers overflow: refused, where they once shared a voxel."""
    coord = np.array([[0.0, 0, 0], [1e15, 1e15, 1e15], [3e15, 1e15, 7e15]])
    with pytest.raises(ValueError, match=r"spans 7e\+15 m, too far to number its voxels of 0.02 m"):
        voxelise(coord, 0.02, random=False)
    with pytest.raises(ValueError, match="coord reaches 7e\\+15 m"):
        check_scene(dict(coord=coord), "far")


HALL, HALL_POINTS = "hall", 5_000_000


@pytest.fixture(scope="module")
def hall(tmp_path_factory):
    """A folder with a scene of 5 million points, 60 x 60 x 3 m, for extraction and, as a split, for training."""
    folder = tmp_path_factory.mktemp("hall")
    coord = np.random.default_rng(0).uniform(0, (60, 60, 3), (HALL_POINTS, 3))
    save_scene(folder / "rooms/train" / HALL, paint(coord))
    return folder


def measure(*command):
    """Run a command of the repository; (seconds, peak memory in GiB, standard output)."""
    code = "import resource, subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode or print("
    code += "'PEAK', resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))"
    environment = {**os.environ, "MSM_HOST": "embedded", "OMP_NUM_THREADS": "1"}
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code, sys.executable, *map(str, command)],
        cwd=toy.ROOT, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    said, _, peak = done.stdout.rpartition("PEAK")
    return time.monotonic() - start, int(peak) / 2**20, said


@pytest.mark.slow
def test_features_of_five_million_points(hall):
    """All their features through the tool, at 10 cm in tiles of 500,000 voxels."""
    weights = write_weights(hall)
    command = ("tools/extract_features.py", hall / "rooms/train" / HALL, "--weights", weights, "--out", hall / "out")
    seconds, peak, said = measure(*command, "--half")
    print(f"\n5 million points through the tool: {seconds:.0f} s, peak {peak:.1f} GiB; it said: {said.strip()}")
    feat = np.load(hall / f"out/{HALL}.npz")["feat"]
    assert feat.shape == (HALL_POINTS, 24) and np.isfinite(feat[::97]).all()
    assert peak < 8, "GiB"


@pytest.mark.slow
def test_training_on_five_million_points(hall):
    """Two steps on it: the views are cut to max_voxels, so the network sees no more than of any other scene."""
    toy.write_config(hall, **msm_run.describe(hall, epoch=2, eval_epoch=1, batch_size=1))
    command = ("tools/train.py", "--config-file", hall / "toy.py", "--options", f"save_path={hall}/run")
    seconds, peak, _ = measure(*command)
    print(f"\ntwo steps on 5 million points: {seconds:.0f} s, peak {peak:.1f} GiB")
    lines = [json.loads(line) for line in (hall / "run/metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2] and all(np.isfinite(line["loss"]) for line in lines)
    assert peak < 4, "GiB"
