"""One call from a notebook, and what scenes can be coloured by."""

import numpy as np
import pytest
from PIL import Image

import pointcept_msm
from pointcept_msm.features.extractor import load
from pointcept_msm.files.scene_io import save_scene
from pointcept_msm.pictures.show import label_layers
from pointcept_msm.runtime.errors import UserError
from tests.tools.scene_tools import make_scene, write_weights

SMALL = dict(size=(90, 60))


def test_a_scene_a_path_and_several(tmp_path):
    extractor = load(write_weights(tmp_path))
    save_scene(tmp_path / "room.npz", make_scene(1))
    one = pointcept_msm.show(make_scene(0), extractor, **SMALL)
    assert isinstance(one, Image.Image) and one.width == 2 * 90 and np.asarray(one).std() > 10
    several = pointcept_msm.show([make_scene(0), tmp_path / "room.npz"], extractor, level=1, azimuth=20, **SMALL)
    assert several.height > 2 * 60
    bare = {key: value for key, value in make_scene(0).items() if key in ("coord", "normal")}
    extractor = load(write_weights(tmp_path), fill={"color": 127.5})
    assert pointcept_msm.show(bare, extractor, background="black", **SMALL).width == 90  # no colours to show
    with pytest.raises(UserError, match="level 7: allowed are all and 0 to 1"):
        pointcept_msm.show(make_scene(0), extractor, level=7)


def test_weights_by_name_or_path(tmp_path):
    weights = write_weights(tmp_path)
    pictures = [pointcept_msm.show(make_scene(0), each, **SMALL) for each in (weights, load(weights))]
    assert pictures[0].tobytes() == pictures[1].tobytes()


def test_layers_of_labels():
    scene = dict(coord=np.random.default_rng(0).uniform(size=(6, 3)), segment=np.array([2, 2, 2, 0, -1, 7]))
    scene["instance"] = np.array([40, 40, 41, -1, -1, -1])
    layers = label_layers(scene | {"prediction": np.full(6, -1)}, ["wall", "floor", "chair"])
    assert [*layers] == ["segment", "instance"]
    assert [name for _, name in layers["segment"].legend] == ["chair", "unknown", "wall", "7"]
    assert layers["segment"].values.tolist() == [0, 0, 0, 2, 1, 3]
    assert [layers["instance"].legend[i][1] for i in layers["instance"].values] == ["40", "40", "41", *["unknown"] * 3]
    colors = layers["instance"].colors
    assert (colors[0] == colors[1]).all() and (colors[1] != colors[2]).any() and (colors[3] == 190).all()
