"""Scenes from files: every format gives the same scene, every unusable one is refused in one sentence."""

import logging

import numpy as np
import pytest
import torch
from plyfile import PlyData

from pointcept_msm.files.scene_io import check_scene, load_scene, save_scene, turn_back

POINTS = 40


def make_scene():
    rng = np.random.default_rng(0)
    normal = np.random.default_rng(1).normal(size=(POINTS, 3))
    return dict(
        coord=rng.uniform(-2, 2, (POINTS, 3)).astype(np.float32),
        color=rng.integers(0, 256, (POINTS, 3)).astype(np.float32),
        normal=(normal / np.linalg.norm(normal, axis=1, keepdims=True)).astype(np.float32),
        segment=rng.integers(-1, 20, POINTS).astype(np.int32),
        instance=rng.integers(-1, 90, POINTS).astype(np.int32),
    )


def assert_equal(scene, expected):
    for field, values in expected.items():
        assert scene[field].dtype == values.dtype and np.array_equal(scene[field], values), field


@pytest.mark.parametrize("suffix", ["", ".npz", ".ply", ".pth"])
def test_saved_scenes_come_back(tmp_path, suffix):
    path = tmp_path / "train" / f"room{suffix}"
    save_scene(path, make_scene())
    scene = load_scene(path, require=("coord", "color", "normal", "segment", "instance"))
    assert_equal(scene, make_scene())
    assert (scene["name"], scene["split"]) == ("room", "train") and len(scene) == 7


@pytest.mark.parametrize("suffix", ["", ".npz", ".ply", ".pth"])
def test_missing_fields_stay_missing(tmp_path, suffix):
    save_scene(tmp_path / f"bare{suffix}", dict(coord=make_scene()["coord"]))
    assert set(load_scene(tmp_path / f"bare{suffix}")) == {"coord", "name", "split"}
    with pytest.raises(ValueError, match=f"bare{suffix} has no color and no normal, only coord; add the field"):
        load_scene(tmp_path / f"bare{suffix}", require=("coord", "color", "normal"))


def test_folder_holds_pointcepts_types(tmp_path):
    save_scene(tmp_path / "a", dict(make_scene(), instance=np.full(POINTS, 40000)))
    types = {file.stem: np.load(file).dtype.name for file in (tmp_path / "a").iterdir()}
    assert types == dict(coord="float32", color="uint8", normal="float32", segment="int16", instance="int32")


def test_folder_aliases_and_narrow_types(tmp_path):
    scene = make_scene()
    np.save(tmp_path / "coord.npy", scene["coord"].astype(np.float64))
    np.save(tmp_path / "color.npy", scene["color"].astype(np.uint8))
    np.save(tmp_path / "normal.npy", scene["normal"].astype(np.float16))
    np.save(tmp_path / "segment200.npy", np.full(POINTS, 150, np.int16))
    np.save(tmp_path / "pose.npy", np.eye(4))
    loaded = load_scene(tmp_path)
    assert set(loaded["segment"]) == {150} and "pose" not in loaded
    assert loaded["normal"].dtype == np.float32 and np.allclose(loaded["normal"], scene["normal"], atol=2e-3)
    np.save(tmp_path / "segment20.npy", scene["segment"][:, None].astype(np.int16))
    assert_equal(load_scene(tmp_path), {key: scene[key] for key in ("coord", "color", "segment")})


def test_pth_of_arrays(tmp_path):
    scene = make_scene()
    renamed = dict(coord=scene["coord"], color=scene["color"], semantic_gt20=scene["segment"], scene_id="scene0")
    torch.save(renamed, tmp_path / "a.pth")
    assert_equal(load_scene(tmp_path / "a.pth"), {key: scene[key] for key in ("coord", "color", "segment")})


class Harmful:
    def __reduce__(self):
        return print, ("executed",)


def test_npy_runs_no_code(tmp_path):
    np.save(tmp_path / "coord.npy", np.array([Harmful()], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"coord.npy cannot be read"):
        load_scene(tmp_path)


@pytest.mark.parametrize("suffix", [".npz", ".ply", ".npy"])
@pytest.mark.parametrize("damage", ["truncated", "empty", "other"])
def test_damaged_files_are_named(tmp_path, suffix, damage):
    save_scene(tmp_path / "a" if suffix == ".npy" else tmp_path / f"a{suffix}", make_scene())
    file = tmp_path / "a" / "coord.npy" if suffix == ".npy" else tmp_path / f"a{suffix}"
    content = file.read_bytes()
    file.write_bytes({"truncated": content[: len(content) // 2], "empty": b"", "other": b"hello world\n" * 9}[damage])
    with pytest.raises(ValueError, match=rf"{file.name} (cannot be read|is cut short|is no .ply)") as error:
        load_scene(file.parent if suffix == ".npy" else file)
    assert "\n" not in str(error.value)


def test_what_is_no_scene_is_refused(tmp_path):
    with pytest.raises(ValueError, match="nowhere does not exist"):
        load_scene(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"has no coord.npy"):
        load_scene(tmp_path)
    (tmp_path / "a.usdz").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"a.usdz is a .usdz, allowed are a folder of .npy, .*CloudCompare -SILENT -O"):
        load_scene(tmp_path / "a.usdz")


def broken(field, values):
    return {**make_scene(), field: values}


def with_value(field, value):
    scene = make_scene()
    scene[field][3, 1] = value
    return scene


@pytest.mark.parametrize(
    "scene, message",
    [
        (dict(color=np.zeros((3, 3))), "room: coord is missing .found color.; give the points as coord"),
        (broken("coord", np.zeros((0, 3))), "room: coord is empty, allowed is .N, 3. with N of at least 1"),
        (broken("coord", np.zeros((POINTS, 2))), r"room: coord has shape \(40, 2\), allowed is \(N, 3\)"),
        (broken("coord", np.full((POINTS, 3), "a")), "room: coord holds <U1, allowed are integers and floats"),
        (with_value("coord", np.nan), "room: coord has NaN or infinite values in 1 of 40 rows, first in row 3; remove"),
        (with_value("color", 256), "room: color runs from 2 to 256, allowed is 0-255; rescale it"),
        (with_value("color", -1), "room: color runs from -1 to 25"),
        (broken("color", np.zeros((POINTS, 5))), r"room: color has shape \(40, 5\)"),
        (
            broken("normal", np.zeros((39, 3))),
            "room: normal has 39 rows and coord 40; every field needs one row a point",
        ),
        (broken("segment", np.zeros((POINTS, 2), int)), r"room: segment has shape \(40, 2\), allowed is \(N,\)"),
        (broken("segment", np.full(POINTS, 0.5)), "room: segment holds numbers that are not whole"),
        (broken("instance", np.full(POINTS, "chair")), "room: instance holds <U5, allowed are integers"),
        (broken("instance", np.full(POINTS, 2**40)), "room: instance reaches"),
    ],
)
def test_unusable_fields_are_refused(scene, message):
    with pytest.raises(ValueError, match=message) as error:
        check_scene(scene, "room")
    assert "\n" not in str(error.value)


def test_check_accepts_tensors_lists_and_absent_fields():
    scene = check_scene(dict(coord=torch.zeros(2, 3, requires_grad=True), color=None, segment=[[1.0], [-1.0]]), "s")
    assert set(scene) == {"coord", "segment"} and scene["segment"].tolist() == [1, -1]


def test_check_leaves_its_input_alone():
    scene = make_scene()
    scene["normal"][0] = np.nan
    checked = check_scene(scene, "s")
    checked["coord"] += 1
    assert np.isnan(scene["normal"][0]).all() and np.array_equal(scene["coord"], make_scene()["coord"])


def test_fractions_become_colors_with_a_log_line(caplog):
    scene = make_scene()
    with caplog.at_level(logging.INFO, logger="msm"):
        colors = check_scene(dict(scene, color=scene["color"] / 255), "room.ply")["color"]
        dark = check_scene(dict(scene, color=(scene["color"] > 9).astype(np.uint8)), "s")["color"]
    assert np.allclose(colors, scene["color"], atol=1e-3) and colors.dtype == np.float32
    assert dark.max() == pytest.approx(1)
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["room.ply"]


@pytest.mark.parametrize("top", [0, 0.001, 0.5, 1, 1.5, 255])
@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float32])
def test_checking_twice_is_checking_once(top, kind):
    """Black, dark and bright colours, 8-bit and fractions."""
    color = np.linspace(0, top, 3 * POINTS).reshape(POINTS, 3).astype(kind)
    once = check_scene(dict(make_scene(), color=color), "s")
    twice = check_scene(once, "s")
    assert all(np.array_equal(once[key], twice[key]) for key in once)
    if kind != np.float32:
        np.testing.assert_allclose(once["color"], color, atol=1e-6)


def test_broken_normals_become_zero_with_a_log_line(caplog):
    scene = with_value("normal", np.nan)
    with caplog.at_level(logging.INFO, logger="msm"):
        normal = check_scene(scene, "room")["normal"]
    assert normal[3].tolist() == [0, 0, 0] and np.allclose(np.delete(normal - scene["normal"], 3, 0), 0, atol=1e-6)
    assert "1 normals" in caplog.text


def test_map_coordinates_lose_nothing(tmp_path, caplog):
    """To the last digit through a file and back; in single precision the loss is said."""
    near = make_scene()["coord"].astype(np.float64)
    far = near + [400_000, 4_000_000, 300]
    scene = check_scene(dict(coord=far), "survey")
    assert np.abs(scene["coord"] + scene["origin"] - far).max() < 1e-6 and np.ptp(scene["coord"], axis=0).max() < 5
    again = check_scene(scene, "survey")
    assert all(np.array_equal(again[key], scene[key]) for key in ("coord", "origin"))
    save_scene(tmp_path / "a.ply", scene)
    written = PlyData.read(str(tmp_path / "a.ply"))["vertex"]["y"]
    assert np.array_equal(written, scene["coord"][:, 1].astype(float) + scene["origin"][1])
    with caplog.at_level(logging.INFO, logger="msm"):
        check_scene(dict(coord=far.astype(np.float32)), "survey")
    assert "coordinates reach 4e+06 m as float32, which rounds them to 0.25 m; write them" in caplog.text


@pytest.mark.parametrize("up", ["z", "-z", "y", "-y", "x", "-x"])
def test_any_axis_may_point_up_in_any_unit(up):
    """A proper rotation: a marker above the floor stays above it, left stays left."""
    sign, axis = (-1 if up[0] == "-" else 1), "xyz".index(up[-1])
    coord, normal = np.zeros((2, 3)), np.zeros((2, 3))
    coord[1, axis], normal[:, axis] = sign * 2500.0, sign
    scene = check_scene(dict(coord=coord, normal=normal), "s", up=up, scale=0.001)
    assert np.allclose(scene["coord"], [[0, 0, 0], [0, 0, 2.5]]) and np.allclose(scene["normal"], [0, 0, 1])
    turned = check_scene(dict(coord=np.eye(3)), "s", up=up)["coord"]
    assert np.linalg.det(turned) == pytest.approx(1) and np.array_equal(turn_back(turned, up), np.eye(3))


def test_wrong_units_and_axes():
    for wrong, words in ((dict(up="up"), "up is 'up'; allowed: z, -z"), (dict(scale=0), "scale is 0; give metres a")):
        with pytest.raises(ValueError, match=words):
            check_scene(make_scene(), "s", **wrong)


def test_normals_of_any_length_and_none(caplog):
    scene = make_scene()
    long = check_scene(dict(scene, normal=scene["normal"] * 7), "s")["normal"]
    assert np.allclose(long, scene["normal"], atol=1e-6)
    with caplog.at_level(logging.INFO, logger="msm"):
        assert "normal" not in check_scene(dict(scene, normal=scene["normal"] * 0), "s")
        half = check_scene(dict(scene, normal=scene["normal"] * (np.arange(POINTS) % 2)[:, None]), "s")["normal"]
    assert "its normals are all 0 and count as absent" in caplog.text
    assert "20 of its 40 normals are 0" in caplog.text and np.array_equal(half[1::2], scene["normal"][1::2])


def test_what_nothing_reads_may_be_broken():
    scene, notes = with_value("color", np.nan), {}
    checked = check_scene(scene, "s", needed=("coord", "normal"), notes=notes)
    assert "color" not in checked and "NaN" in notes["color"]


def test_colours_of_other_ranges():
    color = make_scene()["color"]
    assert np.allclose(check_scene(dict(make_scene(), color=color.astype(np.uint16) * 257), "s")["color"], color)
    assert np.array_equal(check_scene(dict(make_scene(), color=np.c_[color, color[:, 0]]), "s")["color"], color)


def test_unwritable_suffix(tmp_path):
    with pytest.raises(ValueError, match=r"ends in '.las'"):
        save_scene(tmp_path / "a.las", make_scene())
