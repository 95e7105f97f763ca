"""Points to voxels: which cell each point falls in, and one point to stand for each cell."""

from typing import NamedTuple

import numpy as np

from pointcept_msm.runtime.errors import UserError


class Voxels(NamedTuple):
    """grid_coord (V, 3) int64 from 0; point (V,) the point that stands for each voxel; voxel (N,) of each point;
    position (N, 3) float32: the points in voxel units of this grid."""

    grid_coord: np.ndarray
    point: np.ndarray
    voxel: np.ndarray
    position: np.ndarray


def voxelise(coord: np.ndarray, grid_size: float, random: bool) -> Voxels:
    """Voxelise coord (N, 3) metres on a grid aligned with multiples of grid_size.

    random: a uniformly drawn point stands for each voxel (training, as the released preprocessing); otherwise the one
    nearest the voxel's centre (inference: no dependence on a seed, nor on point order but for exact ties).
    UserError: the cells cannot be numbered in 64 bits without wrapping around.
    """
    span = [float(axis.max()) - float(axis.min()) for axis in coord.T]
    if not np.prod([length / grid_size + 2 for length in span]) < 2**62:
        raise UserError(
            f"the scene spans {max(span):.3g} m, too far to number its voxels of {grid_size} m; remove far points, or "
            "cut it"
        )
    scaled = coord.astype(np.float64) / grid_size
    cell = np.floor(scaled).astype(np.int64)
    origin = np.array([axis.min() for axis in cell.T])  # numpy is slow along axis 0 of (N, 3)
    cell -= origin
    position = (scaled - origin).astype(np.float32)
    size = [int(axis.max()) + 1 for axis in cell.T]
    key = (cell[:, 0] * size[1] + cell[:, 1]) * size[2] + cell[:, 2]
    if random:
        order = np.argsort(key, kind="stable")
    else:
        order = np.lexsort((np.square(position - cell - 0.5).sum(1), key))
    first = np.flatnonzero(np.diff(key[order], prepend=-1))
    count = np.diff(first, append=len(key))
    pick = first + (np.random.rand(len(first)) * count).astype(np.int64) if random else first
    voxel = np.empty(len(key), np.int64)
    voxel[order] = np.repeat(np.arange(len(first)), count)
    point = order[pick]
    return Voxels(cell[point], point, voxel, position)


def nearest_voxels(grid_coord: np.ndarray, count: int) -> np.ndarray:
    """Sphere crop: indices, ascending, of the `count` voxels nearest a voxel drawn at random; all of them if fewer."""
    if len(grid_coord) <= count:
        return np.arange(len(grid_coord))
    centre = grid_coord[np.random.randint(len(grid_coord))]
    distance = sum(np.square(axis - middle) for axis, middle in zip(grid_coord.T, centre, strict=True))
    return np.sort(np.argpartition(distance, count - 1)[:count])
