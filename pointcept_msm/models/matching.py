"""Which teacher voxel is the target of a student voxel: exact, linear in the number of voxels, no radius search.

Every finest voxel of a view stands for one point of the scene, and the loader has looked up the voxel of the other view
that holds this same point (datasets/views.py). A coarser voxel is represented by the member point nearest its centre.
"""

from itertools import accumulate
from typing import NamedTuple

import torch
import torch.nn.functional as F

from .layers.pyramid import VoxelPyramid, positions


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


def match_levels(student: VoxelPyramid, teacher: VoxelPyramid, position, partner) -> list:
    """Per level the teacher row (V_l,) of every student voxel, -1 = none of its points is in the other view.

    position (V_0, 3): the finest student voxel's point in voxel units of its own grid; partner (V_0,): the finest
    teacher row that holds the same point, -1 = none.
    """
    ancestors = student.ancestors  # (L, V_0)
    level = torch.arange(student.num_levels, device=partner.device)[:, None, None]
    centre = ((student.coord(0)[:, 1:] >> level) + 0.5) * (1 << level)  # (L, V_0, 3)
    distance = (position.float() - centre).square().sum(-1)
    # The least of these numbers in a voxel is the nearest member's, the first of equals: a float's bits, then its row.
    number = distance.view(torch.int32).long() << 32 | ancestors[0]
    none = torch.iinfo(torch.int64).max
    number = number.masked_fill_(partner < 0, none)
    rows = []
    for level in range(student.num_levels):
        least = number.new_full((student.count(level),), none).scatter_reduce_(
            0, ancestors[level], number[level], "amin"
        )
        member = (least & 0xFFFFFFFF).clamp_(max=len(partner) - 1)
        row = teacher.ancestors[level].index_select(0, partner.index_select(0, member).clamp_(min=0))
        rows.append(row.masked_fill_(least == none, -1))
    return rows


def match_same_view(student: VoxelPyramid, teacher: VoxelPyramid, level: int) -> torch.Tensor:
    """Teacher row (V_l,) of the very same voxel: the ablation in which the target comes from the student's own view."""
    return torch.searchsorted(teacher.keys[level], student.keys[level])


class Pairs(NamedTuple):
    """Student and teacher rows (M,) of one level that a loss compares, sorted by view; view (M,); counts: how many each
    view has, B integers; share: of the supervised voxels, those that have a place in the target view."""

    student: torch.Tensor
    teacher: torch.Tensor
    view: torch.Tensor
    counts: list
    share: torch.Tensor


def pair_up(student: VoxelPyramid, rows: list, supervised: list) -> list:
    """[Pairs] of the levels. rows[l] (V_l,): teacher row of each student voxel, -1 = none; supervised[l] (V_l,)."""
    chosen = torch.cat([mask & (row >= 0) for mask, row in zip(supervised, rows, strict=True)])
    size = student.ends[:, -1:]
    ends = (student.ends + size.cumsum(0) - size).flatten()  # of each view of each level in `chosen`
    so_far = F.pad(chosen.cumsum(0), (1, 0))[ends]
    counts = torch.diff(so_far, prepend=so_far.new_zeros(1)).view_as(student.ends).tolist()
    starts = accumulate((student.count(level) for level in range(student.num_levels)), initial=0)
    places = positions(chosen).split([sum(views) for views in counts])
    pairs = []
    for level, (start, place) in enumerate(zip(starts, places)):
        own = place - start
        share = len(own) / supervised[level].sum().clamp(min=1)
        view = student.batch(level).index_select(0, own)
        pairs.append(Pairs(own, rows[level].index_select(0, own), view, counts[level], share))
    return pairs
