"""Pictures: what hides what, that nothing is cut off, edges, sizes, views, sheets; tools/render_scene.py."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pointcept_msm.files.scene_io import save_scene
from pointcept_msm.pictures.render import (
    Camera,
    find_box,
    find_splats,
    load_view,
    looks_in,
    make_sheet,
    place_camera,
    render,
    save_view,
)
from pointcept_msm.rooms import save_rooms
from pointcept_msm.runtime.command_line import run_command
from pointcept_msm.runtime.errors import UserError

TOOL = runpy.run_path(str(Path(__file__).resolve().parents[2] / "tools/render_scene.py"))
CAMERA = Camera((0.0, -4.0, 0.0), (0.0, 0.0, 0.0), 2.0)


def make_wall(y, color, x=(-0.5, 0.5), points=2025):
    """A grid of points of an upright wall at y that faces -y, in one colour."""
    side = round(np.sqrt(points))
    across, up = (axis.ravel() for axis in np.meshgrid(np.linspace(*x, side), np.linspace(-0.5, 0.5, side)))
    coord = np.stack([across, np.full(len(across), y), up], 1)
    return coord, np.tile([0.0, -1, 0], (len(coord), 1)), np.tile(np.uint8(color), (len(coord), 1))


def join(*walls):
    return [np.concatenate(arrays) for arrays in zip(*walls, strict=True)]


def hue(picture, channel):
    """Where a channel is far above both others, (H, W) bool."""
    picture = np.asarray(picture).astype(int)
    others = np.delete(picture, channel, axis=2).max(2)
    return picture[:, :, channel] > others + 60


def test_nearer_points_hide_farther_ones():
    scene = join(make_wall(0.0, (255, 0, 0), (-0.3, 0.3)), make_wall(0.5, (0, 0, 255)))
    picture = render(*scene, CAMERA, (200, 200))
    assert hue(picture, 0)[90:110, 90:110].mean() > 0.95 and hue(picture, 2)[90:110, 58:66].mean() > 0.95
    assert np.asarray(picture)[0, 0].tolist() == [255, 255, 255]


def test_behind_a_step_it_is_darker():
    scene = join(make_wall(0.0, (200, 200, 200), (-0.5, 0.0)), make_wall(0.5, (200, 200, 200), (-0.2, 0.5)))
    row = np.asarray(render(*scene, CAMERA, (300, 300)))[130:170, :, 0].mean(0)
    assert row[148:165].min() < row[190:210].mean() - 12 and abs(row[100:120].mean() - row[190:210].mean()) < 25


def test_surfaces_seen_from_the_side_are_darker_whichever_way_they_face():
    coord, normal, color = make_wall(0.0, (200, 200, 200))
    tilted = np.tile([0.0, -0.3, 0.95], (len(coord), 1))
    pictures = [np.asarray(render(coord, n, color, CAMERA, (60, 60)))[20:40, 20:40] for n in (normal, tilted, -tilted)]
    assert pictures[0].mean() > pictures[1].mean() + 20 and (pictures[1] == pictures[2]).all()


@pytest.mark.parametrize("points", [300, 20_000])
def test_splats_grow_with_the_distance_between_points(points):
    scene = make_wall(0.0, (255, 0, 0), points=points)
    covered = hue(render(*scene, CAMERA, (200, 200)), 0)[60:140, 60:140]
    assert covered.mean() > 0.99
    radius, _ = find_splats(*scene[:2])
    assert np.median(radius) == pytest.approx(1 / np.sqrt(points), rel=0.25)


def test_noise_of_normals_is_averaged_out():
    coord, normal, _ = make_wall(0.0, (0, 0, 0))
    noisy = normal + np.random.default_rng(0).normal(0, 0.3, normal.shape)
    _, mean = find_splats(coord, noisy / np.linalg.norm(noisy, axis=1, keepdims=True))
    assert (mean * normal).sum(1).mean() > 0.97 and np.allclose(np.linalg.norm(mean, axis=1), 1)


@pytest.mark.parametrize("size", [(300, 200), (150, 400)])
@pytest.mark.parametrize("azimuth, elevation", [(None, 45), (200, 5), (10, 90), (-70, -30)])
def test_nothing_is_cut_off_and_the_picture_is_filled(size, azimuth, elevation):
    rng = np.random.default_rng(0)
    coord = rng.uniform(-1, 1, (3000, 3)) * (4, 2, 1) + (50, -20, 3)
    camera = place_camera(coord, rng.normal(size=(3000, 3)), size, azimuth=azimuth, elevation=elevation)
    flat, depth = camera.project(coord)
    place = np.abs(flat) / (size[0] / size[1] / 2, 0.5)
    assert (depth > 0).all() and place.max() < 1 and place.max() > 0.9


def test_far_lone_points_do_not_shrink_the_picture():
    coord = np.concatenate([np.random.default_rng(0).uniform(0, 1, (5000, 3)), [[40, 0, 0], [0, 0, -90]]])
    low, high = find_box(coord)
    assert (low > -0.01).all() and (high < 1.01).all()
    assert (np.array(find_box(coord[:1])) == coord[0]).all()


def test_one_looks_into_rooms_and_at_objects():
    rng = np.random.default_rng(0)
    outward = rng.normal(size=(4000, 3))
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    assert looks_in(outward, -outward) and not looks_in(outward, outward)
    color = np.where(outward[:, :1] > 0, np.uint8([255, 0, 0]), np.uint8([0, 0, 255]))
    camera = place_camera(outward, outward, (90, 90), azimuth=0, elevation=0)
    into, at = (render(outward, sign * outward, color, camera, (90, 90)) for sign in (-1, 1))
    assert hue(into, 2)[40:50, 40:50].mean() > 0.9 and hue(at, 0)[40:50, 40:50].mean() > 0.9


def test_a_scan_from_one_side_is_drawn_from_there():
    coord, normal, _ = make_wall(0.0, (0, 0, 0))
    assert place_camera(coord, normal).eye[1] < -0.5 and place_camera(coord, -normal).eye[1] > 0.5
    assert place_camera(coord, normal, azimuth=90).eye[1] > 0.5


@pytest.mark.parametrize("points", [1, 2])
def test_a_handful_of_points(points):
    coord = np.random.default_rng(0).uniform(size=(points, 3)) + 7
    normal, color = np.tile([0.0, 0, 1], (points, 1)), np.tile(np.uint8([255, 0, 0]), (points, 1))
    picture = render(coord, normal, color, place_camera(coord, normal, (60, 60)), (60, 60))
    assert hue(picture, 0).sum() > 3


def test_views_come_back(tmp_path):
    coord, normal, color = make_wall(0.0, (9, 99, 9))
    camera = place_camera(coord, normal, (90, 60), azimuth=-100, zoom=1.3)
    save_view(tmp_path / "view.json", camera)
    again = render(coord, normal, color, load_view(tmp_path / "view.json"), (90, 60))
    first = render(coord, normal, color, camera, (90, 60))
    assert np.abs(np.asarray(first).astype(int) - np.asarray(again)).mean() < 0.5
    (tmp_path / "other.json").write_text("[1]")
    for name in ("other.json", "none.json"):
        with pytest.raises(UserError, match=r"is no view .*--save-view"):
            load_view(tmp_path / name)


def test_sheet():
    red, blue = (Image.new("RGB", (60, 40), color) for color in ("red", "blue"))
    sheet = np.asarray(make_sheet([[red, blue], [blue, red]], ["a", "b"], ["one", "two"]))
    assert sheet.shape == (2 * (40 + 28) + 28, 120, 3)
    assert sheet[28 + 20, 30].tolist() == sheet[28 + 68 + 20, 90].tolist() == [255, 0, 0]


@pytest.fixture(scope="module")
def rooms(tmp_path_factory):
    root = tmp_path_factory.mktemp("rooms")
    save_rooms(root, "val", 2, 0, 6000)
    return root / "val"


@pytest.mark.parametrize(
    "show, view", [("color", "outside"), ("segment", "inside"), ("normal", "inside"), ("instance", "outside")]
)
def test_tool_draws(rooms, tmp_path, show, view):
    out = tmp_path / "pictures/room.png"
    arguments = [str(rooms / "room_0000"), "--out", str(out), "--show", show, "--view", view, "--size", "240", "160"]
    assert run_command(TOOL["main"], arguments) == 0
    picture = np.asarray(Image.open(out))
    assert picture.shape[1:] == (240, 3) and (picture.shape[0] > 160) == (show == "segment")  # with a legend
    assert np.mean((picture[:160] != 255).any(axis=2)) > 0.25


def test_tool_makes_sheets_of_scenes_without_normals(rooms, tmp_path, capsys):
    save_scene(tmp_path / "bare.ply", {"coord": np.random.default_rng(0).uniform(size=(500, 3)), "segment": [3] * 500})
    scenes = [str(rooms / "room_0001"), str(tmp_path / "bare.ply")]
    out = ["--size", "120", "80", "--out", str(tmp_path / "sheet.png")]
    assert run_command(TOOL["main"], [*scenes, "--show", "segment", "normal", *out]) == 0
    assert Image.open(tmp_path / "sheet.png").width == 240
    assert run_command(TOOL["main"], [*scenes, *out]) != 0 and "bare.ply has no color" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--background", "whitish"], "--background whitish"),
        (["--size", "2", "2"], "at least 16 pixels"),
        (["--view", "above"], "above is no view"),
    ],
)
def test_tool_explains(rooms, tmp_path, capsys, arguments, words):
    assert run_command(TOOL["main"], [str(rooms / "room_0000"), *arguments, "--out", str(tmp_path / "x.png")]) != 0
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1 and not (tmp_path / "x.png").exists()
