"""A kernel map in the two forms that spconv's functions take (spconv 2.3, pytorch/ops.py; spconv-triton has the same).

So the pyramid stays the only source of indices: nothing is hashed twice, and every back end sees the same rows in the
same order. T taps in the order of the weight, at most 31.
"""

from typing import NamedTuple

import torch

from .kernel_map import KernelMap


class GatherTable(NamedTuple):
    """Of implicit GEMM. rows (T, V_out) int32: input row of each output row, -1 for none.

    order (V_out,) int32: output rows so that those which meet the same taps lie together; a tile of rows skips the taps
    that none of them meets. mask (V_out, 1) int32, in that order: bit t is set where tap t is met.
    """

    rows: torch.Tensor
    mask: torch.Tensor
    order: torch.Tensor


def build_gather_table(kernel_map: KernelMap) -> GatherTable:
    """The map for implicit GEMM, one product for all taps; the gradient to the input needs the transposed map's too."""
    table = kernel_map.table.t().contiguous()
    met = table < kernel_map.num_in
    bit = 1 << torch.arange(len(table), dtype=torch.int32, device=table.device)
    mask, order = (met * bit[:, None]).sum(0, dtype=torch.int32).sort(stable=True)
    return GatherTable(torch.where(met, table, -1), mask[:, None], order.int())


def build_pair_lists(kernel_map: KernelMap) -> tuple[torch.Tensor, torch.Tensor]:
    """The map for gather, product and scatter tap by tap ("native"): pairs (2, T, P) int32, input and output rows of
    each tap, then -1; and the number of pairs of each tap (T,) int32."""
    table = kernel_map.table.t().contiguous()
    met = table < kernel_map.num_in
    counts = met.sum(1, dtype=torch.int32)
    pairs = torch.full((2, len(table), int(counts.max())), -1, dtype=torch.int32, device=table.device)
    tap, row = met.nonzero(as_tuple=True)
    place = met.cumsum(1)[tap, row] - 1
    pairs[0, tap, place] = table[tap, row]
    pairs[1, tap, place] = row.int()
    return pairs, counts
