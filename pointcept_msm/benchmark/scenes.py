"""Scenes of a given number of voxels and constant density: copies of a procedural room, side by side."""

from functools import cache

import numpy as np
import torch

from pointcept_msm.datasets.voxelise import voxelise
from pointcept_msm.models.layers.pyramid import VoxelPyramid, build_pyramid
from pointcept_msm.rooms.generate import generate_room

VOXEL_SIZE = 0.02  # metres, the paper's
ROOM_POINTS = 400_000


@cache
def _build_room():
    scene = generate_room(0, "train", 0, ROOM_POINTS)
    voxels = voxelise(scene["coord"], VOXEL_SIZE, random=False)
    inputs = {key: scene[key][voxels.point].astype(np.float32) for key in ("color", "normal")}
    return voxels.grid_coord, inputs


def build_scene(num_voxels: int) -> dict:
    """One point a voxel: grid_coord (V, 3) int64; coord (V, 3) metres, at the voxels' centres; color, normal (V, 3)."""
    grid, inputs = _build_room()
    copies = -(-num_voxels // len(grid))
    side = int(np.ceil(copies**0.5))
    size = grid.max(0) + 1
    place = np.array([[i // side * size[0], i % side * size[1], 0] for i in range(copies)])
    grid = (place[:, None] + grid).reshape(-1, 3)[:num_voxels]
    scene = {key: np.tile(value, (copies, 1))[:num_voxels] for key, value in inputs.items()}
    return dict(scene, grid_coord=grid, coord=((grid + 0.5) * VOXEL_SIZE).astype(np.float32), name="benchmark")


def build_levels(scene: dict, num_levels: int, device) -> VoxelPyramid:
    """The scene's pyramid on `device`."""
    grid = torch.from_numpy(scene["grid_coord"]).to(device)
    return build_pyramid(grid, torch.tensor([len(grid)], device=device), num_levels)[0]
