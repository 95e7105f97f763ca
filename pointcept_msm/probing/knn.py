"""k-nearest-neighbour probe: exact cosine neighbours in a bank of labelled features, in bounded memory.

The paper does not give its settings; k = 20, temperature 0.07 and L2-normalised levels follow the usual k-NN practice
for self-supervised features. Both sides are cut into chunks and the k best are kept as the bank goes by. Legend: Q
queries, B bank rows, C channels, K classes.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

LevelSlice = tuple[str, float, slice]
QUERY_ROWS, BANK_ROWS = 2048, 16384  # compared at once
SPARE = 4  # neighbours kept beyond k, for those that tie with the last
ROUNDING = 2e-6  # of a cosine in float32


def normalise_levels(feat: torch.Tensor, levels: Sequence[LevelSlice] | None = None) -> torch.Tensor:
    """Each level's block of (N, C) scaled to length 1 / sqrt(L): a dot product is the mean cosine of the levels."""
    slices = [s for _, _, s in levels] if levels else [slice(0, feat.shape[1])]
    blocks = [F.normalize(feat[:, s].float(), dim=1) for s in slices]
    return torch.cat(blocks, 1).div_(len(slices) ** 0.5)


def find_neighbours(
    query: np.ndarray,
    bank: np.ndarray,
    k: int = 20,
    levels: Sequence[LevelSlice] | None = None,
    device: str | torch.device = "cpu",
) -> tuple[torch.Tensor, torch.Tensor]:
    """The k nearest bank rows of every query by cosine: similarity (Q, k) float32, falling, and row (Q, k) int64, on
    the CPU.

    Neighbours whose cosines differ by less than rounding does (points of a voxel have the same features) come in the
    order of rows, whatever the chunks. k is cut to the bank's size. ValueError: an empty bank or different widths.
    """
    query, bank = torch.as_tensor(query), torch.as_tensor(bank)
    if not len(bank) or query.shape[1] != bank.shape[1]:
        raise ValueError(
            f"queries are {tuple(query.shape)} and the bank {tuple(bank.shape)}; the bank needs rows of the same width"
        )
    keep = min(k + SPARE, len(bank))
    queries = [normalise_levels(part.to(device), levels) for part in query.split(QUERY_ROWS)]
    best = [torch.full((len(part), keep), -2.0, device=device) for part in queries]  # below any cosine
    row = [torch.zeros_like(part, dtype=torch.long) for part in best]
    for start in range(0, len(bank), BANK_ROWS):
        part = normalise_levels(bank[start : start + BANK_ROWS].to(device), levels)
        for i, block in enumerate(queries):
            value, index = (block @ part.T).topk(min(keep, len(part)), dim=1)
            best[i], place = torch.cat([best[i], value], 1).topk(keep, dim=1)
            row[i] = torch.cat([row[i], index + start], 1).gather(1, place)
    best, row = order_ties(torch.cat(best).cpu(), torch.cat(row).cpu(), len(bank))
    return best[:, :k], row[:, :k]


def order_ties(best: torch.Tensor, row: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Falling similarities (Q, k) and their rows, below `count`, with nearly equal ones in the order of rows."""
    apart = best[:, :-1] - best[:, 1:] > ROUNDING
    group = F.pad(apart.long().cumsum(1), (1, 0))
    order = (group * count + row).argsort(1)
    return best.gather(1, order), row.gather(1, order)


def vote(similarity: torch.Tensor, label: torch.Tensor, num_classes: int, temperature: float = 0.07) -> torch.Tensor:
    """Sum of exp(similarity / temperature) a class: similarity (Q, k), label (Q, k) -> (Q, K)."""
    weight = torch.exp((similarity - similarity[:, :1]) / temperature)  # the largest is 1: no overflow, same order
    return torch.zeros(len(label), num_classes).scatter_add_(1, label.long(), weight)


def predict_knn(
    query: np.ndarray,
    bank: np.ndarray,
    bank_label: np.ndarray,
    num_classes: int,
    ks: Sequence[int] = (20, 1),
    temperature: float = 0.07,
    levels: Sequence[LevelSlice] | None = None,
    device: str | torch.device = "cpu",
) -> dict[int, np.ndarray]:
    """Class of every query for each k of `ks`, {k: (Q,) int64}, from one search; all bank labels are classes."""
    bank_label = torch.as_tensor(bank_label).long()
    similarity, row = find_neighbours(query, bank, max(ks), levels, device)
    return {k: vote(similarity[:, :k], bank_label[row[:, :k]], num_classes, temperature).argmax(1).numpy() for k in ks}


def draw_bank(label: np.ndarray, size: int | None, seed: int = 0) -> np.ndarray:
    """Row numbers, rising, of at most `size` known labels, drawn evenly: class shares as in the data."""
    known = np.flatnonzero(np.asarray(label) >= 0)
    if size is None or len(known) <= size:
        return known
    return np.sort(np.random.default_rng(seed).choice(known, size, replace=False))
