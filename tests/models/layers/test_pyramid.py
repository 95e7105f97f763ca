"""Level structure against Python sets and dictionaries."""

import pytest
import torch

from pointcept_msm.models.layers.pyramid import build_pyramid
from tests.models.sparse_scenes import join, random_scene


def build(*scenes, levels=3):
    batch = join(*scenes)
    return build_pyramid(batch["grid_coord"], batch["offset"], levels)


def rows(coord):
    return [tuple(row) for row in coord.tolist()]


def test_levels_parents_and_ancestors():
    pyramid, _ = build(random_scene(seed=0), random_scene(seed=1))
    for level in range(3):
        expected = {(b, x >> level, y >> level, z >> level) for b, x, y, z in rows(pyramid.coords[0])}
        assert len(rows(pyramid.coords[level])) == len(expected) and set(rows(pyramid.coords[level])) == expected
        above = pyramid.coords[level][pyramid.ancestors(level)]
        assert torch.equal(above[:, 1:], pyramid.coords[0][:, 1:] >> level) and torch.equal(
            above[:, 0], pyramid.batch(0)
        )


def test_structure_does_not_depend_on_voxel_order():
    scene = random_scene()
    shuffle = torch.randperm(len(scene["feat"]))
    one, order_one = build(scene)
    two, order_two = build_pyramid(scene["grid_coord"][shuffle], scene["offset"], 3)
    assert torch.equal(one.coords[0], two.coords[0]) and torch.equal(order_one, shuffle[order_two])


def test_subset_is_the_pyramid_of_the_kept_voxels():
    pyramid, _ = build(random_scene(seed=0), random_scene(seed=1))
    keep = torch.rand(pyramid.count(0), generator=torch.Generator().manual_seed(2)) < 0.3
    sub, sub_rows = pyramid.subset(keep)
    for level in range(3):
        expected = {(b, x >> level, y >> level, z >> level) for b, x, y, z in rows(pyramid.coords[0][keep])}
        assert set(rows(sub.coords[level])) == expected
        assert torch.equal(pyramid.coords[level][sub_rows[level]], sub.coords[level])


def test_subset_of_everything_is_itself():
    pyramid, _ = build(random_scene())
    same, sub_rows = pyramid.subset(torch.ones(pyramid.count(0), dtype=torch.bool))
    assert same is pyramid and sub_rows == [None] * 3


@pytest.mark.parametrize(
    "grid_coord, offset, words",
    [
        ([[0, 0, 0], [0, 0, 0]], [2], "more than once"),
        ([[0, 0, -1]], [1], "0 to 65535"),
        ([[0, 0, 65536]], [1], "0 to 65535"),
        ([[0, 0, 0]], [2], "offset"),
        ([[0, 0]], [1], r"\(V, 3\)"),
    ],
)
def test_wrong_input_is_refused(grid_coord, offset, words):
    with pytest.raises(ValueError, match=words):
        build_pyramid(torch.tensor(grid_coord), torch.tensor(offset), 2)
