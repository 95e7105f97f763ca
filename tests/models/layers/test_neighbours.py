"""Neighbours found from the coarse grid down, against a dictionary of voxels."""

from itertools import product

import pytest
import torch

from pointcept_msm.models.layers import neighbours
from pointcept_msm.models.layers.pyramid import build_pyramid
from tests.models.sparse_scenes import random_scene


def expected_rows(coord):
    """(V, 27) by looking every neighbour up; V for none."""
    row = {tuple(voxel): i for i, voxel in enumerate(coord.tolist())}
    offsets = list(product((-1, 0, 1), repeat=3))
    return torch.tensor([[row.get((b, x + i, y + j, z + k), len(row)) for i, j, k in offsets] for b, x, y, z in row])


def scenes():
    """Two scenes of surface-like density, and the first and last voxel of the grid in both."""
    end = 2**16 - 1
    parts = []
    for seed in (0, 1):
        scene = random_scene(400, 14, seed=seed)
        grid = scene["grid_coord"]
        grid = grid[(grid < 13).all(1)] + torch.tensor([1, 2, 3])
        parts.append(torch.cat([grid, torch.tensor([[0, 0, 0], [0, 0, end], [end, 0, end], [end, end, end]])]))
    return torch.cat(parts), torch.tensor([len(part) for part in parts]).cumsum(0)


@pytest.mark.parametrize("rows_at_once", [1 << 14, 50])
@pytest.mark.parametrize("num_levels", [1, 3])
def test_equal_to_a_dictionary_at_every_level(rows_at_once, num_levels, monkeypatch):
    monkeypatch.setattr(neighbours, "CPU_ROWS", rows_at_once)
    pyramid, _ = build_pyramid(*scenes(), num_levels)
    crop, _ = pyramid.subset(torch.rand(pyramid.count(0), generator=torch.Generator().manual_seed(0)) < 0.7)
    visible, _ = crop.subset(torch.arange(crop.count(0)) % 5 > 1)
    for level in range(num_levels):
        for voxels in (visible, pyramid, crop):
            assert torch.equal(voxels.neighbours(level).long(), expected_rows(voxels.coord(level)))
