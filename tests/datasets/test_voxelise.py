"""Voxelisation against a dictionary of cells."""

import numpy as np
import pytest

from pointcept_msm.datasets.inputs import build_feat, count_channels
from pointcept_msm.datasets.voxelise import nearest_voxels, voxelise

COORD = np.random.default_rng(0).uniform(-3, 2, (4000, 3)).astype(np.float32)


@pytest.mark.parametrize("random", [True, False])
def test_every_point_is_in_the_voxel_it_maps_to(random):
    np.random.seed(0)
    voxels = voxelise(COORD, 0.25, random)
    cells = np.floor(COORD.astype(np.float64) / 0.25).astype(int)
    cells -= cells.min(0)
    assert (voxels.grid_coord[voxels.voxel] == cells).all()
    assert (voxels.voxel[voxels.point] == np.arange(len(voxels.point))).all()
    assert {tuple(c) for c in voxels.grid_coord} == {tuple(c) for c in cells} and len(voxels.grid_coord) == len(
        set(map(tuple, cells))
    )
    assert (np.floor(voxels.position) == cells).mean() > 0.999  # float32 at a cell's border


def test_inference_takes_the_point_nearest_the_centre_in_any_order():
    shuffle = np.random.default_rng(1).permutation(len(COORD))
    one, two = voxelise(COORD, 0.25, False), voxelise(COORD[shuffle], 0.25, False)
    assert (one.point == shuffle[two.point]).all()
    distance = np.square(one.position - np.floor(one.position) - 0.5).sum(1)
    for v in range(0, len(one.point), 50):
        members = np.flatnonzero(one.voxel == v)
        assert distance[one.point[v]] == distance[members].min()


def test_training_draws_every_point_of_a_voxel():
    np.random.seed(0)
    coord = np.full((4, 3), 0.1, np.float32) + np.arange(4)[:, None] * np.float32(0.01)
    drawn = np.bincount([voxelise(coord, 1.0, True).point[0] for _ in range(400)], minlength=4)
    assert drawn.min() > 60


def test_sphere_crop_keeps_the_nearest():
    np.random.seed(0)
    grid = voxelise(COORD, 0.25, False).grid_coord
    kept = nearest_voxels(grid, 300)
    assert len(kept) == 300 and len(set(kept)) == 300
    best = min(
        np.square(grid[kept] - c).sum(1).max() - np.square(np.delete(grid, kept, 0) - c).sum(1).min()
        for c in grid[kept]
    )
    assert best <= 0, "no centre makes this set a ball"
    assert (nearest_voxels(grid, 10**6) == np.arange(len(grid))).all()


def test_features_are_scaled_as_released_and_nothing_is_invented():
    scene = dict(coord=COORD[:2], color=np.array([[0, 127.5, 255]] * 2), normal=np.array([[0, 0, 1.0]] * 2), name="x")
    assert build_feat(scene, ("color", "normal")).tolist() == [[-1, 0, 1, 0, 0, 1]] * 2
    assert count_channels(("coord", "normal")) == 6
    del scene["normal"]
    with pytest.raises(ValueError, match="'x' has no normal"):
        build_feat(scene, ("color", "normal"))
    with pytest.raises(ValueError, match="color, normal, coord"):
        count_channels(("colour",))
