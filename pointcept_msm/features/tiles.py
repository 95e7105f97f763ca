"""Overlapping tiles of a scene in x and y, so that a network sees a bounded number of voxels at a time.

Every voxel is in the core of exactly one tile; a tile also holds the voxels within a margin of its core. Legend: V
voxels.
"""

import logging
from collections.abc import Iterator

import numpy as np


def build_tiles(grid: np.ndarray, max_voxels: int, margin: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(voxels to run, voxels of the core), row numbers of `grid` (V, 3), for each tile; one tile when all voxels fit.

    A core is halved at the median along its longer side until tile and margin hold at most `max_voxels`, or until it
    is narrower than the margin: then the tile runs larger than asked, with a warning. margin: voxels. ValueError:
    max_voxels < 1.
    """
    if max_voxels < 1:
        raise ValueError(f"max_voxels is {max_voxels}; allowed 1 or more, e.g. 240000")
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
