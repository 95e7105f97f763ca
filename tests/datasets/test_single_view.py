"""MSMInput against a walk over the points, and against what the extractor feeds the network."""

import numpy as np
import pytest
import torch

from pointcept_msm.datasets.views import MSMInput
from pointcept_msm.features.extractor import FeatureExtractor
from pointcept_msm.host import build_model
from tests.probe_toy import NETWORK

GRID = 0.1


def make_scene(points=2000, seed=0):
    rng = np.random.default_rng(seed)
    normal = rng.normal(size=(points, 3))
    return dict(
        coord=rng.uniform(-1, 1, (points, 3)).astype(np.float32) + np.float32([0, 0, 1.5]),
        color=rng.uniform(0, 255, (points, 3)).astype(np.float32),
        normal=(normal / np.linalg.norm(normal, axis=1, keepdims=True)).astype(np.float32),
        segment=rng.integers(-1, 5, points).astype(np.int32),
        name="a",
    )


def cells(coord):
    cell = np.floor(coord.astype(np.float64) / GRID).astype(int)
    return cell - cell.min(0)


@pytest.mark.parametrize("random", [False, True])
def test_each_voxel_stands_for_one_of_its_points(random):
    scene = make_scene()
    item = MSMInput(grid_size=GRID, random=random, keep_inverse=True)(dict(scene))
    cell = cells(scene["coord"])
    assert {tuple(c) for c in item["grid_coord"].tolist()} == {tuple(c) for c in cell.tolist()}
    assert len(item["grid_coord"]) == len(np.unique(cell, axis=0)) == int(item["offset"])
    point_of = {tuple(c): i for i, c in enumerate(scene["coord"].tolist())}
    points = [point_of[tuple(c)] for c in item["coord"].tolist()]
    np.testing.assert_array_equal(cell[points], item["grid_coord"])
    np.testing.assert_array_equal(scene["segment"][points], item["segment"])
    expected = np.concatenate([scene["color"][points] / 127.5 - 1, scene["normal"][points]], 1)
    np.testing.assert_allclose(item["feat"], expected, atol=1e-6)
    np.testing.assert_array_equal(item["grid_coord"][item["inverse"]], cell)
    np.testing.assert_array_equal(item["origin_segment"], scene["segment"])


def test_types_are_those_that_the_hosts_collate():
    item = MSMInput(grid_size=GRID, keep_inverse=True)(make_scene())
    integers = ("grid_coord", "segment", "offset", "inverse", "origin_segment")
    assert all(item[key].dtype == torch.int64 for key in integers)
    assert all(item[key].dtype == torch.float32 for key in ("coord", "feat")) and item["name"] == "a"


def test_crop():
    item = MSMInput(grid_size=GRID, max_voxels=150)(make_scene())
    grid = item["grid_coord"]
    assert len(grid) == len(item["feat"]) == len(item["segment"]) == int(item["offset"]) == 150
    assert grid.min(0).values.tolist() == [0, 0, 0] and (grid.max(0).values <= 14).all()  # a ball, not the scene


def test_augmentation_of_points_and_of_the_voxels_colour():
    augment = [dict(type="CenterShift", apply_z=True), dict(type="RandomFlip", p=1.0)]
    brighter = dict(type="ChromaticTranslation", p=1.0, ratio=0.5)
    plain = MSMInput(grid_size=GRID, random=False, augment=augment)(make_scene())
    assert 0 <= plain["coord"][:, 2].min() < GRID
    flipped = {tuple(row) for row in (make_scene()["normal"] * np.float32([-1, -1, 1])).tolist()}
    assert {tuple(row) for row in plain["feat"][:, 3:].tolist()} <= flipped
    item = MSMInput(grid_size=GRID, random=False, augment=augment, color_augment=[brighter])(make_scene())
    assert torch.equal(item["grid_coord"], plain["grid_coord"]) and torch.equal(
        item["feat"][:, 3:], plain["feat"][:, 3:]
    )
    assert not torch.equal(item["feat"][:, :3], plain["feat"][:, :3]) and item["feat"][:, :3].abs().max() <= 1


def test_validation_sees_what_the_extractor_sees():
    """Predictions at the points of a scene must belong to the features that probes and users get."""
    torch.manual_seed(0)
    network = build_model(dict(NETWORK, output="hierarchical")).eval()
    centre = [dict(type="CenterShift", apply_z=True)]
    scene = make_scene()
    item = MSMInput(grid_size=GRID, random=False, keep_inverse=True, augment=centre)(make_scene())
    with torch.no_grad():
        ours = network(item)[item["inverse"]]
    levels = build_model(dict(NETWORK))
    levels.load_state_dict(network.state_dict())
    theirs = FeatureExtractor(levels, NETWORK, dict(grid_size=GRID)).extract(scene)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_a_scene_without_labels():
    scene = make_scene()
    del scene["segment"]
    assert "segment" not in MSMInput(grid_size=GRID)(scene)


def test_settings_that_cannot_be():
    with pytest.raises(ValueError, match="no prediction"):
        MSMInput(keep_inverse=True, max_voxels=100)
    with pytest.raises(ValueError, match="positive voxel"):
        MSMInput(grid_size=0)
    with pytest.raises(ValueError, match="choose from"):
        MSMInput(feat_keys=("colour",))
