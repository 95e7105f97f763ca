"""The 27 neighbours of every voxel as one table a level, found from the coarse grid down.

A voxel's neighbour is a child of its parent's neighbour. So once those of the coarsest level have been searched for,
all at once, those of every finer level are two table look-ups each, in memory order (voxels are sorted by Morton code),
where searching would cost log V cache misses a neighbour. A part of the voxels takes its table from that of the whole.

Legend: V voxels of a level, P their parents. Tap 9 i + 3 j + k is the neighbour at offset (i - 1, j - 1, k - 1). A
table is (V, 27) int32: row of the neighbour, V where there is none.
"""

from functools import cache
from itertools import product
from types import SimpleNamespace

import torch

from .serialization import DEPTH, encode_z

CPU_ROWS, GPU_ROWS = 1 << 14, 1 << 20  # rows made at once: on a CPU they stay in cache, on a GPU memory is bounded


def search_neighbours(key: torch.Tensor, coord: torch.Tensor, level: int) -> torch.Tensor:
    """Table by binary search. key (V,) int64 ascending: scene and Morton code; coord (V, 4) batch, x, y, z."""
    tables, limit, shift = _tables(key.device), 1 << DEPTH - level, 3 * (DEPTH - level)
    out = torch.empty(len(key), 27, dtype=torch.int32, device=key.device)
    for rows in _parts(out):
        place = coord[rows, None, 1:] + tables.offset  # (rows, 27, 3)
        wanted = encode_z(place.clamp(0, limit - 1)) | coord[rows, :1] << shift
        row = torch.searchsorted(key, wanted).clamp_(max=len(key) - 1)
        found = (key[row] == wanted) & ((place >= 0) & (place < limit)).all(-1)
        out[rows] = row.masked_fill_(~found, len(key))
    return out


def refine_neighbours(coarse: torch.Tensor, key: torch.Tensor, parent: torch.Tensor) -> torch.Tensor:
    """Table of a level from that of the next coarser one (P, 27); key (V,), parent (V,)."""
    tables, children = _tables(key.device), child_table(key, parent, len(coarse))
    children = torch.cat([children.flatten(), children.new_full((8,), len(key))])  # the children of no parent
    grid = key.new_empty(64 * len(coarse), dtype=torch.int32)  # 4 x 4 x 4 cells around each parent
    for rows in _parts(coarse):
        cell = coarse[rows].index_select(1, tables.tap).mul_(8).add_(tables.octant)
        torch.index_select(children, 0, cell.flatten(), out=grid[64 * rows.start : 64 * rows.stop])
    corner = tables.corner.index_select(0, key & 7).add_(parent.int(), alpha=64)
    table = grid.new_empty(len(key), 27)
    for rows in _parts(table):
        place = corner[rows, None] + tables.window
        torch.index_select(grid, 0, place.flatten(), out=table[rows].view(-1))
    return table


def restrict_neighbours(table: torch.Tensor, rows: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
    """Table of the voxels `rows` (W,) of a level; new (V + 1,) int32: each voxel's row among them, W for none."""
    out = table.new_empty(len(rows), 27)
    for part in _parts(out):
        torch.index_select(new, 0, table.index_select(0, rows[part]).flatten(), out=out[part].view(-1))
    return out


def child_table(key: torch.Tensor, parent: torch.Tensor, num_parents: int) -> torch.Tensor:
    """Children (P, 8) int32 of every parent by octant, the last three bits of the key; V where there is none."""
    children = torch.full((8 * num_parents,), len(key), dtype=torch.int32, device=key.device)
    row = torch.arange(len(key), dtype=torch.int32, device=key.device)
    return children.scatter_(0, parent * 8 + (key & 7), row).view(num_parents, 8)


def _parts(table):
    step = CPU_ROWS if table.device.type == "cpu" else GPU_ROWS
    return [slice(start, min(start + step, len(table))) for start in range(0, len(table), step)]


@cache
def _tables(device):
    """Index arithmetic of a parent's 4x4x4 grid: its own 2x2x2 children and one layer of its neighbours' around them.

    offset (27, 3) of the taps; tap, octant (64,): parent's neighbour that each cell of the grid belongs to, and which
    child it is there; corner (8,): cell of the neighbour at offset (-1, -1, -1) of each child; window (27,): the
    neighbours from there.
    """
    cells = list(product(range(4), repeat=3))  # cell a lies at child coordinate a - 1
    lists = dict(
        tap=[9 * ((i + 1) // 2) + 3 * ((j + 1) // 2) + (k + 1) // 2 for i, j, k in cells],
        octant=[4 * ((i + 1) % 2) + 2 * ((j + 1) % 2) + (k + 1) % 2 for i, j, k in cells],
        corner=[16 * i + 4 * j + k for i, j, k in product(range(2), repeat=3)],
        window=[16 * i + 4 * j + k for i, j, k in product(range(3), repeat=3)],
    )
    tensors = {name: torch.tensor(values, dtype=torch.int32).to(device) for name, values in lists.items()}
    return SimpleNamespace(offset=torch.tensor(list(product((-1, 0, 1), repeat=3))).to(device), **tensors)
