"""Which teacher voxel is the target of a student voxel: exact, linear in the number of voxels, no radius search.

Every finest voxel of a view stands for one point of the scene, and the loader has looked up the voxel of the other view
that holds this same point (datasets/views.py). A coarser voxel is represented by the member point nearest its centre.
"""

import torch

from .layers.pyramid import VoxelPyramid


def partner_rows(match: torch.Tensor, offset: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """Rows of the other view's voxels in the sorted pyramid of all views.

    match (V,): index within the partner view, -1 = none, in input order; views b and b ^ 1 are partners; offset (2B,);
    order (V,) the pyramid's sorting order. Returns (V,) in sorted order, -1 = none.
    """
    ends = offset.long()
    start = ends - torch.diff(ends, prepend=ends.new_zeros(1))
    view = torch.searchsorted(ends, torch.arange(len(match), device=match.device), right=True)
    inverse = torch.empty_like(order)
    inverse[order] = torch.arange(len(order), device=order.device)
    target = torch.where(match < 0, 0, match + start[view ^ 1])
    return torch.where(match < 0, -1, inverse[target])[order]


def match_level(student: VoxelPyramid, teacher: VoxelPyramid, level: int, position, partner) -> torch.Tensor:
    """Teacher row (V_l,) in `level` of every student voxel there, -1 = none of its points is in the other view.

    position (V_0, 3): the finest student voxel's point in voxel units of its own grid; partner (V_0,): the finest
    teacher row that holds the same point, -1 = none.
    """
    ancestor = student.ancestors(level)
    centre = (student.coords[level][ancestor, 1:] + 0.5) * 2**level
    distance = (position - centre).square().sum(1)
    distance = torch.where(partner < 0, torch.inf, distance)
    nearest = distance.new_full((student.count(level),), torch.inf).scatter_reduce(0, ancestor, distance, "amin")
    chosen = ((distance == nearest[ancestor]) & (partner >= 0)).nonzero().flatten()
    none = len(partner)
    member = torch.full_like(student.keys[level], none).scatter_reduce(0, ancestor[chosen], chosen, "amin")
    found = member < none
    row = teacher.ancestors(level)[partner[torch.where(found, member, 0)].clamp(min=0)]
    return torch.where(found, row, -1)


def match_same_view(student: VoxelPyramid, teacher: VoxelPyramid, level: int) -> torch.Tensor:
    """Teacher row (V_l,) of the very same voxel: the ablation in which the target comes from the student's own view."""
    return torch.searchsorted(teacher.keys[level], student.keys[level])
