"""Which network a foreign checkpoint holds, where in it, and what its run says of the voxels."""

import json

import pytest

from pointcept_msm.conversion.convert import choose_config, read_network_config
from pointcept_msm.conversion.sources import SOURCES, describe_network, released_config, select_network

BACKBONE = {"type": "MSM-HUNet-v1m1", "in_channels": 3}


def test_every_form_of_a_config(tmp_path):
    bare, wrapped, recipe, run = (tmp_path / name for name in ("bare.json", "wrapped.json", "recipe.py", "run.py"))
    bare.write_text(json.dumps(BACKBONE))
    wrapped.write_text(json.dumps({"backbone": BACKBONE, "grid_size": 0.1}))
    recipe.write_text(f"grid_size = 0.1\nbackbone = {BACKBONE!r}\nlr = 3\n")
    run.write_text(f"feat_keys = ('color',)\nmodel = dict(type='MSM-v1m1', backbone={BACKBONE!r})\n")
    assert read_network_config(bare) == (BACKBONE, {})
    assert read_network_config(wrapped) == read_network_config(recipe) == (BACKBONE, {"grid_size": 0.1})
    backbone, facts = read_network_config(run)
    assert backbone == BACKBONE and list(facts["feat_keys"]) == ["color"]


def test_the_released_network_needs_no_config(tmp_path):
    assert choose_config("released", tmp_path / "x.pth", {}, {}) == (released_config(), {})


@pytest.mark.parametrize(
    "name, text, words",
    [
        ("a.json", "{", "is no JSON object"),
        ("b.json", "[1]", "is no JSON object"),
        ("c.json", "{}", "names no network, only nothing"),
        ("d.py", "lr = 3", "names no network, only lr"),
    ],
)
def test_wrong_configs(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=words):
        read_network_config(tmp_path / name)
    with pytest.raises(ValueError, match="does not exist"):
        read_network_config(tmp_path / f"no-{name}")


def test_networks_of_a_training_checkpoint():
    state = {
        "student.backbone.a": 1, "teacher.backbone.a": 2, "student.predictor.0.b": 3, "train_step": 4, "other": 5
    }  # fmt: skip
    assert select_network(state, SOURCES["pointcept"], "student") == ({"a": 1}, ["other"])
    assert select_network(state, SOURCES["pointcept"], "teacher") == ({"a": 2}, ["other"])


def test_the_voxel_size_is_that_of_the_views():
    view = dict(type="MSMViews", grid_size=0.04)
    data = dict(train=dict(type="X", transform=[dict(type="GridSample", grid_size=0.01), view]))
    config = dict(grid_size=0.02, feat_keys=["color"], model=dict(type="MSM-v1m1", backbone=BACKBONE))
    assert describe_network(config) == (BACKBONE, {"grid_size": 0.02, "feat_keys": ["color"]})
    assert describe_network(config | dict(data=data))[1]["grid_size"] == 0.04
