"""What a hierarchical network gives back: one set of voxel features a level."""

from typing import NamedTuple

import torch


class Level(NamedTuple):
    """Voxels of one level. coord (V_l, 4) int32: batch, x, y, z on the level's own grid (fine index >> level);
    feat (V_l, C_l) float; stride: the level's voxel edge in finest voxels (2 ** level)."""

    coord: torch.Tensor
    feat: torch.Tensor
    stride: int
