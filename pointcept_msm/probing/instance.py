"""Instance probe: linear class and offset heads on frozen features, then clusters of shifted points within a class.

The paper trains PointGroup with linear branches by SGD (Table 16); here both heads are fitted exactly (L-BFGS, ridge),
the points move by their predicted offset to the instance's centre, and components within a radius are the instances.
Legend: N points, C channels, K classes, M occupied cells.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pointcept_msm.probing.linear import LinearProbe, fit_linear, fit_ridge, split_scenes
from pointcept_msm.probing.metrics import Instances, instance_scores

RADIUS_GRID = (0.1, 0.2, 0.4, 0.05)  # metres; the first when none finds anything


class InstanceProbe(NamedTuple):
    """semantic: features -> K classes; offset: features -> metres to the centre; things: classes with instances."""

    semantic: LinearProbe
    offset: LinearProbe
    things: tuple[int, ...]
    radius: float


def offset_targets(coord: np.ndarray, instance: np.ndarray, ignore: int = -1) -> np.ndarray:
    """Vector from each point to the mean of its instance's points (N, 3) float32; zero where it is unknown."""
    target = np.zeros((len(coord), 3), dtype=np.float32)
    known = np.flatnonzero(instance != ignore)
    _, inverse, count = np.unique(instance[known], return_inverse=True, return_counts=True)
    for axis in range(3):
        values = coord[known, axis].astype(np.float64)
        target[known, axis] = (np.bincount(inverse, values) / count)[inverse] - values if len(known) else 0
    return target


def fit_instance(
    feat: Sequence[np.ndarray],
    segment: Sequence[np.ndarray],
    instance: Sequence[np.ndarray],
    coord: Sequence[np.ndarray],
    num_classes: int,
    things: Sequence[int],
    radius: float = 0.1,
    l2: float = 1e-4,
    semantic: LinearProbe | None = None,
    device: str = "cpu",
) -> InstanceProbe:
    """Both heads from one array of each kind a scene. ValueError: no point has an instance of one of `things`."""
    x, y = np.concatenate(feat), np.concatenate(segment)
    target = np.concatenate([offset_targets(c, i) for c, i in zip(coord, instance, strict=True)])
    known = (np.concatenate(instance) >= 0) & np.isin(y, np.asarray(things))
    if not known.any():
        raise ValueError(
            f"no point has an instance of the classes {list(things)}; the instance probe needs labelled instances"
        )
    semantic = semantic or fit_linear(x, y, num_classes, l2, device=device)
    return InstanceProbe(semantic, fit_ridge(x[known], target[known]), tuple(things), radius)


def predict_instances(probe: InstanceProbe, feat: np.ndarray, coord: np.ndarray, min_points: int = 100) -> Instances:
    """Instances of one scene: components of the shifted points of each thing class, at least `min_points` large.

    An instance's score is the mean probability of its class over its points.
    """
    logits = probe.semantic.predict_logits(feat).astype(np.float64)
    probability = np.exp(logits - logits.max(1, keepdims=True))
    probability /= probability.sum(1, keepdims=True)
    category = logits.argmax(1)
    shifted = coord + probe.offset.predict_logits(feat)
    label, categories, scores = np.full(len(coord), -1), [], []
    for c in probe.things:
        rows = np.flatnonzero(category == c)
        cluster = cluster_points(shifted[rows], probe.radius)
        for j in np.flatnonzero(np.bincount(cluster) >= min_points):
            mine = rows[cluster == j]
            label[mine] = len(categories)
            categories.append(c)
            scores.append(probability[mine, c].mean())
    return Instances(label, np.array(categories, dtype=np.int64), np.array(scores))


def choose_radius(
    feat: Sequence[np.ndarray],
    segment: Sequence[np.ndarray],
    instance: Sequence[np.ndarray],
    coord: Sequence[np.ndarray],
    names: Sequence[str],
    num_classes: int,
    things: Sequence[int],
    min_points: int = 100,
    radius_grid: Sequence[float] = RADIUS_GRID,
    seed: int = 0,
    l2: float = 1e-4,
    device: str = "cpu",
) -> float:
    """The radius with the best AP25 + AP50 on held-out train scenes; the first of `radius_grid` if none scores."""
    fit, held = split_scenes(names, seed=seed)
    parts = [[values[i] for i in fit] for values in (feat, segment, instance, coord)]
    probe = fit_instance(*parts, num_classes, things, l2=l2, device=device)
    best = (-1.0, radius_grid[0])
    for radius in radius_grid:
        predictions = [predict_instances(probe._replace(radius=radius), feat[i], coord[i], min_points) for i in held]
        scores = instance_scores(
            predictions, [segment[i] for i in held], [instance[i] for i in held], things, min_points
        )
        best = max(best, (np.nan_to_num(scores["AP25"] + scores["AP50"], nan=-1.0), radius), key=lambda pair: pair[0])
    return best[1]


def cluster_points(coord: np.ndarray, radius: float) -> np.ndarray:
    """Component (N,) int64, numbered from 0, of points linked within `radius`.

    Points of a cell of edge radius / sqrt(3) are always linked; two cells are linked when their mean points are within
    the radius. Linear in N, independent of point order up to numbering.
    """
    if not len(coord):
        return np.zeros(0, dtype=np.int64)
    cell = np.floor(coord / (radius / np.sqrt(3))).astype(np.int64)
    cell -= cell.min(0) - 2  # two empty cells on every side: neighbours never wrap around
    size = cell.max(0) + 3
    key, inverse, count = np.unique(np.ravel_multi_index(cell.T, size), return_inverse=True, return_counts=True)
    mean = np.stack([np.bincount(inverse, coord[:, a]) / count for a in range(3)], axis=1)  # (M, 3)
    links = [np.zeros((2, 0), dtype=np.int64)]
    for step in _half_neighbourhood(size):
        place = np.minimum(np.searchsorted(key, key + step), len(key) - 1)
        first = np.flatnonzero(key[place] == key + step)
        near = np.square(mean[first] - mean[place[first]]).sum(1) <= radius**2
        links.append(np.stack([first[near], place[first[near]]]))
    return connected_components(len(key), *np.concatenate(links, axis=1))[inverse]


def _half_neighbourhood(size):
    """Key differences to the cells up to two away, one of each opposite pair."""
    steps = [(i, j, k) for i in range(-2, 3) for j in range(-2, 3) for k in range(-2, 3) if (i, j, k) > (0, 0, 0)]
    return [(i * int(size[1]) + j) * int(size[2]) + k for i, j, k in steps]


def connected_components(count: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Component (count,) of each node, numbered from 0 by its smallest node, from links first[i] - second[i]."""
    label = np.arange(count)
    while len(first):
        low = np.minimum(label[first], label[second])
        np.minimum.at(label, label[first], low)  # the root of either side moves to the smaller root
        np.minimum.at(label, label[second], low)
        while not np.array_equal(label, label[label]):
            label = label[label]
        apart = label[first] != label[second]
        first, second = first[apart], second[apart]
    return np.unique(label, return_inverse=True)[1]
