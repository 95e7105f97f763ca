"""Instance probe: linear class and offset heads on frozen features, then clusters of shifted points within a class.

The paper trains PointGroup with linear branches by SGD (Table 16); here both heads are fitted exactly (L-BFGS, ridge),
the points move by their predicted offset to the instance's centre, and components within a radius are the instances.
Legend: N points, C channels, K classes, M occupied cells.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from pointcept_msm.probing.linear import LinearProbe, fit_linear, fit_ridge, pool, split_scenes
from pointcept_msm.probing.metrics import Instances, instance_scores
from pointcept_msm.runtime.errors import UserError

RADIUS_GRID = (0.1, 0.2, 0.4, 0.05)  # metres; the first when none finds anything


class InstanceProbe(NamedTuple):
    """semantic: features -> K classes; offset: features -> metres to the centre; things: classes with instances."""

    semantic: LinearProbe
    offset: LinearProbe
    things: tuple[int, ...]
    radius: float


def offset_targets(coord: np.ndarray, instance: np.ndarray) -> np.ndarray:
    """Vector from each point to the mean of its instance's points (N, 3) float32; zero where it is unknown."""
    target = np.zeros((len(coord), 3), dtype=np.float32)
    known = np.flatnonzero(instance >= 0)
    _, inverse, count = np.unique(instance[known], return_inverse=True, return_counts=True)
    for axis in range(3):
        values = coord[known, axis].astype(np.float64)
        target[known, axis] = (np.bincount(inverse, values) / count)[inverse] - values if len(known) else 0
    return target


def fit_instance(scenes, semantic: LinearProbe, things: Sequence[int], radius: float = RADIUS_GRID[0]) -> InstanceProbe:
    """The offset head beside a fitted class head, from SceneFeatures. UserError: no point has an instance of one of
    `things`."""
    x, y = pool(scenes)
    target = np.concatenate([offset_targets(s.coord, s.instance) for s in scenes])
    known = (np.concatenate([s.instance for s in scenes]) >= 0) & np.isin(y, np.asarray(things))
    if not known.any():
        raise UserError(
            f"no point to fit on has an instance of the classes {list(things)}: the instance probe needs scenes with "
            "`instance`, and `things` that occur in them"
        )
    return InstanceProbe(semantic, fit_ridge(x[known], target[known]), tuple(things), radius)


def predict_instances(
    probe: InstanceProbe, feat: np.ndarray, coord: np.ndarray, min_points: int = 100, category: np.ndarray | None = None
) -> Instances:
    """Instances of one scene: components of the shifted points of each thing class, at least `min_points` large.

    category: classes (N,) instead of the predicted ones. An instance's score is the mean probability of its class over
    its points.
    """
    logits = probe.semantic.predict_logits(feat).astype(np.float64)
    probability = np.exp(logits - logits.max(1, keepdims=True))
    probability /= probability.sum(1, keepdims=True)
    category = logits.argmax(1) if category is None else category
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
    scenes,
    num_classes: int,
    things: Sequence[int],
    min_points: int = 100,
    radius_grid: Sequence[float] = RADIUS_GRID,
    seed: int = 0,
    l2: float = 1e-4,
    device: str = "cpu",
) -> float:
    """The radius with the best AP25 + AP50 on held-out train scenes (SceneFeatures); where the predicted classes find
    nothing, the best with the true ones; the first of `radius_grid` if there is one scene alone."""
    if len(scenes) < 2:
        return radius_grid[0]
    fit, held = split_scenes([s.name for s in scenes], seed=seed)
    fit, held = [scenes[i] for i in fit], [scenes[i] for i in held]
    probe = fit_instance(fit, fit_linear(*pool(fit), num_classes, l2, device=device), things)
    for true_classes in (False, True):
        totals = []
        for radius in radius_grid:
            heads = probe._replace(radius=radius)
            found = [
                predict_instances(heads, s.feat, s.coord, min_points, s.segment if true_classes else None) for s in held
            ]
            scores = instance_scores(found, [s.segment for s in held], [s.instance for s in held], things, min_points)
            totals.append(np.nan_to_num(scores["AP25"] + scores["AP50"]))
        if max(totals) > 0:
            break
    return radius_grid[int(np.argmax(totals))]


def cluster_points(coord: np.ndarray, radius: float) -> np.ndarray:
    """Component (N,) int64, numbered from 0, of points linked within `radius`.

    Points of a cell of edge radius / sqrt(3) are always linked; two cells are linked when their mean points are within
    the radius. Independent of point order up to numbering.
    """
    if not len(coord):
        return np.zeros(0, dtype=np.int64)
    cell = np.floor(coord / (radius / np.sqrt(3))).astype(np.int64)
    cell -= cell.min(0)
    key = np.ravel_multi_index(cell.T, cell.max(0) + 1)
    _, inverse, count = np.unique(key, return_inverse=True, return_counts=True)
    mean = np.stack([np.bincount(inverse, coord[:, a]) / count for a in range(3)], axis=1)  # (M, 3)
    first, second = cKDTree(mean).query_pairs(radius, output_type="ndarray").T
    graph = coo_matrix((np.ones(len(first)), (first, second)), shape=(len(mean), len(mean)))
    return connected_components(graph, directed=False)[1].astype(np.int64)[inverse]
