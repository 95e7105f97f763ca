"""The index structure of a sparse voxel set over all levels: coordinates, parents, kernel maps and curve orders.

Built once per pass and shared by encoder and decoder. Voxels are sorted by (batch, Morton code) at every level, so a
parent's children are neighbours in memory, a level's keys are the finer level's keys without their last three bits, and
nothing that is computed depends on the order in which the caller gave the voxels.
"""

import torch

from .kernel_map import KernelMap, build_strided_map, build_submanifold_map
from .neighbours import Neighbours, group_by_parent
from .serialization import DEPTH, encode_curve, encode_z


class VoxelPyramid:
    """keys[l] (V_l,) int64 ascending; coords[l] (V_l, 4) int64 batch, x, y, z; parents[l] (V_l,) row in level l + 1."""

    def __init__(self, key: torch.Tensor, coord: torch.Tensor, num_levels: int, num_scenes: int):
        """key (V,) ascending without repeats, coord (V, 4) in that order; see `build_pyramid` for unsorted input."""
        self.num_levels, self.num_scenes = num_levels, num_scenes
        self.keys, self.coords, self.parents = [key], [coord], []
        for _ in range(num_levels - 1):
            self._add_level()
        self._found: dict = {}
        self._submanifold: dict = {}
        self._strided: dict = {}
        self._orders: dict = {}
        self._masks: dict = {}

    def _add_level(self):
        key, parent, first = group_by_parent(self.keys[-1])
        coarse = self.coords[-1].index_select(0, first)
        coarse[:, 1:] >>= 1
        self.keys.append(key)
        self.coords.append(coarse)
        self.parents.append(parent)

    def count(self, level: int) -> int:
        """Number of voxels of a level."""
        return len(self.keys[level])

    def batch(self, level: int) -> torch.Tensor:
        """Scene index (V_l,) of each voxel."""
        return self.coords[level][:, 0]

    def submanifold_map(self, level: int) -> KernelMap:
        """3x3x3 map of a level."""
        if level not in self._submanifold:
            self._submanifold[level] = build_submanifold_map(self._neighbours(level))
            self._drop_used_neighbours()
        return self._submanifold[level]

    def _neighbours(self, level):
        """Neighbours of a level, from those of the coarser level where the pyramid has one."""
        if level not in self._found:
            above = (self.parents[level], self._neighbours(level + 1)) if level + 1 < self.num_levels else ()
            self._found[level] = Neighbours(self.keys[level], self.coords[level], level, *above)
        return self._found[level]

    def _drop_used_neighbours(self):
        """A level's neighbours serve its own map and the finer level's, and are large."""
        for level in [x for x in self._found if x in self._submanifold and (x == 0 or x - 1 in self._submanifold)]:
            del self._found[level]

    def strided_map(self, level: int) -> KernelMap:
        """2x2x2 map from `level` to `level` + 1; its `transposed` is the inverse convolution's."""
        if level not in self._strided:
            self._strided[level] = build_strided_map(self.keys[level], self.parents[level], self.count(level + 1))
        return self._strided[level]

    def curve_order(self, level: int, curve: str) -> tuple[torch.Tensor, torch.Tensor]:
        """(order, inverse), each (V_l,): rows sorted by (scene, curve code), and where each row went."""
        if (level, curve) not in self._orders:
            coord = self.coords[level]
            order = (coord[:, 0] << 3 * DEPTH | encode_curve(coord[:, 1:], curve)).argsort()
            inverse = torch.empty_like(order)
            inverse[order] = torch.arange(len(order), device=order.device)
            self._orders[level, curve] = order, inverse
        return self._orders[level, curve]

    def band_mask(self, level: int, half_window: int, build):
        """The attention mask of a level, made by `build(batch, half_window)` on first use (scenes stay contiguous
        along every curve, so one mask serves all of them)."""
        if (level, half_window) not in self._masks:
            self._masks[level, half_window] = build(self.batch(level), half_window)
        return self._masks[level, half_window]

    def ancestors(self, level: int) -> torch.Tensor:
        """Row (V_0,) in `level` of every finest voxel."""
        row = torch.arange(self.count(0), device=self.keys[0].device)
        for parent in self.parents[:level]:
            row = parent[row]
        return row

    def subset(self, keep: torch.Tensor) -> tuple["VoxelPyramid", list]:
        """The pyramid of the finest voxels in `keep` (V_0,) bool, and per level the rows they have here.

        All kept: the pyramid itself with rows None, so that a mask ratio of 0 is the plain pass to the bit.
        """
        if bool(keep.all()):
            return self, [None] * self.num_levels
        sub = VoxelPyramid(self.keys[0][keep], self.coords[0][keep], self.num_levels, self.num_scenes)
        rows = [keep.nonzero().flatten()]
        for parent in self.parents:
            rows.append(torch.unique_consecutive(parent.index_select(0, rows[-1])))
        return sub, rows


def build_pyramid(grid_coord: torch.Tensor, offset: torch.Tensor, num_levels: int) -> tuple[VoxelPyramid, torch.Tensor]:
    """Pyramid of grid_coord (V, 3) integers in [0, 2**16), scenes ending at offset (B,), and the sorting order (V,).

    Raises ValueError for an empty input, a coordinate out of range, offsets that do not fit, or a voxel given twice.
    """
    grid_coord = grid_coord.long()
    _check_grid(grid_coord, offset)
    count = torch.diff(offset.long(), prepend=offset.new_zeros(1).long())
    batch = torch.repeat_interleave(torch.arange(len(offset), device=offset.device), count)
    key = batch << 3 * DEPTH | encode_z(grid_coord)
    key, order = key.sort()
    if bool((key[1:] == key[:-1]).any()):
        raise ValueError("A voxel occurs more than once in a scene; voxelise first so that grid_coord has no repeats.")
    coord = torch.cat([batch[:, None], grid_coord], 1).index_select(0, order)
    return VoxelPyramid(key, coord, num_levels, len(offset)), order


def _check_grid(grid_coord, offset):
    if grid_coord.ndim != 2 or grid_coord.shape[1] != 3 or len(grid_coord) == 0:
        raise ValueError(f"grid_coord has shape {tuple(grid_coord.shape)}; give (V, 3) with at least one voxel.")
    if int(offset[-1]) != len(grid_coord) or bool((torch.diff(offset) < 0).any()):
        raise ValueError(
            f"offset {offset.tolist()} does not fit {len(grid_coord)} voxels; give cumulative scene ends, the last "
            "equal to the number of voxels."
        )
    low, high = int(grid_coord.min()), int(grid_coord.max())
    if low < 0 or high >= 1 << DEPTH:
        raise ValueError(
            f"grid_coord spans {low} to {high}; allowed is 0 to {(1 << DEPTH) - 1}. Shift the scene to start at 0, "
            "use larger voxels, or cut it into pieces."
        )
