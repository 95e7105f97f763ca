"""Which input voxel meets which output voxel at each tap of a sparse convolution.

Voxels are sorted by key (batch above the Morton code), so neighbours are found by binary search and the pairs of a tap
come out sorted by their output row.
"""

import torch

from .serialization import DEPTH, spread_bits

# Rows that one pass over the taps fills. Small enough for the cache of a core, large enough for an efficient GEMM.
BLOCK_ROWS = 16384


class KernelMap:
    """Pairs (input row, output row) of every tap.

    taps: list of (source (P_t,), target (P_t,)) int64, target ascending and without repeats within a tap;
    identity_tap: index of the tap that maps every row to itself (submanifold centre), or None.
    """

    def __init__(self, pairs: "_Pairs", reverse: bool = False):
        # A map and its transposed one share `pairs` and do not know each other: a cycle would keep a step's tables in
        # memory until Python's collector comes by.
        self._pairs, self._reverse = pairs, int(reverse)

    @property
    def num_out(self) -> int:
        """Number of output rows."""
        return self._pairs.rows[1 - self._reverse]

    @property
    def identity_tap(self):
        """The tap of the centre, or None."""
        return self._pairs.identity_tap

    @property
    def taps(self) -> list:
        """[(source, target), ...]"""
        return self._pairs.taps(self._reverse)

    @property
    def transposed(self) -> "KernelMap":
        """The map with inputs and outputs exchanged, taps as before: gradient to the input, or inverse convolution."""
        return KernelMap(self._pairs, not self._reverse)

    @property
    def blocks(self) -> list:
        """[(first row, end row, [(tap, source, target - first row), ...])]: the pairs cut by ranges of output rows."""
        cached = self._pairs.blocks
        if cached[self._reverse] is None:
            cached[self._reverse] = _cut_blocks(self.taps, self.num_out, self.identity_tap)
        return cached[self._reverse]


class _Pairs:
    """What a map and its transposed one share; the taps of the other direction are made on first use."""

    def __init__(self, taps, num_in, num_out, identity_tap=None, reverse_taps=None):
        self.rows, self.identity_tap = (num_in, num_out), identity_tap
        self.blocks = [None, None]
        self._taps = [taps, reverse_taps]

    def taps(self, reverse):
        if self._taps[reverse] is None:
            self._taps[reverse] = [_sorted_by_target(target, source) for source, target in self._taps[1 - reverse]]
        return self._taps[reverse]


def _cut_blocks(taps, num_out, identity_tap):
    device = taps[0][0].device
    rows = BLOCK_ROWS if device.type == "cpu" else max(num_out, 1)
    edges = torch.arange(0, num_out + rows, rows, device=device)
    cuts = torch.stack([torch.searchsorted(target, edges) for _, target in taps]).tolist()
    blocks = []
    for b, start in enumerate(range(0, num_out, rows)):
        pieces = []
        for tap, (source, target) in enumerate(taps):
            first, end = cuts[tap][b], cuts[tap][b + 1]
            if end > first and tap != identity_tap:
                pieces.append((tap, source[first:end], target[first:end] - start))
        blocks.append((start, min(start + rows, num_out), pieces))
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
    # Exchanging source and target of tap t gives tap 26 - t, so the reverse needs no sorting.
    return KernelMap(_Pairs(taps, len(key), len(key), 13, reverse_taps=taps[::-1]))


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
    return KernelMap(_Pairs(taps, len(key), num_parents))
