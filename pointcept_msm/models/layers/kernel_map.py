"""Which input voxel meets which output voxel at each tap of a sparse convolution.

Voxels are sorted by key (batch above the Morton code), so neighbours are found by binary search and the pairs of a tap
come out sorted by their output row.
"""

import torch

from .serialization import DEPTH, spread_bits

# Rows that one pass over the taps fills. Small enough for the cache of a core, large enough for an efficient GEMM;
# the time is flat between 8 k and 32 k rows.
BLOCK_ROWS = 16384


class KernelMap:
    """Pairs (input row, output row) of every tap.

    taps: list of (source (P_t,), target (P_t,)) int64, target ascending and without repeats within a tap;
    identity_tap: index of the tap that maps every row to itself (submanifold centre), or None.
    """

    def __init__(self, taps, num_in: int, num_out: int, identity_tap=None, transposed=None):
        self.taps, self.num_in, self.num_out, self.identity_tap = taps, num_in, num_out, identity_tap
        self._transposed, self._blocks = transposed, None

    @property
    def transposed(self) -> "KernelMap":
        """The map with inputs and outputs exchanged, taps as before: gradient to the input, or inverse convolution."""
        if self._transposed is None:
            taps = [_sorted_by_target(target, source) for source, target in self.taps]
            self._transposed = KernelMap(taps, self.num_out, self.num_in, self.identity_tap, transposed=self)
        return self._transposed

    @property
    def blocks(self):
        """[(first row, end row, [(tap, source, target - first row), ...])]: the pairs cut by ranges of output rows."""
        if self._blocks is None:
            self._blocks = self._cut_blocks()
        return self._blocks

    def _cut_blocks(self):
        on_cpu = self.taps[0][0].device.type == "cpu"
        rows = BLOCK_ROWS if on_cpu else max(self.num_out, 1)
        edges = torch.arange(0, self.num_out + rows, rows, device=self.taps[0][0].device)
        cuts = torch.stack([torch.searchsorted(target, edges) for _, target in self.taps]).tolist()
        blocks = []
        for b, start in enumerate(range(0, self.num_out, rows)):
            pieces = []
            for tap, (source, target) in enumerate(self.taps):
                first, end = cuts[tap][b], cuts[tap][b + 1]
                if end > first and tap != self.identity_tap:
                    pieces.append((tap, source[first:end], target[first:end] - start))
            blocks.append((start, min(start + rows, self.num_out), pieces))
        return blocks


def _sorted_by_target(source, target):
    order = target.argsort()
    return source[order], target[order]


def build_submanifold_map(key: torch.Tensor, coord: torch.Tensor, level: int) -> KernelMap:
    """Map of a 3x3x3 submanifold convolution. key (V,) int64 ascending; coord (V, 4) batch, x, y, z of that level.

    Tap 9 i + 3 j + k meets the neighbour at offset (i - 1, j - 1, k - 1), as in spconv and in the released weights.
    """
    axis_keys = _shifted_axis_keys(coord.long(), level)
    everything = torch.arange(len(key), device=key.device)
    taps: list = [None] * 27
    taps[13] = (everything, everything)
    for tap in range(13):  # the other half is its mirror image
        i, j, k = tap // 9, tap // 3 % 3, tap % 3
        wanted = axis_keys[0][i] | axis_keys[1][j] | axis_keys[2][k]
        place = torch.searchsorted(key, wanted).clamp_(max=len(key) - 1)
        target = (key[place] == wanted).nonzero().flatten()
        source = place[target]
        taps[tap], taps[26 - tap] = (source, target), _sorted_by_target(target, source)
    flipped = KernelMap(taps[::-1], len(key), len(key), 13)
    result = KernelMap(taps, len(key), len(key), 13)
    # Exchanging source and target of tap t gives tap 26 - t, so the transposed map needs no sorting.
    result._transposed, flipped._transposed = flipped, result
    return result


def _shifted_axis_keys(coord, level):
    """Key parts of coordinate - 1, + 0, + 1 for x (with the batch), y, z; -1 (found nowhere) outside the grid."""
    limit = 1 << (DEPTH - level)
    parts = []
    for axis in range(3):
        shifted = []
        for step in (-1, 0, 1):
            value = coord[:, axis + 1] + step
            outside = (value < 0) | (value >= limit)
            part = spread_bits(value.clamp(0, limit - 1)) << (2 - axis)
            shifted.append(torch.where(outside, -1, part))
        parts.append(shifted)
    batch = coord[:, 0] << 3 * (DEPTH - level)
    parts[0] = [torch.where(part < 0, part, part | batch) for part in parts[0]]
    return parts


def build_strided_map(key: torch.Tensor, parent: torch.Tensor, num_parents: int) -> KernelMap:
    """Map of a 2x2x2 convolution of stride 2.

    Tap 4 i + 2 j + k meets child 2 P + (i, j, k): the last three bits of its key.
    """
    octant = key & 7
    taps = []
    for tap in range(8):
        child = (octant == tap).nonzero().flatten()
        taps.append((child, parent[child]))
    return KernelMap(taps, len(key), num_parents)
