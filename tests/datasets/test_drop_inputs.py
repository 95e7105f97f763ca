"""Scenes that lose an input as a whole: how often, what takes its place, and that the export states it."""

import numpy as np
import pytest
import torch

from pointcept_msm.datasets.inputs import FEATURES, FILLS, drop_inputs, find_fills
from pointcept_msm.datasets.views import MSMViews
from pointcept_msm.host import TRANSFORMS, Compose, Config

COUNT = 400


def make_scene():
    rng = np.random.default_rng(0)
    coord = rng.uniform(0, (3, 2, 1), (COUNT, 3)).astype(np.float32)
    normal = rng.standard_normal((COUNT, 3))
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    return dict(coord=coord, color=rng.integers(1, 99, (COUNT, 3)).astype(np.float32), normal=normal.astype(np.float16))


def build(**kwargs):
    return TRANSFORMS.build(dict(type="MSMDropInputs", **kwargs))


def test_what_is_dropped_is_gone_from_every_point_and_zero_in_the_network():
    scene = make_scene()
    dropped = drop_inputs(scene, ["color", "normal"])
    for key in ("color", "normal"):
        assert (dropped[key] == FILLS[key]).all() and dropped[key].shape == (COUNT, 3)
        assert (FEATURES[key][1](dropped) == 0).all()
        assert not (scene[key] == FILLS[key]).all(), "the given scene was changed"
    assert dropped["coord"] is scene["coord"]
    assert "color" not in drop_inputs(dict(coord=scene["coord"]), ["color"])


def test_shares_and_independence():
    transform, scene = build(drop_color=0.3, drop_normal=0.5), make_scene()
    seen = [transform(scene) for _ in range(4000)]
    gone = np.array([[(s[key] == FILLS[key]).all() for key in FILLS] for s in seen])
    kept = np.array([[np.array_equal(s[key], scene[key]) for key in FILLS] for s in seen])
    assert (gone != kept).all(), "an input is either whole or gone"
    np.testing.assert_allclose(gone.mean(0), [0.3, 0.5], atol=0.03)
    assert gone.all(1).mean() == pytest.approx(0.15, abs=0.02)


def test_switched_off_it_draws_no_random_number():
    scene = make_scene()
    np.random.seed(3)
    assert build()(scene) is scene
    assert np.random.rand() == np.random.RandomState(3).rand()


def test_views_lose_inputs_one_by_one():
    """In MSMViews' color_augment each view draws for itself, after the colour transforms."""
    augment = [dict(type="ChromaticJitter", p=1.0, std=0.1), dict(type="MSMDropInputs", drop_color=0.5)]
    views = MSMViews(grid_size=0.2, color_augment=augment)
    outcomes = set()
    for _ in range(40):
        item = views(make_scene() | dict(name="room"))
        first = int(item["offset"][0])
        halves = item["feat"][:first], item["feat"][first:]
        outcomes.add(tuple(bool((half[:, :3] == 0).all()) for half in halves))
        assert all((half[:, 3:].norm(dim=1) > 0.9).all() for half in halves)
        assert item["feat"].dtype == torch.float32
    assert outcomes == {(False, False), (False, True), (True, False), (True, True)}


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_wrong_shares(share):
    with pytest.raises(ValueError, match=r"drop_normal is .*; give a probability"):
        build(drop_normal=share)


def test_an_export_states_only_what_was_dropped():
    transform = dict(type="MSMDropInputs", drop_color=0.2, drop_normal=0.0)
    nested = dict(train=dict(transform=[dict(type="MSMViews", color_augment=[dict(type="X"), transform])]))
    assert find_fills(Config(nested)) == find_fills(nested) == {"color": 127.5}
    assert find_fills(dict(transform=[dict(transform, drop_color=0.0)])) == {} == find_fills({})


def test_the_recipes_have_it_switched_off_and_one_option_turns_it_on():
    from pointcept_msm.host.run_config import load_run_config

    off = load_run_config("configs/msm/pretrain-rooms-tiny.py", [])
    assert off.data.train.transform[-1].color_augment[-1].type == "MSMDropInputs" and find_fills(off.data) == {}
    on = load_run_config("configs/msm/pretrain-rooms-tiny.py", ["drop_color=0.2", "drop_normal=0.1"])
    assert find_fills(on.data) == FILLS
    chain = Compose(list(on.data.train.transform[-1].color_augment))
    assert chain.transforms[-1].shares == {"color": 0.2, "normal": 0.1}


@pytest.mark.pointcept
def test_it_works_in_pointcepts_chain(run_in_pointcept):
    """Behind Pointcept's own colour transforms, inside MSMViews, in its registry."""
    code = """
import numpy as np, pointcept_msm
from pointcept_msm.host import HOST, TRANSFORMS
from pointcept.datasets.transform import Compose, TRANSFORMS as THEIRS
assert HOST == "pointcept" and "MSMDropInputs" in THEIRS.module_dict
drop = dict(type="MSMDropInputs", drop_color=1.0)
scene = dict(coord=np.random.rand(500, 3).astype("f4"))
scene |= dict(color=np.full((500, 3), 9.0, "f4"), normal=np.ones((500, 3), "f4"))
out = Compose([dict(type="ChromaticJitter", p=1.0), drop])(dict(scene))
assert (out["color"] == 127.5).all() and (out["normal"] == 1).all()
feat = Compose([dict(type="MSMViews", grid_size=0.1, color_augment=[drop])])(dict(scene, name="x"))["feat"]
assert (feat[:, :3] == 0).all() and (feat[:, 3:] == 1).all()
print("fine")
"""
    assert run_in_pointcept("-c", code).splitlines()[-1] == "fine"
