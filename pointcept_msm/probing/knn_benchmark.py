"""The kNN probe's search against scikit-learn's brute force, on the same made-up features, in one run.

    python -m pointcept_msm.probing.knn_benchmark --queries 100000 --bank 1000000 --width 928

Both of scikit-learn's forms are timed: cosine, and its faster Euclidean search on rows scaled to length one, which
finds the same neighbours. They search `--reference` of the queries only, and their time is multiplied up: brute force
is linear in the queries. Peak memory is the process's, data included, before scikit-learn is touched. Needs
scikit-learn.
"""

import argparse
import resource
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from pointcept_msm.probing.knn import find_neighbours

CENTRES = 1000
ROWS_A_BLOCK = 1 << 14


class Search(NamedTuple):
    """One search: what did it, over how many queries, in how many seconds, and the neighbours' rows (Q, k)."""

    name: str
    queries: int
    seconds: float
    rows: np.ndarray

    def scaled(self, queries: int) -> float:
        """Seconds for so many queries."""
        return self.seconds * queries / self.queries


def make_rows(count: int, width: int, seed: int) -> np.ndarray:
    """(count, width) float32 in clusters, like features of a few hundred kinds of surface; filled block by block."""
    centre = np.random.default_rng(0).standard_normal((CENTRES, width), dtype=np.float32)
    rng, rows = np.random.default_rng(seed), np.empty((count, width), dtype=np.float32)
    for start in range(0, count, ROWS_A_BLOCK):
        part = rows[start : start + ROWS_A_BLOCK]
        rng.standard_normal(out=part, dtype=np.float32)
        part += centre[rng.integers(0, CENTRES, len(part))]
    return rows


def timed(name: str, queries: int, search: Callable[[], np.ndarray]) -> Search:
    """Run `search`, which returns the neighbours' rows, once."""
    start = time.perf_counter()
    rows = search()
    return Search(name, queries, time.perf_counter() - start, rows)


def compare(query: np.ndarray, bank: np.ndarray, k: int, reference: int) -> tuple[list[Search], float]:
    """Ours on all queries, scikit-learn's two forms on the first `reference`; and our peak memory in GiB."""
    ours = timed("ours", len(query), lambda: find_neighbours(query, bank, k)[1].numpy())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    few = query[:reference]
    cosine = timed("scikit-learn, cosine", len(few), lambda: search_sklearn(few, bank, k, "cosine"))
    few = few / np.linalg.norm(few, axis=1, keepdims=True)
    for start in range(0, len(bank), ROWS_A_BLOCK):  # in place: the bank is as large as memory allows
        part = bank[start : start + ROWS_A_BLOCK]
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    euclidean = timed(
        "scikit-learn, Euclidean on unit rows", len(few), lambda: search_sklearn(few, bank, k, "euclidean")
    )
    return [ours, cosine, euclidean], peak


def search_sklearn(query: np.ndarray, bank: np.ndarray, k: int, metric: str) -> np.ndarray:
    """Rows (Q, k) of the nearest neighbours by scikit-learn's brute force."""
    from sklearn.neighbors import NearestNeighbors

    return NearestNeighbors(n_neighbors=k, metric=metric, algorithm="brute").fit(bank).kneighbors(query)[1]


def report(searches: list[Search], peak: float) -> str:
    """A Markdown table: seconds, seconds for all queries, ratio to ours, share of neighbours that agree with ours."""
    ours = searches[0]
    lines = ["| search | queries timed | seconds | seconds for all | times ours | same neighbours |"]
    lines.append("|---|---|---|---|---|---|")
    for search in searches:
        seconds = search.scaled(ours.queries)
        same = np.mean([len(np.intersect1d(a, b)) / len(a) for a, b in zip(search.rows, ours.rows, strict=False)])
        lines.append(
            f"| {search.name} | {search.queries} | {search.seconds:.1f} | {seconds:.0f} "
            f"| {seconds / ours.seconds:.2f} | {100 * same:.2f} % |"
        )
    return "\n".join(
        [*lines, "", f"Our peak memory, data included: {peak:.2f} GiB; {torch.get_num_threads()} threads."]
    )


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("queries", 100_000), ("bank", 1_000_000), ("width", 928), ("k", 20), ("reference", 536)):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"default {default}")
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    smallest = min(vars(args).values())
    if smallest < 1 or args.k > args.bank:
        print(f"sizes are {vars(args)}; allowed 1 or more, and k at most the bank", file=sys.stderr)
        return 2
    query, bank = make_rows(args.queries, args.width, 1), make_rows(args.bank, args.width, 2)
    print(f"{args.queries} queries, bank {args.bank} x {args.width}, k = {args.k}", flush=True)
    print(report(*compare(query, bank, args.k, min(args.reference, args.queries))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
