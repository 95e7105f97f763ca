"""tools/render_scene.py draws a scene file to a picture."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from pointcept_msm.pictures.render import BACKGROUND, render_points
from pointcept_msm.rooms import save_rooms
from pointcept_msm.runtime.command_line import run_command

TOOL = runpy.run_path(str(Path(__file__).resolve().parents[2] / "tools/render_scene.py"))
EYE, TARGET = np.array([0.0, -4, 0]), np.zeros(3)


@pytest.mark.parametrize(
    "show, view", [("color", "outside"), ("segment", "inside"), ("normal", "outside"), ("instance", "inside")]
)
def test_picture_is_filled(tmp_path, show, view):
    image = pytest.importorskip("PIL.Image")
    save_rooms(tmp_path / "rooms", "val", 1, 0, 20_000)
    out = tmp_path / "pictures/room.png"
    scene = str(tmp_path / "rooms/val/room_0000")
    arguments = [scene, "--out", str(out), "--show", show, "--view", view, "--size", "240", "160"]
    assert run_command(TOOL["main"], [*arguments, "--radius", "0.03"]) == 0
    picture = np.asarray(image.open(out))
    assert picture.shape == (160, 240, 3)
    assert np.mean((picture != BACKGROUND).any(axis=2)) > 0.25


def test_nearer_points_hide_farther_ones_and_backs_are_left_out():
    coord = np.array([[0.0, 0, 0], [0, 1, 0], [0.5, 0, 0]])
    normal = np.array([[0.0, -1, 0], [0, -1, 0], [0, 1, 0]])
    color = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], dtype=np.uint8)
    picture = render_points(coord, normal, color, EYE, TARGET, 1.0, (100, 80), 0.05)
    assert picture[40, 50].tolist() == [255, 0, 0]
    assert not (picture == (0, 255, 0)).all(axis=2).any() and not (picture == (0, 0, 255)).all(axis=2).any()


def test_missing_scene_is_explained(tmp_path, capsys):
    assert run_command(TOOL["main"], [str(tmp_path / "nothing")]) != 0
    assert capsys.readouterr().err.count("\n") == 1
