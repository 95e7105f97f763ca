"""Label budgets of the paper (limited scenes: 1, 5, 10, 20 %; limited annotation: 20, 50, 100, 200 points a scene).

Choices are seeded, nested (a larger budget holds the smaller one) and depend on names, not on the order of scenes. The
benchmark's own lists, where a dataset ships them, are the datasets' business.
"""

import zlib
from collections.abc import Sequence

import numpy as np

SCENE_SHARES = (0.01, 0.05, 0.1, 0.2)
POINT_BUDGETS = (20, 50, 100, 200)


def scene_budget(names: Sequence[str], share: float, seed: int = 0) -> list[int]:
    """Positions in `names` of a share of the scenes, at least one, rising. ValueError: a share outside (0, 1]."""
    if not 0 < share <= 1:
        raise ValueError(f"share of scenes is {share}; allowed above 0 and up to 1, e.g. 0.05 for 5 %")
    by_name = sorted(range(len(names)), key=lambda i: names[i])
    order = np.random.default_rng(seed).permutation(len(by_name))
    return sorted(by_name[i] for i in order[: max(1, round(share * len(names)))])


def point_budget(segment: np.ndarray, points: int, name: str = "", seed: int = 0) -> np.ndarray:
    """Row numbers of at most `points` labelled points of one scene, rising. ValueError: fewer than one point asked."""
    if points < 1:
        raise ValueError(f"points a scene is {points}; allowed 1 or more")
    known = np.flatnonzero(np.asarray(segment) >= 0)
    return np.sort(scene_rng(name, seed).permutation(known)[:points])


def limit_labels(segment: np.ndarray, points: int, name: str = "", seed: int = 0) -> np.ndarray:
    """A copy of `segment` (N,) with all but the budget's points set to -1."""
    limited = np.full_like(segment, -1)
    rows = point_budget(segment, points, name, seed)
    limited[rows] = np.asarray(segment)[rows]
    return limited


def scene_rng(name: str, seed: int) -> np.random.Generator:
    """A generator that depends on the scene's name and the seed alone, the same on every machine."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])
