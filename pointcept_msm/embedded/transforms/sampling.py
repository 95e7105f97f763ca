"""Transforms that choose points: voxel grid, sphere crop, dropout, shuffle.

Legend: N points, V occupied voxels.
"""

import random
from typing import NamedTuple

import numpy as np

from pointcept_msm.embedded.registry import TRANSFORMS
from pointcept_msm.embedded.transforms.indexing import add_point_key, copy_points, keep_labelled, select_points

FNV_OFFSET, FNV_PRIME = np.uint64(14695981039346656037), np.uint64(1099511628211)


class VoxelGroups(NamedTuple):
    """Points sorted by voxel: `order` (N,) point indices, `start` and `count` (V,), `inverse` (N,) point -> voxel."""

    order: np.ndarray
    start: np.ndarray
    count: np.ndarray
    inverse: np.ndarray


def group_by_voxel(grid_coord, key) -> VoxelGroups:
    """Group points by the voxel grid_coord (N, 3) int; voxels are numbered in the order of `key` (N,) uint64.

    The key only sorts. Points that share a key and not a voxel (a hash collision) are told apart by sorting again on
    the coordinates themselves, so no two voxels are ever merged.
    """
    order = np.argsort(key)
    same_key = key[order][1:] == key[order][:-1]
    same_voxel = (grid_coord[order][1:] == grid_coord[order][:-1]).all(axis=1)
    if np.any(same_key & ~same_voxel):
        order = np.lexsort((*grid_coord.T[::-1], key))
        same_voxel = (grid_coord[order][1:] == grid_coord[order][:-1]).all(axis=1)
    first = np.concatenate([[True], ~same_voxel])
    start = np.flatnonzero(first)
    inverse = np.empty(len(order), dtype=np.int64)
    inverse[order] = np.cumsum(first) - 1
    return VoxelGroups(order, start, np.diff(start, append=len(order)), inverse)


def fnv_key(grid_coord):
    """64-bit FNV-1a of voxel coordinates (N, 3): the order in which Pointcept numbers voxels. -> (N,)"""
    key = np.full(len(grid_coord), FNV_OFFSET, dtype=np.uint64)
    for axis in grid_coord.astype(np.uint64).T:
        key = (key * FNV_PRIME) ^ axis
    return key


def ravel_key(grid_coord):
    """The index (N,) of each voxel in the dense grid, x slowest."""
    key = np.zeros(len(grid_coord), dtype=np.uint64)
    for axis, size in zip(grid_coord.T, grid_coord.max(0) + 1):
        key = key * np.uint64(size) + axis.astype(np.uint64)
    return key


@TRANSFORMS.register_module()
class GridSample:
    """One point a voxel of `grid_size` metres; adds grid_coord (V, 3), and `inverse` (N,) from point to voxel.

    Mode "train" draws the point of every voxel and returns the sample. Mode "test" returns a list of samples that
    together hold every point: sample i has the i-th point of every voxel (modulo their number), and `index`.
    """

    def __init__(
        self,
        grid_size=0.05,
        hash_type="fnv",
        mode="train",
        return_inverse=False,
        return_grid_coord=False,
        return_min_coord=False,
        return_displacement=False,
        project_displacement=False,
    ):
        if mode not in ("train", "test"):
            raise ValueError(f"GridSample's mode is {mode!r}, allowed are 'train' and 'test'")
        self.grid_size = grid_size
        self.key = fnv_key if hash_type == "fnv" else ravel_key
        self.mode = mode
        self.return_inverse = return_inverse
        self.return_grid_coord = return_grid_coord
        self.return_min_coord = return_min_coord
        self.return_displacement = return_displacement
        self.project_displacement = project_displacement

    def __call__(self, data_dict):
        scaled = data_dict["coord"] / np.array(self.grid_size)
        grid = np.floor(scaled).astype(int)  # (N, 3)
        low = grid.min(0)
        grid -= low
        scaled -= low
        groups = group_by_voxel(grid, self.key(grid))
        if self.mode == "train":
            pick = np.random.randint(0, groups.count.max(), len(groups.count)) % groups.count
            index = keep_labelled(data_dict, groups.order[groups.start + pick])
            extra = self._extra(data_dict, grid, scaled, low)
            return self._finish(select_points(data_dict, index), index, groups, extra)
        extra = self._extra(data_dict, grid, scaled, low)
        return [self._fragment(data_dict, i, groups, extra) for i in range(groups.count.max())]

    def _fragment(self, data_dict, i, groups, extra):
        index = groups.order[groups.start + i % groups.count]
        part = copy_points(data_dict, index)
        part["index"] = index
        return self._finish(part, index, groups, extra)

    def _extra(self, data_dict, grid, scaled, low) -> dict:
        """The whole scene's grid_coord (N, 3), displacement (N, 3) or (N, 1) from the voxel's centre, and min_coord."""
        extra = {}
        if self.return_grid_coord:
            extra["grid_coord"] = grid
        if self.return_displacement:
            displacement = scaled - grid - 0.5  # in voxels, -0.5 to 0.5
            if self.project_displacement:
                displacement = np.sum(displacement * data_dict["normal"], axis=-1, keepdims=True)
            extra["displacement"] = displacement
        if self.return_min_coord:
            extra["min_coord"] = (low * np.array(self.grid_size)).reshape(1, 3)
        return extra

    def _finish(self, part, index, groups, extra):
        if self.return_inverse:
            part["inverse"] = groups.inverse.copy()
        for key, value in extra.items():
            if key == "min_coord":
                part[key] = value.copy()
            else:
                add_point_key(part, key, value[index])
        return part


@TRANSFORMS.register_module()
class SphereCrop:
    """The `point_max` points (or the share `sample_rate`) nearest to a centre: a random point, or the middle one."""

    def __init__(self, point_max=80000, sample_rate=None, mode="random"):
        if mode not in ("random", "center"):
            raise ValueError(f"SphereCrop's mode is {mode!r}, allowed are 'random' and 'center'")
        self.point_max = point_max
        self.sample_rate = sample_rate
        self.mode = mode

    def __call__(self, data_dict):
        coord = data_dict["coord"]
        point_max = self.point_max if self.sample_rate is None else int(self.sample_rate * len(coord))
        if len(coord) <= point_max:
            return data_dict
        center = coord[np.random.randint(len(coord)) if self.mode == "random" else len(coord) // 2]
        return select_points(data_dict, np.argsort(np.sum(np.square(coord - center), 1))[:point_max])


@TRANSFORMS.register_module()
class RandomDropout:
    """With probability `dropout_application_ratio`, drop a share `dropout_ratio` of the points."""

    def __init__(self, dropout_ratio=0.2, dropout_application_ratio=0.5):
        self.dropout_ratio = dropout_ratio
        self.dropout_application_ratio = dropout_application_ratio

    def __call__(self, data_dict):
        if random.random() < self.dropout_application_ratio:
            n = len(data_dict["coord"])
            index = np.random.choice(n, int(n * (1 - self.dropout_ratio)), replace=False)
            data_dict = select_points(data_dict, keep_labelled(data_dict, index))
        return data_dict


@TRANSFORMS.register_module()
class ShufflePoint:
    """Put the points in random order."""

    def __call__(self, data_dict):
        index = np.arange(len(data_dict["coord"]))
        np.random.shuffle(index)
        return select_points(data_dict, index)
