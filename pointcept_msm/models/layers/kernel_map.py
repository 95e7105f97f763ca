"""Which input voxel meets which output voxel at each tap of a sparse convolution, cut into blocks of output rows.

A block lists its pairs tap by tap (what is multiplied by one weight matrix lies together) and, for the sum, row by row.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch

from .neighbours import child_table

# Output rows of a block on a CPU. Small enough for what a tap gathers to stay in a core's cache (from memory, matrix
# products run at a third of their speed), large enough for efficient products.
BLOCK_ROWS = 4096


class Block(NamedTuple):
    """Pairs of output rows start ... end - 1, tap by tap.

    sizes: pairs of each tap; source (P,) int32: input rows, by tap; sources: the same cut into taps; by_row (P,) int32
    and ends (end - start + 1,) int32: the pairs of output row r are by_row[ends[r] : ends[r + 1]].
    """

    start: int
    end: int
    sizes: list
    source: torch.Tensor
    sources: tuple
    by_row: torch.Tensor
    ends: torch.Tensor

    @property
    def target(self) -> torch.Tensor:
        """Output row less start (P,) int32 of every pair, by tap."""
        row = torch.arange(self.end - self.start, dtype=torch.int32).repeat_interleave(self.ends.diff())
        return torch.empty_like(row).index_copy_(0, self.by_row.long(), row)


class KernelMap:
    """Pairs (input row, output row) of every tap; `blocks` are made on first use."""

    def __init__(self, pairs, reverse: bool = False):
        # A map and its transposed one share `pairs` and do not know each other: a cycle would keep a step's tables in
        # memory until Python's collector comes by.
        self._pairs, self._reverse = pairs, reverse

    @property
    def num_in(self) -> int:
        """Number of input rows."""
        return self._pairs.num_rows[self._reverse]

    @property
    def num_out(self) -> int:
        """Number of output rows."""
        return self._pairs.num_rows[not self._reverse]

    @property
    def flipped(self) -> bool:
        """Whether what is stored for tap t is multiplied by the weight of the opposite tap, T - 1 - t."""
        return self._pairs.symmetric and self._reverse

    @property
    def stored_table(self) -> torch.Tensor:
        """Input row (V_out, T) int32 that each output row meets at each tap, V_in where it meets none: taps of the
        weight, or the opposite ones where `flipped`, so that nothing is copied where offsets are symmetric."""
        return self._pairs.make_table[self._reverse]()

    @property
    def blocks(self) -> list:
        """[Block, ...] in order of output rows, stored taps; on a CPU."""
        return self.keep(_cut_blocks)

    @property
    def transposed(self) -> "KernelMap":
        """The map with inputs and outputs exchanged: gradient to the input, or inverse convolution."""
        return KernelMap(self._pairs, not self._reverse)

    def keep(self, make):
        """What make(self) gives, made once and kept as long as the pairs are: a back end's own form of the map."""
        key = (make, self._reverse and not self._pairs.symmetric)
        if key not in self._pairs.kept:
            self._pairs.kept[key] = make(self)
        return self._pairs.kept[key]


class _Pairs:
    """num_rows: inputs and outputs; make_table: functions that give the table from outputs and from inputs.

    symmetric: offsets are, so the pairs of tap t, ends exchanged, are those of the opposite tap, and one table serves.
    """

    def __init__(self, num_rows, make_table, symmetric):
        self.num_rows, self.make_table, self.symmetric, self.kept = num_rows, make_table, symmetric, {}


def build_submanifold_map(table: torch.Tensor) -> KernelMap:
    """Map of a 3x3x3 submanifold convolution from its neighbour table (V, 27) int32, V for none; taps as in spconv and
    in the released weights."""
    return KernelMap(_Pairs((len(table), len(table)), (lambda: table, lambda: table), True))


def build_strided_map(key: torch.Tensor, parent: torch.Tensor, num_parents: int) -> KernelMap:
    """Map of a 2x2x2 convolution of stride 2: tap 4 i + 2 j + k meets child 2 P + (i, j, k), the key's last bits."""

    def parents():
        table = torch.full((len(key), 8), num_parents, dtype=torch.int32, device=key.device)
        return table.scatter_(1, (key & 7)[:, None], parent.int()[:, None])

    return KernelMap(_Pairs((len(key), num_parents), (lambda: child_table(key, parent, num_parents), parents), False))


def _cut_blocks(kernel_map):
    table, num_in = kernel_map.stored_table, kernel_map.num_in
    edges = [*range(0, len(table), BLOCK_ROWS), len(table)]
    return [_build_block(table[start:end], start, end, num_in) for start, end in pairwise(edges)]


def _build_block(table, start, end, num_in):
    by_tap = table.t().contiguous()  # (T, rows)
    met = by_tap < num_in
    source = by_tap.flatten().index_select(0, positions(met))
    rank = met.flatten().cumsum(0, dtype=torch.int32).view_as(met) - 1  # place of each pair in `source`
    met_by_row = met.t().contiguous()
    by_row = rank.t().contiguous().flatten().index_select(0, positions(met_by_row))
    ends = torch.zeros(end - start + 1, dtype=torch.int32)
    torch.cumsum(met_by_row.sum(1, dtype=torch.int32), 0, dtype=torch.int32, out=ends[1:])
    sizes = met.sum(1).tolist()
    return Block(start, end, sizes, source, source.split(sizes), by_row, ends)


def positions(mask: torch.Tensor) -> torch.Tensor:
    """Where a mask is true, in its flat form. On a CPU numpy finds it ten times faster."""
    if mask.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero(mask.numpy()))
    return mask.flatten().nonzero().flatten()
