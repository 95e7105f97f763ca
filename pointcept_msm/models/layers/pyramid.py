"""The index structure of a sparse voxel set over all levels: coordinates, parents, kernel maps and curve orders.

Built once per pass and shared by encoder and decoder. Voxels are sorted by (batch, Morton code) at every level, so a
parent's children are neighbours in memory, a level's keys are the finer level's keys without their last three bits, and
nothing that is computed depends on the order in which the caller gave the voxels. A part of the voxels (a crop, the
visible ones) takes what it can from the whole. On a GPU the host waits once for the sizes of all levels, not for each.

Legend: V_l voxels of level l, B scenes.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F

from pointcept_msm.runtime.errors import UserError

from .kernel_map import KernelMap, build_strided_map, build_submanifold_map, positions
from .neighbours import refine_neighbours, restrict_neighbours, search_neighbours
from .serialization import CURVES, DEPTH, encode_curves, encode_z


class VoxelPyramid:
    """keys[l] (V_l,) int64 ascending: scene and Morton code; parents[l] (V_l,): row in level l + 1; ancestors (L, V_0):
    row in each level of every finest voxel; ends (L, B): rows of a level up to the end of each scene, in scene_ends as
    numbers of the host."""

    def __init__(self, key: torch.Tensor, num_levels: int, num_scenes: int, coord=None, whole=None, kept=None):
        """key (V,) ascending without repeats; coord (V, 4) batch, x, y, z in that order, or the pyramid that these
        voxels are a part of and their rows (V,) in it. See `build_pyramid` for unsorted input, `subset` for a part."""
        self.num_levels, self.num_scenes = num_levels, num_scenes
        self._coord, self._whole, self._known = coord, whole, {}
        bound = 1 << 3 * torch.arange(num_levels, device=key.device)
        starts = F.pad(key[1:] ^ key[:-1], (1, 0), value=1 << 62) >= bound[:, None]  # where a voxel of the level starts
        so_far = starts.flatten().cumsum(0).view_as(starts)  # all levels as one row: GPUs are slow at a few long ones
        self.ancestors = so_far - so_far[:, :1]  # (L, V): row in each level of every finest voxel
        scene_end = torch.arange(1, num_scenes + 1, device=key.device) << 3 * DEPTH
        end = torch.searchsorted(key, scene_end)
        self.ends = (self.ancestors[:, end - 1] + 1).masked_fill(end == 0, 0)  # (L, B)
        self.scene_ends = self.ends.tolist()
        self.keys, self.parents = [key], []
        self._members = [self.ancestors[0]]  # a finest voxel of each voxel
        for level in range(1, num_levels):
            self.parents.append(self.ancestors[level].index_select(0, self._members[-1]))
            member = key.new_empty(self.count(level)).scatter_(0, self.ancestors[level], self.ancestors[0])
            self._members.append(member)
            self.keys.append(key.index_select(0, member) >> 3 * level)
        self._rows = whole and [
            above.index_select(0, kept.index_select(0, member))
            for above, member in zip(whole.ancestors, self._members, strict=True)
        ]

    def count(self, level: int) -> int:
        """Number of voxels of a level."""
        return self.scene_ends[level][-1]

    def batch(self, level: int) -> torch.Tensor:
        """Scene index (V_l,) of each voxel."""
        return self.keep(("batch", level), lambda: self.keys[level] >> 3 * (DEPTH - level))

    def scene_starts(self, level: int) -> tuple[torch.Tensor, int]:
        """First row of each scene of a level, and V_l (B + 1,) int32; the largest scene's number of voxels."""
        longest = max(end - start for start, end in pairwise([0, *self.scene_ends[level]]))
        return self.keep(("starts", level), lambda: F.pad(self.ends[level], (1, 0)).int()), longest

    def coord(self, level: int) -> torch.Tensor:
        """(V_l, 4) int64: batch, x, y, z on the level's grid."""
        if self._coord is None:
            self._coord = self._whole.coord(0).index_select(0, self._rows[0])
        return self.keep(("coord", level), lambda: self._coarsen_coord(level)) if level else self._coord

    def _coarsen_coord(self, level):
        coord = self._coord.index_select(0, self._members[level])
        coord[:, 1:] >>= level
        return coord

    def neighbours(self, level: int) -> torch.Tensor:
        """Rows (V_l, 27) int32 of each voxel's neighbours, V_l where there is none; taps as in neighbours.py."""
        return self.keep(("neighbours", level), lambda: self._find_neighbours(level))

    def _find_neighbours(self, level):
        if self._whole is not None:
            count, rows = self.count(level), self._rows[level]
            new = torch.full((self._whole.count(level) + 1,), count, dtype=torch.int32, device=rows.device)
            new.scatter_(0, rows, torch.arange(count, dtype=torch.int32, device=rows.device))
            return restrict_neighbours(self._whole.neighbours(level), rows, new)
        if level == self.num_levels - 1:
            return search_neighbours(self.keys[level], self.coord(level), level)
        return refine_neighbours(self.neighbours(level + 1), self.keys[level], self.parents[level])

    def submanifold_map(self, level: int) -> KernelMap:
        """3x3x3 map of a level."""
        return self.keep(("submanifold", level), lambda: build_submanifold_map(self.neighbours(level)))

    def strided_map(self, level: int) -> KernelMap:
        """2x2x2 map from `level` to `level` + 1; its `transposed` is the inverse convolution's."""
        make = lambda: build_strided_map(self.keys[level], self.parents[level], self.count(level + 1))  # noqa: E731
        return self.keep(("strided", level), make)

    def curve_order(self, level: int, curve: str):
        """(order, inverse), each (V_l,): rows sorted by (scene, curve code), and where each row went; None for the
        curve along which the rows are sorted already."""
        if curve == CURVES[0]:
            return None
        orders, inverses = self.keep(("orders", level), lambda: self._sort_curves(level))
        return orders[CURVES.index(curve) - 1], inverses[CURVES.index(curve) - 1]

    def _sort_curves(self, level):
        orders = self._curve_codes(level).argsort(1)
        place = torch.arange(orders.shape[1], device=orders.device).expand_as(orders)
        return orders, torch.empty_like(orders).scatter_(1, orders, place)

    def _curve_codes(self, level):
        """Scene and code (3, V_l) along CURVES[1:]."""
        if self._whole is not None:
            return self._whole._curve_codes(level).index_select(1, self._rows[level])
        return self.keep(("codes", level), lambda: self._encode_curves(level))

    def _encode_curves(self, level):
        morton = self.keys[level] & (1 << 3 * (DEPTH - level)) - 1
        return encode_curves(morton) | self.batch(level) << 3 * DEPTH

    def subset(self, keep: torch.Tensor) -> tuple["VoxelPyramid", list]:
        """The pyramid of the finest voxels in `keep` (V_0,) bool, and per level the rows they have here.

        All kept: the pyramid itself with rows None, so that a mask ratio of 0 is the plain pass to the bit.
        """
        kept = positions(keep)
        if len(kept) == len(keep):
            return self, [None] * self.num_levels
        key = self.keys[0].index_select(0, kept)
        part = VoxelPyramid(key, self.num_levels, self.num_scenes, whole=self, kept=kept)
        return part, part._rows

    def keep(self, name, make):
        """What make() gives, made once and kept under `name` as long as the pyramid is."""
        if name not in self._known:
            self._known[name] = make()
        return self._known[name]


def build_pyramid(grid_coord: torch.Tensor, offset: torch.Tensor, num_levels: int) -> tuple[VoxelPyramid, torch.Tensor]:
    """Pyramid of grid_coord (V, 3) integers in [0, 2**16), scenes ending at offset (B,), and the sorting order (V,).

    UserError: an empty input, a coordinate out of range, offsets that do not fit, or a voxel given twice.
    """
    if grid_coord.ndim != 2 or grid_coord.shape[1] != 3 or len(grid_coord) == 0:
        raise UserError(f"grid_coord has shape {tuple(grid_coord.shape)}; give (V, 3) with at least one voxel.")
    grid_coord, offset = grid_coord.long(), offset.long()
    batch = torch.searchsorted(offset, torch.arange(len(grid_coord), device=offset.device), right=True)
    key = batch << 3 * DEPTH | encode_z(grid_coord.clamp(0, (1 << DEPTH) - 1))
    key, order = key.sort()
    _check(grid_coord, offset, key)
    coord = torch.cat([batch[:, None], grid_coord], 1).index_select(0, order)
    return VoxelPyramid(key, num_levels, len(offset), coord), order


def _check(grid_coord, offset, key):
    """All that may be wrong is looked at together: the host waits for the device once."""
    repeats, unordered = (key[1:] == key[:-1]).any(), (offset[1:] < offset[:-1]).any()
    facts = torch.stack([*grid_coord.aminmax(), offset[-1], repeats, unordered])
    low, high, end, repeats, unordered = facts.tolist()
    if end != len(grid_coord) or unordered:
        raise UserError(
            f"offset {offset.tolist()} does not fit {len(grid_coord)} voxels; give cumulative scene ends, the last "
            "equal to the number of voxels."
        )
    if low < 0 or high >= 1 << DEPTH:
        raise UserError(
            f"grid_coord spans {low} to {high}; allowed is 0 to {(1 << DEPTH) - 1}. Shift the scene to start at 0, "
            "use larger voxels, or cut it into pieces."
        )
    if repeats:
        raise UserError("A voxel occurs more than once in a scene; voxelise first so that grid_coord has no repeats.")
