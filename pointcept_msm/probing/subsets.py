"""Which part of the data a probe sees: points of a scene, scenes and labels of a budget, what is held out, levels.

Every choice is seeded and depends on names, not on the order of scenes; a larger budget holds the smaller one. Budgets
are the paper's (limited scenes: 1, 5, 10, 20 %; limited annotation: 20, 50, 100, 200 points a scene).
"""

import zlib
from collections.abc import Sequence

import numpy as np

from pointcept_msm.runtime.errors import UserError

SCENE_SHARES = (0.01, 0.05, 0.1, 0.2)
POINT_BUDGETS = (20, 50, 100, 200)
SLABS = 4


def scene_rng(name: str, seed: int) -> np.random.Generator:
    """A generator that depends on the scene's name and the seed alone, the same on every machine."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def choose_points(count: int, points: int | None, name: str, seed: int) -> np.ndarray:
    """Row numbers of `points` of a scene's `count` points, rising; all of them when None or too few."""
    if points is None or points >= count:
        return np.arange(count)
    return np.sort(scene_rng(name, seed).choice(count, points, replace=False))


def scene_budget(names: Sequence[str], share: float, seed: int = 0) -> list[int]:
    """Positions in `names` of a share of the scenes, at least one, rising."""
    by_name = sorted(range(len(names)), key=lambda i: names[i])
    order = np.random.default_rng(seed).permutation(len(by_name))
    return sorted(by_name[i] for i in order[: max(1, round(share * len(names)))])


def limit_labels(segment: np.ndarray, points: int, name: str = "", seed: int = 0) -> np.ndarray:
    """A copy of `segment` (N,) in which at most `points` labelled points of the scene keep their label."""
    known = np.flatnonzero(np.asarray(segment) >= 0)
    rows = scene_rng(name, seed).permutation(known)[:points]
    limited = np.full_like(segment, -1)
    limited[rows] = np.asarray(segment)[rows]
    return limited


def split_scenes(names: Sequence[str], share: float = 0.25, seed: int = 0) -> tuple[list[int], list[int]]:
    """Positions of the scenes to fit on and of those held out (at least one of each). UserError: fewer than two."""
    if len(names) < 2:
        raise UserError(f"{len(names)} train scene(s); holding scenes out of train needs at least 2: give more")
    by_name = sorted(range(len(names)), key=lambda i: names[i])
    order = [by_name[i] for i in np.random.default_rng(seed).permutation(len(by_name))]
    held = min(len(names) - 1, max(1, round(share * len(names))))
    return sorted(order[held:]), sorted(order[:held])


def slab_rows(coord: np.ndarray, count: int = SLABS) -> list[np.ndarray]:
    """Row numbers of upright slabs with equal numbers of points along the longer horizontal side of coord (N, 3), so
    that a part of a single scene can be held out: neighbours stay together. Empty ones are left out."""
    axis = int(np.ptp(coord[:, :2], axis=0).argmax())
    order = np.argsort(coord[:, axis], kind="stable")
    return [np.sort(part) for part in np.array_split(order, count) if len(part)]


def layer_columns(levels: Sequence[tuple[str, float, slice]]) -> dict[str, np.ndarray]:
    """{"<level>_alone": its channels, "<level>_without": all others} (Table 11); empty for a single level."""
    own = {name: np.arange(part.start, part.stop) for name, _, part in levels}
    every = np.concatenate(list(own.values()))
    table = {}
    for name, columns in own.items():
        table[f"{name}_alone"] = columns
        table[f"{name}_without"] = np.setdiff1d(every, columns)
    return table if len(own) > 1 else {}
