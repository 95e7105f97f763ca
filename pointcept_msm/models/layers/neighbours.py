"""The 27 neighbours of every voxel, found from the coarse grid down.

A voxel's neighbour is a child of its parent's neighbour. So once the neighbours of a few thousand coarse voxels have
been searched for, those of every finer level are two table look-ups each, in memory order (voxels are sorted by Morton
code), where searching would cost log V cache misses a neighbour.

Legend: V voxels of a level, P their parents. Tap 9 i + 3 j + k is the neighbour at offset (i - 1, j - 1, k - 1).
"""

from functools import cache
from itertools import product

import torch

from .serialization import DEPTH, spread_bits

SEARCHED = 2048  # a level of at most this many voxels is searched
ROWS_AT_ONCE = 1 << 14  # rows of neighbours in memory at once, so that they stay in cache


class Neighbours:
    """Neighbours of one level's voxels. `rows(start, end)` -> (end - start, 27) int32, `count` where there is none."""

    def __init__(self, key: torch.Tensor, coord: torch.Tensor, level: int, parent=None, coarse: "Neighbours" = None):
        """key (V,) int64 ascending, coord (V, 4) batch, x, y, z. parent (V,) and the Neighbours of the coarser level
        are made where they are not given."""
        self.count, self.device = len(key), key.device
        self._table = self._grid = None
        if self.count <= SEARCHED or level == DEPTH:
            self._table = _search(key, coord, level)
            return
        if coarse is None:
            coarse, parent = _build_coarse(key, coord, level)
        self._grid = _child_grid(key, parent, coarse)
        octant = (key & 7).int()
        self._corner = parent.int() * 64 + _tables(key.device).corner.index_select(0, octant)  # (V,)

    def rows(self, start: int, end: int) -> torch.Tensor:
        """Neighbours (end - start, 27) int32 of voxels start ... end - 1; `count` stands for none."""
        if self._table is not None:
            return self._table[start:end]
        place = self._corner[start:end, None] + _tables(self.device).window
        return self._grid.index_select(0, place.flatten()).view(-1, 27)


class _Tables:
    """Index arithmetic of a parent's 4x4x4 grid: its own 2x2x2 children and one layer of its neighbours' around them.

    tap, octant (64,): parent's neighbour that each cell of the grid belongs to, and which child it is there;
    corner (8,): cell of the neighbour at offset (-1, -1, -1) of each child; window (27,): the neighbours from there.
    """

    def __init__(self, device):
        def tensor(values):
            return torch.tensor(values, dtype=torch.int32, device=device)

        cells = list(product(range(4), repeat=3))  # cell a lies at child coordinate a - 1
        self.tap = tensor([9 * ((i + 1) // 2) + 3 * ((j + 1) // 2) + (k + 1) // 2 for i, j, k in cells])
        self.octant = tensor([4 * ((i + 1) % 2) + 2 * ((j + 1) % 2) + (k + 1) % 2 for i, j, k in cells])
        self.corner = tensor([16 * i + 4 * j + k for i, j, k in product(range(2), repeat=3)])
        self.window = tensor([16 * i + 4 * j + k for i, j, k in product(range(3), repeat=3)])


@cache
def _tables(device):
    return _Tables(device)


def _build_coarse(key, coord, level):
    coarse_key, parent, first = group_by_parent(key)
    coarse_coord = coord.index_select(0, first)
    coarse_coord[:, 1:] >>= 1
    return Neighbours(coarse_key, coarse_coord, level + 1), parent


def group_by_parent(key: torch.Tensor):
    """key (V,) ascending -> (parents' keys (P,), parent of each voxel (V,), first child of each parent (P,))."""
    coarse, parent, count = torch.unique_consecutive(key >> 3, return_inverse=True, return_counts=True)
    return coarse, parent, count.cumsum(0) - count


def child_table(key: torch.Tensor, parent: torch.Tensor, num_parents: int) -> torch.Tensor:
    """Children (P, 8) int32 of every parent by octant, the last three bits of the key; V where there is none."""
    children = torch.full((8 * num_parents,), len(key), dtype=torch.int32, device=key.device)
    slot = parent * 8 + (key & 7)
    children[slot] = torch.arange(len(key), dtype=torch.int32, device=key.device)
    return children.view(num_parents, 8)


def _child_grid(key, parent, coarse):
    """The 4x4x4 grid around each parent, flat (64 P,) int32: voxel in each cell, V for none."""
    table = _tables(key.device)
    children = torch.full((coarse.count + 1, 8), len(key), dtype=torch.int32, device=key.device)  # last row: no parent
    children[:-1] = child_table(key, parent, coarse.count)
    children = children.flatten()
    grid = torch.empty(64 * coarse.count, dtype=torch.int32, device=key.device)
    for start in range(0, coarse.count, ROWS_AT_ONCE):
        end = min(start + ROWS_AT_ONCE, coarse.count)
        cell = coarse.rows(start, end).index_select(1, table.tap) * 8 + table.octant  # (rows, 64)
        torch.index_select(children, 0, cell.flatten(), out=grid[64 * start : 64 * end])
    return grid


def _search(key, coord, level):
    """Neighbours (V, 27) int32 by binary search in the sorted keys."""
    axis_keys = _shifted_axis_keys(coord.long(), level)
    table = torch.empty(len(key), 27, dtype=torch.int32, device=key.device)
    for tap, (i, j, k) in enumerate(product(range(3), repeat=3)):
        wanted = axis_keys[0][i] | axis_keys[1][j] | axis_keys[2][k]
        place = torch.searchsorted(key, wanted).clamp_(max=len(key) - 1)
        table[:, tap] = torch.where(key.index_select(0, place) == wanted, place, len(key))
    return table


def _shifted_axis_keys(coord, level):
    """Key parts of coordinate - 1, + 0, + 1 for x (with the batch), y, z; -1 (found nowhere) outside the grid."""
    limit = 1 << (DEPTH - level)
    parts = []
    for axis in range(3):
        shifted = []
        for step in (-1, 0, 1):
            value = coord[:, axis + 1] + step
            outside = (value < 0) | (value >= limit)
            part = spread_bits(value.clamp(0, limit - 1)) << (2 - axis)
            shifted.append(torch.where(outside, -1, part))
        parts.append(shifted)
    batch = coord[:, 0] << 3 * (DEPTH - level)
    parts[0] = [torch.where(part < 0, part, part | batch) for part in parts[0]]
    return parts
