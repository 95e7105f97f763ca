"""Which voxels of a scene are hidden from the student: grid-aligned cubes drawn at random (paper section 3, Fig. 8).

Bottom-up: the mask is drawn on the finest voxels, and a coarser voxel is masked when none of its children is visible.
"""

import torch

from pointcept_msm.runtime.errors import UserError


def draw_patch_mask(coord: torch.Tensor, patch: int, ratio: float, generator=None) -> torch.Tensor:
    """Hide `ratio` of each scene's occupied cubes of `patch` voxels.

    coord (V, 4) batch, x, y, z -> masked (V,) bool. Rounded to whole cubes; with 0 < ratio < 1 and at least two cubes,
    a scene keeps one visible and one masked. Drawn on the CPU, so that a seed gives the same mask on every device.
    """
    if not 0 <= ratio < 1:
        raise ValueError(f"mask_ratio is {ratio}; allowed is 0 <= ratio < 1 (the paper uses 0.4).")
    cube, cube_scene, num_cubes = _occupied_cubes(coord, patch)
    hidden = (num_cubes * ratio).round().long()
    if ratio > 0:
        hidden = torch.where(num_cubes > 1, hidden.clamp(min=1).minimum(num_cubes - 1), 0)
    draw = torch.rand(len(cube_scene), generator=generator, dtype=torch.float64).to(coord.device)
    order = (cube_scene + draw).argsort()  # cubes of a scene stay together, shuffled
    first = num_cubes.cumsum(0) - num_cubes
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=coord.device) - first[cube_scene[order]]
    return (rank < hidden[cube_scene])[cube]


def _occupied_cubes(coord, patch):
    """(cube of each voxel (V,), scene of each cube (K,), cubes of each scene (B,))."""
    cubes = torch.cat([coord[:, :1], coord[:, 1:] // patch], 1)
    size = cubes.amax(0) + 1
    key = ((cubes[:, 0] * size[1] + cubes[:, 1]) * size[2] + cubes[:, 2]) * size[3] + cubes[:, 3]
    unique, cube = torch.unique(key, return_inverse=True)
    scene = unique // (size[1] * size[2] * size[3])
    return cube, scene, torch.bincount(scene, minlength=int(size[0]))


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
