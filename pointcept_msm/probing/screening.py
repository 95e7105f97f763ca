"""Fewer exact cosines for the kNN probe: a product of halves rules out nearly all rows, and only the rest are compared
in float32.

For unit rows q, b and their bfloat16 roundings q', b', by Cauchy and Schwarz |qb - q'b'| <= |q - q'| + |q'| |b - b'|.
No pair can break this bound, so a row whose rounded cosine lies that far below the k-th best so far cannot be among the
best: the search stays exact. Rounding product and floor to bfloat16 as well is harmless, because rounding keeps order.
"""

import time
from functools import lru_cache
from typing import NamedTuple

import torch

SPARE_ROUNDING = 2**-9  # half a step of bfloat16 below 1, for products that are summed in parts or rounded twice
MOST_CANDIDATES = 0.01  # of all pairs: comparing more of them one by one would cost more than a whole product


class Rounded(NamedTuple):
    """Rows in bfloat16 (N, C), and how far each is from its float32 row (N,)."""

    rows: torch.Tensor
    error: torch.Tensor


def round_rows(rows: torch.Tensor) -> Rounded:
    """bfloat16 copy of rows (N, C) of length at most one, with the distance that rounding moved each."""
    half = rows.bfloat16()
    return Rounded(half, (rows - half.float()).norm(dim=1))


def largest_error(query: Rounded, bank: Rounded) -> torch.Tensor:
    """How far any bank row's rounded cosine can be from the exact one, a query (Q,)."""
    return query.error + (1 + query.error) * bank.error.max()


def candidates(query: Rounded, bank: Rounded, floor: torch.Tensor) -> torch.Tensor:
    """Every pair whose cosine may exceed its query's floor (Q,): pairs (P, 2) of query and bank rows, queries rising.

    No pair above the floor is left out; a few below it are in.
    """
    lowest = (floor - largest_error(query, bank) - SPARE_ROUNDING).bfloat16()
    return (query.rows @ bank.rows.T >= lowest[:, None]).nonzero()


def best_candidates(
    query: torch.Tensor, bank: torch.Tensor, pairs: torch.Tensor, keep: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Exact cosines of the pairs (P, 2), the `keep` best of each query: values and bank rows (Q, <= keep), -2 and 0
    where a query has fewer."""
    value = torch.cat([_dot(query, bank, part) for part in pairs.split(1 << 16)]) if len(pairs) else query.new_empty(0)
    count = torch.bincount(pairs[:, 0], minlength=len(query))
    place = torch.arange(len(pairs), device=pairs.device) - (count.cumsum(0) - count)[pairs[:, 0]]
    width = int(count.max())
    values = query.new_full((len(query), width), -2.0)
    rows = pairs.new_zeros(len(query), width)
    values[pairs[:, 0], place] = value
    rows[pairs[:, 0], place] = pairs[:, 1]
    values, order = values.topk(min(keep, width), dim=1)
    return values, rows.gather(1, order)


def _dot(query, bank, pairs):
    return (query[pairs[:, 0]] * bank[pairs[:, 1]]).sum(1)


@lru_cache
def halves_pay(device: str) -> bool:
    """Whether this machine multiplies bfloat16 at least half as fast again as float32: measured once, a few
    milliseconds. Only asked of CPUs: GPUs have float32 to spare for these sizes."""
    if torch.device(device).type != "cpu":
        return False
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        a, b = torch.ones(256, 512, dtype=dtype), torch.ones(1024, 512, dtype=dtype)
        seconds[dtype] = min(_time_product(a, b) for _ in range(4))
    return seconds[torch.float32] > 1.5 * seconds[torch.bfloat16]


def _time_product(a, b):
    start = time.perf_counter()
    a @ b.T
    return time.perf_counter() - start
