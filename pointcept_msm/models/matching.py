"""Which teacher voxel is the target of a student voxel, exact, linear in the number of voxels, no radius search; and
how its features are normalised.

Every finest voxel of a view stands for one point of the scene, and the loader has looked up the voxel of the other view
that holds this same point (datasets/views.py). A coarser voxel is represented by the member point nearest its centre.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F

from pointcept_msm.runtime import comm

from .layers.pyramid import VoxelPyramid, positions

TARGET_NORMS = ("batch", "layer", "both", "none")
EPS = 1e-6  # added to a variance


def partner_rows(match: torch.Tensor, offset: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """Rows of the other view's voxels in the sorted pyramid of all views.

    match (V,): index within the partner view, -1 = none, in input order; views b and b ^ 1 are partners; offset (2B,);
    order (V,) the pyramid's sorting order. Returns (V,) in sorted order, -1 = none.
    """
    ends = offset.long()
    row = torch.arange(len(match), device=match.device)
    start = torch.cat([ends.new_zeros(1), ends[:-1]])
    view = torch.searchsorted(ends, row, right=True)
    target = (match + start[view ^ 1]).masked_fill_(match < 0, 0)
    new_row = torch.empty_like(order).scatter_(0, order, row)
    return new_row[target].masked_fill_(match < 0, -1)[order]


def match_levels(student: VoxelPyramid, teacher: VoxelPyramid, position, partner) -> torch.Tensor:
    """Teacher row of every student voxel, level after level (sum of V_l,), -1 = no point of it is in the other view.

    position (V_0, 3): the finest student voxel's point in voxel units of its own grid; partner (V_0,): the finest
    teacher row that holds the same point, -1 = none.
    """
    level = torch.arange(student.num_levels, device=partner.device)[:, None]
    centre = ((student.coord(0)[:, 1:] >> level[..., None]) + 0.5) * (1 << level[..., None])  # (L, V_0, 3)
    distance = (position.float() - centre).square().sum(-1)
    # The least of these numbers in a voxel is the nearest member's, the first of equals: a float's bits, then its row.
    number = distance.view(torch.int32).long() << 32 | student.ancestors[0]
    none = torch.iinfo(torch.int64).max
    number = number.masked_fill_(partner < 0, none)
    size = student.ends[:, -1:]
    voxel = student.ancestors + (size.cumsum(0) - size)  # in the result
    total = sum(student.count(level) for level in range(student.num_levels))
    least = number.new_full((total,), none).scatter_reduce_(0, voxel.flatten(), number.flatten(), "amin")
    member = (least & 0xFFFFFFFF).clamp_(max=len(partner) - 1)
    above = torch.repeat_interleave(level[:, 0] * teacher.count(0), size[:, 0], output_size=total)
    row = teacher.ancestors.flatten().index_select(0, partner.index_select(0, member).clamp_(min=0).add_(above))
    return row.masked_fill_(least == none, -1)


def match_same_view(student: VoxelPyramid, teacher: VoxelPyramid) -> torch.Tensor:
    """The same where the target is the very same voxel: the ablation that takes it from the student's own view."""
    return torch.cat([torch.searchsorted(*keys) for keys in zip(teacher.keys, student.keys, strict=True)])


class Pairs(NamedTuple):
    """What a loss compares: student and teacher rows (M,) in their level, level after level and view after view.

    part (M,): level * B + view; counts: L B integers, how many each view of each level has; share (L,): of the
    supervised voxels, those that have a place in the target view.
    """

    student: torch.Tensor
    teacher: torch.Tensor
    part: torch.Tensor
    counts: list
    share: torch.Tensor


def pair_up(student: VoxelPyramid, rows: torch.Tensor, supervised: torch.Tensor) -> Pairs:
    """rows (sum of V_l,): teacher row of each student voxel, level after level, -1 = none; supervised: such bools."""
    chosen = supervised & (rows >= 0)
    size = student.ends[:, -1:]
    start = size.cumsum(0) - size
    ends = (student.ends + start).flatten()  # of each view of each level
    so_far = torch.stack([F.pad(mask.cumsum(0), (1, 0))[ends] for mask in (chosen, supervised)])
    counts = torch.diff(so_far, dim=1, prepend=so_far.new_zeros(2, 1)).view(2, *student.ends.shape)
    found, wanted = counts.sum(-1)
    place = positions(chosen)
    part = torch.searchsorted(ends, place, right=True)
    own = place - start[:, 0].index_select(0, part // student.num_scenes)
    share = found / wanted.clamp(min=1)
    return Pairs(own, rows.index_select(0, place), part, counts[0].flatten().tolist(), share)


def normalise_target(feat: torch.Tensor, rows: torch.Tensor, norm: str) -> torch.Tensor:
    """Rows `rows` (M,) of feat (V, C), normalised: (M, C) float32.

    batch: per channel over all voxels of all processes; layer: per voxel; both: batch, then layer; none. Layer norm
    alone let the coarsest level collapse.
    """
    chosen = feat.index_select(0, rows).float()
    if norm in ("batch", "both"):
        mean, variance = moments(feat)
        chosen = (chosen - mean) * (variance + EPS).rsqrt()
    if norm in ("layer", "both"):
        chosen = F.layer_norm(chosen, chosen.shape[1:])
    return chosen


def moments(feat: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance (C,) float32 of feat (V, C) over the voxels of all processes; in two passes, since the square
    of a mean far from 0 would take float32's digits."""
    share = len(feat) / comm.reduce_sum_(feat.new_tensor(len(feat), dtype=torch.float32))
    mean = comm.reduce_sum_(feat.mean(0, dtype=torch.float32) * share)
    return mean, comm.reduce_sum_((feat - mean).square_().mean(0) * share)
