"""Voxel features of every level brought to points and concatenated: the "hierarchical features" of the paper (Fig. 3).

Three rules, all O(points): `exact` (trilinear about voxel centres, weights shared among the occupied corners),
`released` (the numbers of the authors' published code: a drifting shift, empty cells count as zero) and `nearest` (the
voxel that holds the point). Nothing is ever made dense: corners are found by binary search in sorted 64-bit keys, the
two of an edge along z by one search, because their keys are neighbours. Without gradients the queries are taken in
blocks, so beyond its result the function needs little memory.

Legend: N points, R queries of a block, V voxels, C channels, B scenes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F

from pointcept_msm.runtime.errors import UserError

MODES = ("exact", "released", "nearest")
AXIS_BITS = 16  # three axes take 48 bits of a key, which leaves 15 for the scene
AXIS_SIZE = 1 << AXIS_BITS
CPU_QUERIES, GPU_QUERIES = 1 << 13, 1 << 18  # taken at once


class Level(NamedTuple):
    """What a hierarchical network gives back of one level. coord (V_l, 4) int32: batch, x, y, z on the level's own grid
    (fine index >> level); feat (V_l, C_l) float; stride: the level's voxel edge in finest voxels (2 ** level)."""

    coord: torch.Tensor
    feat: torch.Tensor
    stride: int


class _Table(NamedTuple):
    """A level made ready for look-ups: key (V,) ascending, row (V,) of each key in feat (V, C); size (B, 3) float64:
    cells an axis of each scene as the authors count them (`released` only)."""

    key: torch.Tensor
    row: torch.Tensor
    feat: torch.Tensor
    stride: int
    size: torch.Tensor | None


def sample_levels(
    levels: Sequence[Level],
    grid_coord: torch.Tensor,
    batch: torch.Tensor,
    mode: str = "exact",
    extent: torch.Tensor | None = None,
) -> torch.Tensor:
    """Features of `levels` at N positions: (N, sum of the levels' C), fine to coarse, at least float32.

    grid_coord (N, 3) in finest voxels: integers stand for voxel centres; floats are positions, voxel c being [c, c +
    1). batch (N,) scene of each row. extent (B, 3): scene sizes in finest voxels, for `released` when `levels` hold a
    part of a scene only. Differentiable in the features. UserError: unknown mode, wrong shapes, integers outside
    0 .. 2^16 - 1.
    """
    _check(levels, grid_coord, batch, mode)
    tables = _build_tables(levels, batch, mode, extent)
    centred = not grid_coord.is_floating_point()
    # In the order of their voxels, whose corners then lie together in memory.
    order = voxel_key(batch, grid_coord.long().clamp(0, AXIS_SIZE - 1)).argsort(stable=True)
    batch, centre = batch[order].long(), grid_coord[order].double() + 0.5 * centred

    def sample(places):
        return torch.cat([_sum(table.feat, *_weigh(table, *places, mode, centred)) for table in tables], 1)

    if torch.is_grad_enabled() and any(table.feat.requires_grad for table in tables):
        return sample((centre, batch))[order.argsort()]
    out = tables[0].feat.new_empty(len(batch), sum(table.feat.shape[1] for table in tables))
    size = CPU_QUERIES if out.device.type == "cpu" else GPU_QUERIES
    for rows, *places in zip(*(x.split(size) for x in (order, centre, batch)), strict=True) if len(batch) else ():
        out.index_copy_(0, rows, sample(places))
    return out  # (N, sum C)


def voxel_key(batch: torch.Tensor, coord: torch.Tensor) -> torch.Tensor:
    """One sortable int64 a voxel: scene, x, y, z. Every coordinate must lie in 0 .. 2^16 - 1. (V,), (V, 3) -> (V,)."""
    x, y, z = coord.long().unbind(-1)
    return ((batch.long() * AXIS_SIZE + x) * AXIS_SIZE + y) * AXIS_SIZE + z


def split_key(key: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Inverse of `voxel_key`: scene (V,) and coordinate (V, 3)."""
    axes = [(key >> shift) & (AXIS_SIZE - 1) for shift in (2 * AXIS_BITS, AXIS_BITS, 0)]
    return key >> (3 * AXIS_BITS), torch.stack(axes, dim=-1)


def _build_tables(levels, batch, mode, extent):
    """The levels as `_Table`s, features in one type, at least float32."""
    dtype = torch.float32
    for level in levels:
        dtype = torch.promote_types(dtype, level.feat.dtype)
    tables = []
    for level in levels:
        key, row = torch.sort(voxel_key(level.coord[:, 0], level.coord[:, 1:]))
        size = _scene_sizes(level, batch, extent) if mode == "released" and len(key) and len(batch) else None
        tables.append(_Table(key, row, level.feat.to(dtype), level.stride, size))
    return tables


def _scene_sizes(level, batch, extent):
    """Cells an axis of each scene at this level, as the authors count them: largest index + 1. (B, 3)."""
    if extent is None:
        scenes = int(max(level.coord[:, 0].max(), batch.max())) + 1
        top = torch.zeros(scenes, 3, dtype=torch.long, device=batch.device)
        top.scatter_reduce_(0, level.coord[:, :1].long().expand(-1, 3), level.coord[:, 1:].long(), "amax")
    else:
        top = (extent.to(batch.device).long() - 1) // level.stride
    return (top + 1).double()


def _weigh(table, centre, batch, mode, centred):
    """Rows of a level and their weights, (R, K) each, that make up the feature at each centre (R, 3), in finest voxels;
    centred: these are voxels' centres."""
    if not len(table.key):
        return batch.new_zeros(len(centre), 0), table.feat.new_zeros(len(centre), 0)
    index = centre / table.stride
    whole = mode == "nearest" or (mode == "exact" and centred and table.stride == 1)  # one corner of eight is enough
    if mode == "nearest":
        index = index.floor()
    elif mode == "exact":
        index = index - 0.5
    else:
        index = index * (1 - 1 / table.size)[batch]
    row, weight = _corners(table, index, batch, whole)
    if mode == "exact":
        weight = weight / weight.sum(1, keepdim=True).clamp_min(torch.finfo(weight.dtype).tiny)
    return row, weight.to(table.feat.dtype)


def _sum(feat, row, weight):
    """Weighed sums of rows of feat (V, C): row and weight (R, K) -> (R, C)."""
    if not row.shape[1]:
        return feat.new_zeros(len(row), feat.shape[1])
    return F.embedding_bag(row, feat, per_sample_weights=weight, mode="sum")


def _corners(table, index, batch, whole):
    """Rows of the 8 cells around each index (R, 3), their trilinear weights, 0 where a cell is absent: (R, 8) twice;
    (R, 1) where every index is a whole number."""
    low = index.floor()
    high_share = index - low
    low = low.clamp(-2, AXIS_SIZE).long()
    key = voxel_key(batch, low)
    if whole:
        row, found, _, _ = _find_pairs(table, key)
        inside = ((low >= 0) & (low < AXIS_SIZE)).all(1)
        return row[:, None], (found & inside).double()[:, None]
    step = torch.arange(2, device=key.device) * AXIS_SIZE
    edges = (step[:, None] * AXIS_SIZE + step).flatten()  # of a cube, along z: what they add to its lowest key
    row, found, next_row, next_found = _find_pairs(table, key[:, None] + edges)  # (R, 4)
    cell = torch.stack([low, low + 1], -1)  # (R, 3, 2)
    share = torch.stack([1 - high_share, high_share], -1) * ((cell >= 0) & (cell < AXIS_SIZE))
    share_xy = share[:, 0, :, None] * share[:, 1, None, :]
    weight = (share_xy[..., None] * share[:, 2, None, None]).flatten(1)
    return torch.stack([row, next_row], -1).flatten(1), weight * torch.stack([found, next_found], -1).flatten(1)


def _find_pairs(table, key):
    """Rows of `key` and of `key + 1`, any row where absent, each with whether it was found: four tensors like key."""
    last = len(table.key) - 1
    place = torch.searchsorted(table.key, key).clamp_max_(last)
    found = table.key[place] == key
    next_place = (place + found).clamp_max_(last)
    next_found = table.key[next_place] == key + 1
    return table.row[place], found, table.row[next_place], next_found


def _check(levels, grid_coord, batch, mode):
    if not levels:
        raise UserError("no levels to sample from; give the network's list of Level, fine to coarse")
    if mode not in MODES:
        raise UserError(f"sampling mode is {mode!r}; allowed: {', '.join(MODES)}")
    if grid_coord.ndim != 2 or grid_coord.shape[1] != 3 or batch.shape != grid_coord.shape[:1]:
        raise UserError(
            f"grid_coord is {tuple(grid_coord.shape)} and batch {tuple(batch.shape)}; they must be (N, 3) and (N,)"
        )
    if len(batch) and not grid_coord.is_floating_point():
        low, high = torch.stack(grid_coord.aminmax()).tolist()
        if low < 0 or high >= AXIS_SIZE:
            raise UserError(
                f"grid_coord spans {low} to {high}; allowed 0 to {AXIS_SIZE - 1}: shift the scene to its minimum "
                "or use larger voxels"
            )
