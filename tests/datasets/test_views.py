"""The two views: correspondence against brute force, crops, and what the batch looks like."""

import numpy as np
import pytest
import torch

from pointcept_msm.datasets.views import MSMViews
from pointcept_msm.host import TRANSFORMS

GRID = 0.1


@TRANSFORMS.register_module("MSMTestSpin", force=True)
class Spin:
    """Rotate about z by a random angle, move, and lose some points: all that augmentation may do."""

    def __call__(self, scene):
        angle = np.random.uniform(0, 2 * np.pi)
        turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        scene["coord"] = (scene["coord"] @ turn.T + np.random.uniform(-5, 5, 3)).astype(np.float32)
        keep = np.random.rand(len(scene["coord"])) < 0.9
        for key in scene["index_valid_keys"]:
            scene[key] = scene[key][keep]
        return scene


@pytest.fixture
def scene():
    rng = np.random.default_rng(0)
    coord = rng.uniform(0, [3, 2, 1], (3000, 3)).astype(np.float32)
    # The colour of a point is its index, so that brute force can recognise it in either view.
    index = np.arange(3000)
    color = np.stack([index % 250, index // 250, np.zeros(3000)], 1).astype(np.float32)
    return dict(coord=coord, color=color, normal=np.zeros((3000, 3), np.float32), name="brute")


def point_of(feat):
    color = ((feat[:, :3] + 1) * 127.5).round().long()
    return color[:, 0] + 250 * color[:, 1]


def make(scene, **kwargs):
    np.random.seed(1)
    return MSMViews(grid_size=GRID, augment=[dict(type="MSMTestSpin")], **kwargs)(scene)


def halves(item):
    first = int(item["offset"][0])
    keys = ("grid_coord", "coord", "feat", "position", "student", "match")
    return [{key: item[key][part] for key in keys} for part in (slice(None, first), slice(first, None))]


@pytest.mark.parametrize("max_voxels", [10**6, 700])
def test_match_equals_brute_force(scene, max_voxels):
    """The point that stands for a voxel lies, in the other view, in the matched voxel: checked in augmented metres."""
    item = make(scene, max_voxels=max_voxels)
    views = halves(item)
    found = 0
    for view, other in (views, views[::-1]):
        where = {int(p): xyz for p, xyz in zip(point_of(other["feat"]), other["coord"].tolist(), strict=True)}
        grid = {tuple(c): i for i, c in enumerate(other["grid_coord"].tolist())}
        origin = np.floor(other["coord"].double().numpy() / GRID).astype(int)[0] - other["grid_coord"][0].numpy()
        for voxel, point in enumerate(point_of(view["feat"]).tolist()):
            if point in where:  # also a representative there: its own cell must be the match
                cell = tuple(np.floor(np.array(where[point], np.float64) / GRID).astype(int) - origin)
                assert int(view["match"][voxel]) == grid[cell]
                found += 1
    assert found > 100


def test_rigid_motion_keeps_matched_voxels_together(scene):
    """All points, not only shared representatives: matched voxels' points are within a voxel's diagonal."""
    views = halves(make(scene))
    coord = torch.from_numpy(scene["coord"])
    for view, other in (views, views[::-1]):
        matched = view["match"] >= 0
        here = coord[point_of(view["feat"])][matched]
        there = coord[point_of(other["feat"])][view["match"][matched]]
        assert (here - there).norm(dim=1).max() <= GRID * 3**0.5 + 1e-5
        assert matched.float().mean() > 0.8  # a tenth of the points were dropped in the other view


def test_without_augmentation_every_voxel_matches_itself(scene):
    np.random.seed(0)
    item = MSMViews(grid_size=GRID)(scene)
    one, two = halves(item)
    assert torch.equal(one["grid_coord"], two["grid_coord"])
    assert torch.equal(one["match"], torch.arange(len(one["match"]))) and torch.equal(two["match"], one["match"])


def test_crops_and_positions(scene):
    item = make(scene, max_voxels=700, student_crop=(0.5, 0.5))
    for view in halves(item):
        assert len(view["grid_coord"]) == 700 and int(view["student"].sum()) == 350
        assert view["grid_coord"].min() == 0
        assert ((view["position"] - view["grid_coord"] - 0.5).abs() <= 0.5 + 1e-3).all()


def test_colour_augmentation_changes_each_view_on_its_own_and_the_scene_not(scene):
    np.random.seed(0)
    jitter = [dict(type="ChromaticTranslation", p=1.0, ratio=0.2)]
    one, two = halves(MSMViews(grid_size=GRID, color_augment=jitter)(scene))
    plain, _ = halves(MSMViews(grid_size=GRID)(scene))
    shift = [view["feat"][:, :3].mean(0) - plain["feat"][:, :3].mean(0) for view in (one, two)]
    assert shift[0].abs().max() > 0.02 and (shift[0] - shift[1]).abs().max() > 0.02
    assert torch.equal(one["grid_coord"], plain["grid_coord"])


def test_batch_follows_the_hosts_collate_rules(scene):
    from pointcept_msm.embedded.loader import collate_fn

    items = [make(scene), make(scene, max_voxels=500)]
    batch = collate_fn(items)
    assert batch["offset"].tolist() == np.cumsum([len(v["feat"]) for item in items for v in halves(item)]).tolist()
    assert batch["match"].shape == batch["student"].shape and batch["name"] == ["brute", "brute"]
    assert torch.equal(batch["match"], torch.cat([item["match"] for item in items]))


def test_the_scene_given_is_left_alone(scene):
    before = {key: np.copy(value) for key, value in scene.items()}
    make(scene)
    assert all((before[key] == scene[key]).all() if key != "name" else True for key in before)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (dict(student_crop=(0.0, 0.5)), "student_crop"),
        (dict(grid_size=0), "positive voxel"),
        (dict(feat_keys=("depth",)), "depth"),
    ],
)
def test_wrong_arguments_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        MSMViews(**arguments)
