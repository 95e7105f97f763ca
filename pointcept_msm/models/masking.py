"""Which voxels of a scene are hidden from the student: grid-aligned cubes drawn at random (paper section 3, Fig. 8).

Bottom-up: the mask is drawn on the finest voxels, and a coarser voxel is masked when none of its children is visible.
"""

import torch

from pointcept_msm.runtime.errors import UserError


def draw_patch_mask(coord: torch.Tensor, num_scenes: int, patch: int, ratio: float, generator=None) -> torch.Tensor:
    """Hide `ratio` of each scene's occupied cubes of `patch` voxels.

    coord (V, 4) batch, x, y, z -> masked (V,) bool. Rounded to whole cubes; with 0 < ratio < 1 and at least two cubes,
    a scene keeps one visible and one masked. Drawn on the CPU, so that a seed gives the same mask on every device.
    """
    if not 0 <= ratio < 1:
        raise UserError(f"mask_ratio is {ratio}; allowed is 0 <= ratio < 1 (the paper uses 0.4).")
    axes = torch.cat([coord[:, :1], coord[:, 1:] // patch], 1).unbind(1)
    key = ((axes[0] << 16 | axes[1]) << 16 | axes[2]) << 16 | axes[3]
    cubes, cube = torch.unique(key, return_inverse=True)
    scene = cubes >> 48  # (K,) of each occupied cube
    end = torch.searchsorted(scene, torch.arange(num_scenes, device=coord.device), right=True)
    count = torch.diff(end, prepend=end.new_zeros(1))  # (B,)
    hidden = (count * ratio).round().long()
    if ratio > 0:
        hidden = torch.where(count > 1, hidden.clamp(min=1).minimum(count - 1), 0)
    draw = torch.rand(len(scene), generator=generator, dtype=torch.float64, pin_memory=coord.is_cuda)
    order = (scene + draw.to(coord.device, non_blocking=True)).argsort()  # cubes of a scene stay together, shuffled
    rank = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=coord.device))
    return (rank < (end - count + hidden)[scene])[cube]


def patch_in_voxels(patch: float, grid_size: torch.Tensor) -> int:
    """Edge of a masking cube of `patch` metres in voxels; grid_size (B,): the voxel of each scene of a batch, metres.

    UserError: the scenes' voxels differ, or the cube is below one voxel.
    """
    sizes = sorted(set(grid_size.tolist()))
    if len(sizes) > 1:
        shown = ", ".join(f"{size:g}" for size in sizes)
        raise UserError(f"the batch has voxels of {shown} m; give all scenes views of one grid_size.")
    voxels = round(patch / sizes[0])
    if voxels < 1:
        raise UserError(f"mask_patch is {patch} m, below one voxel of {sizes[0]:g} m; choose a multiple of the voxel.")
    return voxels
