"""Voxels of a scene on the device of its network, and overlapping tiles of them where a scene is too large for a pass.

Every voxel is in the core of exactly one tile; a tile also holds the voxels within a margin of its core. Legend: N
points, V voxels.
"""

import logging
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from pointcept_msm.models.feature_sampling import AXIS_SIZE, split_key, voxel_key
from pointcept_msm.runtime.errors import UserError


class SceneVoxels(NamedTuple):
    """grid (V, 3) int64 from 0, ascending; point (V,): nearest each voxel's centre; voxel (N,) of each point."""

    grid: torch.Tensor
    point: torch.Tensor
    voxel: torch.Tensor


def centre_coord(coord: torch.Tensor) -> torch.Tensor:
    """Coordinates (N, 3) float64 with x and y around their mid-range and z from 0, as the released CenterShift."""
    coord = coord.double()
    low, high = (torch.stack([find(axis) for axis in coord.unbind(1)]) for find in (torch.amin, torch.amax))
    middle = (low + high) / 2
    middle[2] = low[2]
    return coord - middle


def voxelise(coord: torch.Tensor, grid_size: float) -> SceneVoxels:
    """Voxels of coord (N, 3) float64 metres, those of `datasets.voxelise` without randomness, where the tensor lies.

    The first of equally near points stands for a voxel. UserError: more voxels along an axis than can be numbered.
    """
    scaled = coord / torch.full_like(coord[:1, :1], grid_size)  # a plain number becomes a product on a GPU
    cell = scaled.floor()
    low = torch.stack([axis.amin() for axis in cell.unbind(1)])
    cell -= low
    size = float(cell.amax()) + 1
    if size > AXIS_SIZE:
        raise UserError(
            f"the scene spans {size * grid_size:.4g} m, {size:.0f} voxels of {grid_size} m; allowed {AXIS_SIZE}: give "
            "scale if its unit is not metres (0.001 for millimetres), remove far points, or cut it"
        )
    x, y, z = ((scaled - low).float() - cell - 0.5).square().unbind(1)
    distance = x + y + z
    key, order = voxel_key(torch.zeros_like(cell[:, 0]), cell).sort(stable=True)
    key, place = torch.unique_consecutive(key, return_inverse=True)
    distance, count = distance[order], len(coord)
    nearest = torch.full_like(key, torch.inf, dtype=distance.dtype).scatter_reduce_(0, place, distance, "amin")
    rank = torch.arange(count, device=key.device).masked_fill_(distance != nearest[place], count)
    point = order[torch.full_like(key, count).scatter_reduce_(0, place, rank, "amin")]
    return SceneVoxels(split_key(key)[1], point, torch.empty_like(place).scatter_(0, order, place))


def build_tiles(grid: np.ndarray, max_voxels: int, margin: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(voxels to run, voxels of the core), row numbers of `grid` (V, 3), for each tile; one tile when all voxels fit.

    A core is halved at the median along its longer side until tile and margin hold at most `max_voxels`, or until it
    is narrower than the margin: then the tile runs larger than asked, with a warning. margin: voxels.
    """
    every = np.arange(len(grid))
    if len(grid) <= max_voxels:
        yield every, every
        return
    waiting, largest = [every], 0
    while waiting:
        core = waiting.pop()
        part = _with_margin(grid, core, margin)
        halves = _halve(grid, core, margin) if len(part) > max_voxels else None
        if halves is not None:
            waiting.extend(halves)
            continue
        largest = max(largest, len(part))
        yield part, core
    if largest > max_voxels:
        logging.getLogger("msm").warning(
            "a tile ran %d voxels, above the %d asked: the margin of %d voxels is too wide for less",
            largest,
            max_voxels,
            margin,
        )


def _with_margin(grid, core, margin):
    low, high = grid[core, :2].min(0) - margin, grid[core, :2].max(0) + margin
    return np.flatnonzero(((grid[:, :2] >= low) & (grid[:, :2] <= high)).all(1))


def _halve(grid, core, margin):
    """The core's voxels below and from the median along its longer side; None when that side is within the margin."""
    side = np.ptp(grid[core, :2], axis=0)
    axis = int(side.argmax())
    if side[axis] <= max(margin, 1):
        return None
    value = grid[core, axis]
    cut = np.clip(np.median(value), value.min() + 1, value.max())
    return core[value >= cut], core[value < cut]
