"""Colours of labels: ScanNet's where it has them, told apart everywhere, and legends."""

import itertools
import json

import numpy as np
import pytest
from PIL import Image

from pointcept_msm.pictures.labels import (
    SCANNET,
    SPREAD,
    UNKNOWN,
    add_legend,
    color_table,
    find_names,
    list_entries,
)
from pointcept_msm.rooms import ROOM_CLASSES
from pointcept_msm.runtime.errors import UserError


def least_distance(colors):
    """Of the two most alike."""
    return min(np.abs(np.subtract(a, b)).sum() for a, b in itertools.combinations(colors.astype(int), 2))


def test_twenty_classes_have_scannet_s_colours():
    names = [
        "wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf", "picture",
        "counter", "desk", "curtain", "refridgerator", "shower curtain", "toilet", "sink", "bathtub", "otherfurniture",
    ]  # fmt: skip
    table = color_table(20, names)
    assert table[0].tolist() == [174, 199, 232] and table[14].tolist() == [255, 127, 14]
    assert table[19].tolist() == [82, 84, 163] and table[-1].tolist() == list(UNKNOWN)
    assert (color_table(20) == table).all() and least_distance(table) > 30


@pytest.mark.parametrize(
    "count, names", [(22, ROOM_CLASSES), (13, None), (5, ["wall", "floor", "x", "y", "z"]), (24, ())]
)
def test_colours_are_told_apart(count, names):
    assert least_distance(color_table(count, names)) > 30


def test_many_classes_and_none():
    table = color_table(200)
    assert len(np.unique(table[:60], axis=0)) == 60 and len(color_table(0)) == 1
    assert len(set(SPREAD)) == 24 and not set(SPREAD) & set(SCANNET.values())


def test_names_beside_the_scene(tmp_path):
    scene = tmp_path / "val" / "room_0000"
    scene.mkdir(parents=True)
    assert find_names(scene) is None
    (tmp_path / "classes.json").write_text(json.dumps({"names": ["a", "b"]}))
    assert find_names(scene) == ["a", "b"]
    (tmp_path / "classes.json").write_text("[]")
    with pytest.raises(UserError, match="holds no list `names`"):
        find_names(scene)


def test_legend():
    labels = np.array([2, 2, 2, -1, 0])
    entries, order = list_entries(labels, color_table(3), ["wall", "floor"])
    assert [name for _, name in entries] == ["2", "unknown", "wall"] and order[labels].tolist() == [0, 0, 0, 1, 2]
    picture = add_legend(Image.new("RGB", (200, 100), "white"), entries)
    assert picture.width == 200 and picture.height > 115
    found = {tuple(color) for color in np.asarray(picture)[100:].reshape(-1, 3).tolist()}
    assert {color for color, _ in entries} <= found
    assert add_legend(Image.new("RGB", (60, 100)), entries * 4).height > 200, "wraps"
