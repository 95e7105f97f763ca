"""tools/extract_features.py on good, bare and broken scenes."""

import hashlib
import json

import numpy as np
import pytest

import pointcept_msm
from pointcept_msm.files.scene_io import load_scene, save_scene
from tests.tools.scene_tools import call, make_scene, write_scenes, write_weights


def test_files_hold_the_extractors_features(tmp_path, capsys):
    scenes, weights, out = write_scenes(tmp_path), write_weights(tmp_path), tmp_path / "deep/out"
    code, said, errors = call(capsys, "extract_features", *scenes[:2], "--weights", weights, "--out", out)
    assert (code, errors) == (0, []) and "2 scenes, 24 channels" in said
    assert sorted(p.name for p in out.iterdir()) == ["room_a.json", "room_a.npz", "room_b.json", "room_b.npz"]
    expected = pointcept_msm.load(weights).extract(load_scene(scenes[1]))
    feat = np.load(out / "room_b.npz")["feat"]
    assert feat.dtype == np.float32
    np.testing.assert_allclose(feat, expected, atol=1e-5)
    facts = json.loads((out / "room_b.json").read_text())
    assert (facts["points"], facts["channels"], facts["voxel_size"], facts["scene"]) == (1500, 24, 0.1, "room_b.npz")
    assert (
        [level["start"] for level in facts["levels"]] == [0, 8] and facts["filled"] == {} and facts["mode"] == "exact"
    )
    assert facts["weights_sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert str(tmp_path) not in json.dumps(facts)


def test_a_bad_scene_does_not_stop_the_others(tmp_path, capsys):
    scenes, weights, out = write_scenes(tmp_path), write_weights(tmp_path), tmp_path / "out"
    order = [scenes[3], scenes[2], tmp_path / "nowhere", scenes[0]]
    code, _, errors = call(capsys, "extract_features", *order, "--weights", weights, "--out", out)
    assert code == 2 and sorted(p.stem for p in out.glob("*.npz")) == ["room_a"]
    assert errors[-1].startswith("error: 3 of 4 scenes gave nothing: broken (") and "nowhere (" in errors[-1]
    assert "--fill-color" in errors[-1] and not any("Traceback" in line for line in errors)


def test_a_bare_scene_with_a_stated_fill(tmp_path, capsys):
    scenes, weights = write_scenes(tmp_path), write_weights(tmp_path)
    arguments = (scenes[2], "--weights", weights, "--out", tmp_path, "--fill-color", "127.5", "--half")
    code, _, errors = call(capsys, "extract_features", *arguments)
    assert code == 0 and any("no normal" in line for line in errors) and any("no color" in line for line in errors)
    facts = json.loads((tmp_path / "bare.json").read_text())
    assert facts["filled"].keys() == {"color", "normal"} and facts["dtype"] == "float16"
    feat = np.load(tmp_path / "bare.npz")["feat"]
    assert feat.dtype == np.float16 and np.isfinite(feat).all() and feat.std() > 0


def test_the_result_has_the_files_own_coordinates(tmp_path, capsys):
    scene, weights = make_scene(), write_weights(tmp_path)
    far = scene["coord"].astype(np.float64)[:, [0, 2, 1]] * [1, 1, -1] * 1000 + [4e8, 3e5, 4e9]
    np.savez(tmp_path / "map.npz", **{**scene, "coord": far})
    arguments = (tmp_path / "map.npz", "--weights", weights, "--out", tmp_path / "out", "--up", "y", "--scale", 0.001)
    code, _, errors = call(capsys, "extract_features", *arguments)
    assert code == 0, errors
    assert np.array_equal(np.load(tmp_path / "out/map.npz")["coord"], far)
    facts = json.loads((tmp_path / "out/map.json").read_text())
    assert (
        facts["up"] == "y" and facts["scale"] == 0.001 and "subtracted from map coordinates" in facts["notes"]["origin"]
    )


@pytest.mark.parametrize("suffix", [".npz", ".ply"])
@pytest.mark.parametrize("linked", [False, True])
def test_a_scene_is_never_written_over(tmp_path, capsys, suffix, linked):
    weights, path = write_weights(tmp_path), tmp_path / f"room{suffix}"
    save_scene(path, make_scene())
    before, given = path.read_bytes(), path
    if linked:
        (tmp_path / "links").mkdir()
        given = tmp_path / f"links/room{suffix}"
        given.symlink_to(path)
    tool = "extract_features" if suffix == ".npz" else "visualize_pca"
    code, _, errors = call(capsys, tool, given, "--weights", weights, "--out", tmp_path)
    assert code == 2 and "would be written over" in errors[-1] and path.read_bytes() == before
    assert call(capsys, tool, given, "--weights", weights, "--out", tmp_path / "out")[0] == 0


@pytest.mark.parametrize("mode", ["nearest", "released"])
def test_modes_differ(tmp_path, capsys, mode):
    weights = write_weights(tmp_path)
    save_scene(tmp_path / "room", make_scene())
    for name in ("exact", mode):
        arguments = (tmp_path / "room", "--weights", weights, "--out", tmp_path / name, "--mode", name)
        assert call(capsys, "extract_features", *arguments)[0] == 0
    one, two = (np.load(tmp_path / name / "room.npz")["feat"] for name in ("exact", mode))
    assert one.shape == two.shape and not np.allclose(one, two)


def test_wrong_calls(tmp_path, capsys):
    weights = write_weights(tmp_path)
    for split in ("train", "val"):
        save_scene(tmp_path / split / "room", make_scene())
    both = (tmp_path / "train/room", tmp_path / "val/room")
    code, _, errors = call(capsys, "extract_features", *both, "--weights", weights, "--out", tmp_path / "out")
    assert code == 2 and "both named 'room'" in errors[0] and len(errors) == 1 and not (tmp_path / "out").exists()
    code, _, errors = call(capsys, "extract_features", both[0], "--weights", "nobody", "--out", tmp_path / "out")
    assert code == 2 and "no weights 'nobody'" in errors[0] and len(errors) == 1
