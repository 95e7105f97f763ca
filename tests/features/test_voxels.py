"""Tiles: every voxel in one core, bounded size."""

import numpy as np

from pointcept_msm.features.voxels import build_tiles


def test_one_tile_when_all_fits():
    grid = np.random.default_rng(0).integers(0, 300, (500, 3))
    ((part, core),) = build_tiles(grid, 500, 20)
    assert np.array_equal(part, np.arange(500)) and np.array_equal(core, part)


def test_tiles_cover_every_voxel_once():
    grid = np.random.default_rng(0).integers(0, 300, (5000, 3))
    tiles = list(build_tiles(grid, 1500, 20))
    assert len(tiles) > 3
    assert np.array_equal(np.sort(np.concatenate([core for _, core in tiles])), np.arange(5000))
    for part, core in tiles:
        assert len(part) <= 1500 and np.isin(core, part).all()
        distance = np.abs(grid[:, None, :2] - grid[core][None, :, :2]).max(-1).min(1)
        assert np.isin(np.flatnonzero(distance <= 20), part).all()


def test_dense_tile_runs_with_a_warning(caplog):
    with caplog.at_level("WARNING", logger="msm"):
        assert len(list(build_tiles(np.zeros((100, 3), dtype=int), 10, 5))) == 1
    assert "above the 10 asked" in caplog.text
