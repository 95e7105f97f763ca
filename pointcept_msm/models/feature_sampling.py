"""Voxel features of every level brought to points and concatenated: the "hierarchical features" of the paper (Fig. 3).

Three rules, all O(points): `exact` (trilinear about voxel centres, weights shared among the occupied corners),
`released` (the numbers of the authors' published code: a drifting shift, empty cells count as zero) and `nearest` (the
voxel that holds the point). Nothing is ever made dense: corners are found by binary search in sorted 64-bit keys.

Legend: N points, U distinct query voxels, V voxels, C channels, B scenes.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from pointcept_msm.models.layers.voxel_levels import Level

MODES = ("exact", "released", "nearest")
AXIS_BITS = 16  # three axes take 48 bits of a key, which leaves 15 for the scene
AXIS_SIZE = 1 << AXIS_BITS
ROWS_A_BLOCK = 1 << 16  # rows written to the output at once


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
    part of a scene only. Differentiable in the features. ValueError: unknown mode, wrong shapes, integers outside 0 ..
    2^16 - 1.
    """
    _check(levels, grid_coord, batch, mode)
    if grid_coord.is_floating_point():
        centre, inverse = grid_coord.double(), None
    else:
        key, inverse = torch.unique(voxel_key(batch, grid_coord), return_inverse=True)
        batch, grid_coord = split_key(key)
        centre = grid_coord.double() + 0.5
    dtype = torch.float32
    for level in levels:
        dtype = torch.promote_types(dtype, level.feat.dtype)
    out = torch.empty(
        len(batch) if inverse is None else len(inverse),
        sum(x.feat.shape[1] for x in levels),
        dtype=dtype,
        device=centre.device,
    )
    start = 0
    for level in levels:
        stop = start + level.feat.shape[1]
        _write(out[:, start:stop], _sample_level(level, centre, batch, mode, extent, dtype), inverse)
        start = stop
    return out  # (N, sum C)


def voxel_key(batch: torch.Tensor, coord: torch.Tensor) -> torch.Tensor:
    """One sortable int64 a voxel: scene, x, y, z. Every coordinate must lie in 0 .. 2^16 - 1. (V,), (V, 3) -> (V,)."""
    x, y, z = coord.long().unbind(-1)
    return ((batch.long() * AXIS_SIZE + x) * AXIS_SIZE + y) * AXIS_SIZE + z


def split_key(key: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Inverse of `voxel_key`: scene (V,) and coordinate (V, 3)."""
    axes = [(key >> shift) & (AXIS_SIZE - 1) for shift in (2 * AXIS_BITS, AXIS_BITS, 0)]
    return key >> (3 * AXIS_BITS), torch.stack(axes, dim=-1)


def _sample_level(level, centre, batch, mode, extent, dtype):
    """Features of one level at centres (U, 3), in finest voxels -> (U, C)."""
    feat = level.feat.to(dtype)
    if not len(feat):
        return feat.new_zeros(len(centre), feat.shape[1])
    index = centre / level.stride
    if mode == "nearest":
        corner = index.floor()[:, None]  # (U, 1, 3)
        weight = torch.ones_like(corner[..., 0])
    else:
        index = index - 0.5 if mode == "exact" else index * (1 - 1 / _scene_size(level, batch, extent))
        corner, weight = _corners(index)
    row, found = _find(level.coord, batch, corner)
    weight = weight * found
    if mode == "exact":
        weight = weight / weight.sum(1, keepdim=True).clamp_min(torch.finfo(weight.dtype).tiny)
    return F.embedding_bag(row, feat, per_sample_weights=weight.to(dtype), mode="sum")  # (U, C)


def _corners(index):
    """The 8 cells around each index (U, 3) and their trilinear weights: (U, 8, 3), (U, 8)."""
    low = index.floor()
    high_share = (index - low)[:, None]  # (U, 1, 3)
    step = torch.tensor([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)], device=index.device)  # (8, 3)
    weight = torch.where(step.bool(), high_share, 1 - high_share).prod(-1)
    used = (weight > 0).any(0)  # at the finest level the exact form needs one corner of eight
    return low[:, None] + step[used], weight[:, used]


def _find(coord, batch, cell):
    """Row in `coord` (V, 4) of each cell (U, K, 3) of scene `batch` (U,): rows (U, K), 0 where absent, and found (U,
    K).
    """
    known, order = torch.sort(voxel_key(coord[:, 0], coord[:, 1:]))
    inside = ((cell >= 0) & (cell < AXIS_SIZE)).all(-1)
    key = voxel_key(batch[:, None], cell.clamp(0, AXIS_SIZE - 1))
    place = torch.searchsorted(known, key).clamp_max(len(known) - 1)
    found = inside & (known[place] == key)
    return torch.where(found, order[place], 0), found


def _scene_size(level, batch, extent):
    """Cells an axis of each query's scene at this level, as the authors count them: largest index + 1. (U, 3)."""
    if extent is None:
        scenes = int(max(level.coord[:, 0].max(), batch.max())) + 1
        top = torch.zeros(scenes, 3, dtype=torch.long, device=batch.device)
        top.scatter_reduce_(0, level.coord[:, :1].long().expand(-1, 3), level.coord[:, 1:].long(), "amax")
    else:
        top = (extent.to(batch.device).long() - 1) // level.stride
    return (top + 1)[batch.long()].double()


def _write(out, feat, inverse):
    """Write feat, or feat[inverse], to the columns `out`, a block of rows at a time: no second (N, C) array."""
    if inverse is None:
        out.copy_(feat)
    elif feat.requires_grad:
        out.copy_(feat[inverse])
    else:
        for start in range(0, len(out), ROWS_A_BLOCK):
            out[start : start + ROWS_A_BLOCK] = feat[inverse[start : start + ROWS_A_BLOCK]]


def _check(levels, grid_coord, batch, mode):
    if mode not in MODES:
        raise ValueError(f"sampling mode is {mode!r}; allowed: {', '.join(MODES)}")
    if not levels:
        raise ValueError("no levels to sample from; give the network's list of Level, fine to coarse")
    if grid_coord.ndim != 2 or grid_coord.shape[1] != 3 or batch.shape != grid_coord.shape[:1]:
        raise ValueError(
            f"grid_coord is {tuple(grid_coord.shape)} and batch {tuple(batch.shape)}; they must be (N, 3) and (N,)"
        )
    if len(batch) and not grid_coord.is_floating_point():
        low, high = int(grid_coord.min()), int(grid_coord.max())
        if low < 0 or high >= AXIS_SIZE:
            raise ValueError(
                f"grid_coord spans {low} to {high}; allowed 0 to {AXIS_SIZE - 1}: shift the scene to its minimum "
                "or use larger voxels"
            )
