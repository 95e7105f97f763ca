"""Neighbours found from the coarse grid down, against a dictionary of voxels."""

from itertools import product

import pytest
import torch

from pointcept_msm.models.layers import neighbours
from pointcept_msm.models.layers.neighbours import Neighbours
from pointcept_msm.models.layers.pyramid import build_pyramid
from tests.models.sparse_scenes import join, random_scene


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


@pytest.mark.parametrize("searched, rows_at_once", [(10**9, 1 << 14), (4, 1 << 14), (4, 50), (0, 7)])
@pytest.mark.parametrize("num_levels", [1, 3])
def test_equal_to_a_dictionary_at_every_level(searched, rows_at_once, num_levels, monkeypatch):
    monkeypatch.setattr(neighbours, "SEARCHED", searched)
    monkeypatch.setattr(neighbours, "ROWS_AT_ONCE", rows_at_once)
    pyramid, _ = build_pyramid(*scenes(), num_levels)
    for level in range(num_levels):
        found = pyramid._neighbours(level)
        wanted = expected_rows(pyramid.coords[level])
        assert torch.equal(found.rows(0, found.count).long(), wanted)
        assert torch.equal(found.rows(5, 9).long(), wanted[5:9])


def test_does_not_change_the_coordinates_it_reads():
    batch = join(random_scene(300, 12, seed=0), random_scene(200, 12, seed=1))
    pyramid, _ = build_pyramid(batch["grid_coord"], batch["offset"], 1)
    before = pyramid.coords[0].clone()
    Neighbours(pyramid.keys[0], pyramid.coords[0], 0)
    assert torch.equal(before, pyramid.coords[0])


def test_neighbours_are_dropped_when_no_map_needs_them():
    batch = join(random_scene(300, 12, seed=0), random_scene(200, 12, seed=1))
    pyramid, _ = build_pyramid(batch["grid_coord"], batch["offset"], 3)
    for level in (1, 0, 2):
        pyramid.submanifold_map(level)
    assert pyramid._found == {}
