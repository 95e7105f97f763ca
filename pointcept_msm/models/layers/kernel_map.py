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
        row = torch.arange(self.end - self.start, dtype=torch.int32, device=self.ends.device)
        row = row.repeat_interleave(self.ends.diff())
        return torch.empty_like(row).index_copy_(0, self.by_row.long(), row)


class KernelMap:
    """Pairs (input row, output row) of every tap; `blocks` are made on first use."""

    def __init__(self, pairs, reverse: bool = False):
        # A map and its transposed one share `pairs` and do not know each other: a cycle would keep a step's tables in
        # memory until Python's collector comes by.
        self._pairs, self._reverse = pairs, reverse

    @property
    def num_out(self) -> int:
        """Number of output rows."""
        return self._pairs.num_rows[not self._reverse]

    @property
    def num_pairs(self) -> int:
        """Pairs of all taps together."""
        return sum(len(block.source) for block in self.blocks)

    @property
    def flipped(self) -> bool:
        """Whether what is stored for tap t is multiplied by the weight of the opposite tap, T - 1 - t."""
        return self._pairs.symmetric and self._reverse

    @property
    def blocks(self) -> list:
        """[Block, ...] in order of output rows."""
        return self._pairs.blocks(self._reverse)

    @property
    def table(self) -> torch.Tensor:
        """Input row (V_out, T) int32 that each output row meets at each tap of the weight, V_in where it meets none."""
        return self.stored_table.flip(1) if self.flipped else self.stored_table

    @property
    def stored_table(self) -> torch.Tensor:
        """The table as it is kept, no copy: tap t is that of the weight, or the opposite one where `flipped`."""
        return self._pairs.table(self._reverse)

    @property
    def num_in(self) -> int:
        """Number of input rows."""
        return self._pairs.num_rows[self._reverse]

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


class _SubmanifoldPairs:
    """Offsets are symmetric: the pairs of tap t, ends exchanged, are those of the opposite tap. One list is enough."""

    symmetric = True

    def __init__(self, table):
        self.num_rows = (len(table), len(table))
        self._table, self._blocks, self.kept = table, None, {}

    def blocks(self, reverse):
        if self._blocks is None:
            table = self._table
            self._blocks = _cut_blocks(lambda start, end: table[start:end], *self.num_rows)
            self._table = None
        return self._blocks

    def table(self, reverse):
        count = self.num_rows[0]
        if self._blocks is None:
            return self._table
        return torch.cat([_block_table(block, count) for block in self._blocks])


class _StridedPairs:
    """Children and their parents by octant, either way."""

    symmetric = False

    def __init__(self, key, parent, num_parents):
        self.num_rows = (len(key), num_parents)
        self._key, self._parent = key, parent
        self._blocks, self.kept = [None, None], {}

    def blocks(self, reverse):
        if self._blocks[reverse] is None:
            num_in, num_out = self.num_rows[:: -1 if reverse else 1]
            self._blocks[reverse] = _cut_blocks(self._rows(reverse), num_in, num_out)
        return self._blocks[reverse]

    def table(self, reverse):
        return self._rows(reverse)(0, self.num_rows[not reverse])

    def _rows(self, reverse):
        return self._parents_of if reverse else self._children_of

    def _children_of(self, start, end):
        first, last = 0, self.num_rows[0]
        if (start, end) != (0, self.num_rows[1]):
            first, last = torch.searchsorted(self._parent, self._parent.new_tensor([start, end])).tolist()
        children = child_table(self._key[first:last], self._parent[first:last] - start, end - start)
        return torch.where(children == last - first, self.num_rows[0], children + first)

    def _parents_of(self, start, end):
        table = torch.full((end - start, 8), self.num_rows[1], dtype=torch.int32, device=self._key.device)
        octant = (self._key[start:end] & 7)[:, None]
        return table.scatter_(1, octant, self._parent[start:end, None].int())


def build_submanifold_map(table: torch.Tensor) -> KernelMap:
    """Map of a 3x3x3 submanifold convolution from its neighbour table (V, 27) int32, V for none; taps as in spconv and
    in the released weights."""
    return KernelMap(_SubmanifoldPairs(table))


def build_strided_map(key: torch.Tensor, parent: torch.Tensor, num_parents: int) -> KernelMap:
    """Map of a 2x2x2 convolution of stride 2: tap 4 i + 2 j + k meets child 2 P + (i, j, k), the key's last bits."""
    return KernelMap(_StridedPairs(key, parent, num_parents))


def _cut_blocks(rows, num_in, num_out):
    """rows(start, end) -> (end - start, T) int32: the input row of each output row at each tap, num_in for none."""
    edges = [*range(0, num_out, BLOCK_ROWS), num_out]
    return [_build_block(rows(start, end), start, end, num_in) for start, end in pairwise(edges)]


def _build_block(table, start, end, num_in):
    by_tap = table.t().contiguous()  # (T, rows)
    met = by_tap < num_in
    source = by_tap.flatten().index_select(0, _positions(met))
    rank = met.flatten().cumsum(0, dtype=torch.int32).view_as(met) - 1  # place of each pair in `source`
    met_by_row = met.t().contiguous()
    by_row = rank.t().contiguous().flatten().index_select(0, _positions(met_by_row))
    ends = torch.zeros(end - start + 1, dtype=torch.int32, device=table.device)
    torch.cumsum(met_by_row.sum(1, dtype=torch.int32), 0, dtype=torch.int32, out=ends[1:])
    sizes = met.sum(1).tolist()
    return Block(start, end, sizes, source, source.split(sizes), by_row, ends)


def _block_table(block, num_in):
    """The rows (end - start, T) that `_build_block` was given."""
    device = block.source.device
    tap = torch.arange(len(block.sizes), device=device).repeat_interleave(torch.tensor(block.sizes, device=device))
    table = torch.full((block.end - block.start, len(block.sizes)), num_in, dtype=torch.int32, device=device)
    return table.index_put_((block.target.long(), tap), block.source)


def _positions(mask):
    """Where mask is true, in its flat form. On a CPU numpy finds them ten times faster."""
    if mask.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero(mask.numpy()))
    return mask.flatten().nonzero().flatten()
