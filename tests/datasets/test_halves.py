"""One scan cut into two sides: every point once, a gap between them, and probes that run on it."""

import json

import numpy as np
import pytest

from pointcept_msm.datasets.halves import MSMSceneHalfDataset, cut_scene
from pointcept_msm.files.scene_io import save_scene
from pointcept_msm.host.runner import run_testing
from pointcept_msm.rooms import generate_room
from pointcept_msm.runtime.errors import UserError


def test_sides_and_margin():
    coord = np.random.default_rng(0).uniform(0, [3, 8, 2], (4000, 3)).astype(np.float32)
    low, high = cut_scene(coord)
    assert not set(low) & set(high) and 0.4 < len(low) / 4000 < 0.5 and 0.4 < len(high) / 4000 < 0.5
    assert coord[high, 1].min() - coord[low, 1].max() >= 0.5  # the longer side is y
    assert coord[low, 1].max() < coord[high, 1].min()
    low, high = cut_scene(coord, axis="x", share=0.25, margin=0)
    assert len(low) == 1000 and len(low) + len(high) == 4000 and coord[low, 0].max() < coord[high, 0].min()


@pytest.mark.parametrize(
    "options, text",
    [(dict(axis="z"), "axis is 'z'"), (dict(share=1.0), "share 1.0"), (dict(margin=9.0), "smaller margin")],
)
def test_refused_cuts(options, text):
    with pytest.raises(ValueError, match=text):
        cut_scene(np.random.default_rng(0).uniform(0, 4, (100, 3)), **options)


def test_items(tmp_path):
    room = generate_room(0, "train", 0, points=3000)
    save_scene(tmp_path / "room", room)
    sides = {side: MSMSceneHalfDataset(tmp_path / "room", side).get_data(0) for side in ("low", "high")}
    for side, scene in sides.items():
        assert len(scene["coord"]) == len(scene["segment"]) == len(scene["color"]) and scene["split"] == side
    again = MSMSceneHalfDataset(tmp_path / "room", "low")
    again.get_data(0)["coord"][:] = 0
    assert np.array_equal(again.get_data(0)["coord"], sides["low"]["coord"])
    with pytest.raises(ValueError, match="allowed: low, high"):
        MSMSceneHalfDataset(tmp_path / "room", "left")
    save_scene(tmp_path / "unknown", dict(room, segment=np.full(3000, -1)))
    with pytest.raises(UserError, match="no point of the low side has a label"):
        MSMSceneHalfDataset(tmp_path / "unknown")
    del room["segment"]
    save_scene(tmp_path / "bare", room)
    with pytest.raises(ValueError, match="has no segment"):
        MSMSceneHalfDataset(tmp_path / "bare")


def test_config_probes_both_sides_of_a_room(tmp_path):
    """Raw input, which needs no network; its height tells floor from ceiling, whichever side was learnt from."""
    save_scene(tmp_path / "room", generate_room(0, "train", 1, points=20000))
    options = [f"scene={tmp_path / 'room'}", "data.num_classes=22", "test.networks=[]", "test.baselines=[raw]"]
    options += ["test.probes=[linear]", "test.points_per_scene=2000", "test.test_points=2000"]
    for low, high in (("low", "high"), ("high", "low")):
        sides = [f"data.train.side={low}", f"data.test.side={high}", f"save_path={tmp_path / low}", "test.seeds=[0]"]
        run_testing("probe-one-scan", [*options, *sides])
        (row,) = json.loads((tmp_path / low / "results.json").read_text())["rows"]
        assert row["metrics"]["linear_allAcc"]["mean"] > 40 and (row["fit_scenes"], row["test_scenes"]) == (1, 1)
    with pytest.raises(ValueError, match="test scenes are train scenes too"):
        run_testing("probe-one-scan", [*options, "data.test.side=low", f"save_path={tmp_path / 'same'}"])
