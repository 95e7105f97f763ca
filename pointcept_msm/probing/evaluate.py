"""One feature source judged: kNN, linear and instance probes, label budgets and layer importance.

First everything is fitted and chosen on the train scenes (regularisation and radius on some held out of the fit); then
the test scenes go by once, one in memory at a time, past all the fitted probes.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pointcept_msm.probing.budgets import POINT_BUDGETS, SCENE_SHARES, limit_labels, scene_budget
from pointcept_msm.probing.features import SceneFeatures, choose_points
from pointcept_msm.probing.instance import RADIUS_GRID, InstanceProbe, choose_radius, fit_instance, predict_instances
from pointcept_msm.probing.knn import LevelSlice, balanced_bank, natural_bank, predict_knn
from pointcept_msm.probing.layers import layer_columns
from pointcept_msm.probing.linear import L2_GRID, LinearProbe, choose_l2, fit_linear
from pointcept_msm.probing.metrics import Instances, confusion_matrix, instance_scores, segmentation_scores
from pointcept_msm.probing.slabs import cut_slabs

PROBES = ("knn", "linear", "instance", "budgets", "layers")
WAITING_QUERIES = 1 << 15


@dataclass
class ProbeSettings:
    """What the probes need beside features. bank: rows of the kNN bank at most (None: all); things: classes with
    instances; min_points: least size of an instance, in points at the
    density of the train scenes as sampled (the instance probe thins test scenes to it)."""

    num_classes: int
    probes: Sequence[str] = ("knn", "linear")
    k: int = 20
    temperature: float = 0.07
    bank: int | None = 1_000_000
    l2_grid: Sequence[float] = L2_GRID
    max_iter: int = 300
    things: Sequence[int] = ()
    min_points: int = 100
    device: str = "cpu"

    def __post_init__(self):
        unknown = [p for p in self.probes if p not in PROBES]
        if unknown or not self.probes:
            raise ValueError(f"probes are {list(self.probes)}; allowed: {', '.join(PROBES)}")
        if "instance" in self.probes and not self.things:
            raise ValueError(
                "the instance probe needs `things`, the classes that have instances, e.g. things=(2, 3, 4)"
            )


class Judge(Protocol):
    """A fitted probe that looks at test scenes one by one and then gives its metrics."""

    def update(self, scene: SceneFeatures) -> None: ...

    def scores(self) -> dict[str, float]: ...


def evaluate_probes(
    train: Sequence[SceneFeatures],
    test: Iterable[SceneFeatures],
    levels: Sequence[LevelSlice],
    settings: ProbeSettings,
    seed: int = 0,
) -> tuple[dict[str, float], dict[str, float], int]:
    """(metrics in percent, chosen hyper-parameters, number of test scenes); the order of scenes does not matter."""
    train = sorted(train, key=lambda s: s.name)
    judges, chosen = fit_judges(train, levels, settings, seed)
    count = 0
    for scene in test:
        count += 1
        for judge in judges:
            judge.update(scene)
    metrics = {}
    for judge in judges:
        metrics |= judge.scores()
    return metrics, chosen, count


def fit_judges(train, levels, settings: ProbeSettings, seed: int) -> tuple[list[Judge], dict[str, float]]:
    """All probes of the settings, fitted on train, and the hyper-parameters that were chosen for them."""
    judges, chosen = [], {}
    feat, label = np.concatenate([s.feat for s in train]), np.concatenate([s.segment for s in train])
    if "knn" in settings.probes:
        judges += fit_knn(feat, label, levels, settings, seed)
    if {"linear", "instance", "layers"} & set(settings.probes):
        chosen["l2"], start = choose_strength(train, settings, seed)
        probe = fit_linear(feat, label, settings.num_classes, chosen["l2"], settings.max_iter, settings.device, start)
    if "linear" in settings.probes:
        names = {name: f"linear_{name}" for name in ("mIoU", "mAcc", "allAcc")}
        judges.append(LinearJudge(probe, settings.num_classes, names))
    if "layers" in settings.probes:
        judges += fit_layers(feat, label, levels, settings, chosen["l2"])
    if "instance" in settings.probes:
        heads = fit_heads(train, probe, chosen["l2"], settings, seed)
        chosen["radius"] = heads.radius
        density = int(np.median([len(s.feat) for s in train]))
        judges.append(InstanceJudge(heads, settings.min_points, density, seed))
    if "budgets" in settings.probes:
        judges += fit_budgets(train, settings, seed)
    return judges, chosen


class LinearJudge:
    """A linear probe on some channels; names: score -> metric."""

    def __init__(self, probe: LinearProbe, num_classes: int, names: dict[str, str], columns: np.ndarray | None = None):
        self.probe, self.names, self.columns = probe, names, columns
        self.confusion = np.zeros((num_classes, num_classes), dtype=np.int64)

    def update(self, scene: SceneFeatures) -> None:
        feat = scene.feat if self.columns is None else scene.feat[:, self.columns]
        self.confusion += confusion_matrix(self.probe.predict(feat), scene.segment, len(self.confusion))

    def scores(self) -> dict[str, float]:
        scores = segmentation_scores(self.confusion)
        return {metric: scores[name] for name, metric in self.names.items()}


class KNNJudge:
    """A bank of labelled features; names: k -> metric (mIoU). Queries wait until there are many: a pass over a large
    bank costs the same for one as for thousands."""

    def __init__(self, bank, label, levels, settings: ProbeSettings, names: dict[int, str]):
        self.bank, self.label, self.settings, self.names = bank, label, settings, names
        self.options = dict(ks=tuple(names), temperature=settings.temperature, levels=levels, device=settings.device)
        self.confusion = {k: np.zeros((settings.num_classes,) * 2, dtype=np.int64) for k in names}
        self.waiting: list[tuple[np.ndarray, np.ndarray]] = []

    def update(self, scene: SceneFeatures) -> None:
        known = scene.segment >= 0
        self.waiting.append((scene.feat[known], scene.segment[known]))
        if sum(len(label) for _, label in self.waiting) >= WAITING_QUERIES:
            self.search()

    def search(self) -> None:
        """Classify the waiting queries."""
        query, truth = (np.concatenate(parts) for parts in zip(*self.waiting, strict=True))
        self.waiting = []
        predictions = predict_knn(query, self.bank, self.label, self.settings.num_classes, **self.options)
        for k, pred in predictions.items():
            self.confusion[k] += confusion_matrix(pred, truth, self.settings.num_classes)

    def scores(self) -> dict[str, float]:
        if self.waiting:
            self.search()
        return {metric: segmentation_scores(self.confusion[k])["mIoU"] for k, metric in self.names.items()}


class InstanceJudge:
    """The instance probe on at most `points` points a scene: clusters need the density that the radius was chosen at.
    Keeps labels and predictions of the scenes, not their features."""

    def __init__(self, probe: InstanceProbe, min_points: int, points: int, seed: int = 0):
        self.probe, self.min_points, self.points, self.seed = probe, min_points, points, seed
        self.seen: list[tuple[Instances, np.ndarray, np.ndarray]] = []

    def update(self, scene: SceneFeatures) -> None:
        rows = choose_points(len(scene.feat), self.points, scene.name, self.seed)
        pred = predict_instances(self.probe, scene.feat[rows], scene.coord[rows], self.min_points)
        self.seen.append((pred, scene.segment[rows], scene.instance[rows]))

    def scores(self) -> dict[str, float]:
        predictions, segments, instances = zip(*self.seen, strict=True)
        return instance_scores(predictions, segments, instances, self.probe.things, self.min_points)


def fit_knn(feat, label, levels, settings: ProbeSettings, seed: int) -> list[KNNJudge]:
    """kNN and the nearest neighbour on a natural bank, kNN on a class-balanced one."""
    natural, balanced = natural_bank(label, settings.bank, seed), balanced_bank(label, settings.bank, seed)
    judges = []
    for rows, names in (
        (natural, {1: "knn1_mIoU", settings.k: "knn_mIoU"}),
        (balanced, {settings.k: "knn_balanced_mIoU"}),
    ):
        bank = feat if len(rows) == len(feat) else feat[rows]
        judges.append(KNNJudge(bank, label[rows], levels, settings, names))
    return judges


def choose_strength(train: Sequence[SceneFeatures], settings: ProbeSettings, seed: int):
    """The regularisation that held-out train scenes prefer and the probe that had it (see choose_l2).

    Of a single scene a slab is held out; when that cannot be either, the middle of the grid and None.
    """
    labelled = [s for s in train if (s.segment >= 0).any()]
    if len(labelled) == 1:
        labelled = [s for s in cut_slabs(labelled[0]) if (s.segment >= 0).any()]
    if len(labelled) < 2:
        l2 = sorted(settings.l2_grid)[len(settings.l2_grid) // 2]
        logging.getLogger("msm").warning("too few labelled points to hold some out: regularisation set to %g", l2)
        return l2, None
    feat, label, names = [s.feat for s in labelled], [s.segment for s in labelled], [s.name for s in labelled]
    return choose_l2(
        feat, label, settings.num_classes, names, settings.l2_grid, seed, settings.max_iter, settings.device
    )


def fit_heads(train, semantic: LinearProbe, l2: float, settings: ProbeSettings, seed: int) -> InstanceProbe:
    """The instance probe with the radius that held-out train scenes prefer (with one scene: the first of the grid)."""
    parts = [[getattr(s, key) for s in train] for key in ("feat", "segment", "instance", "coord")]
    shared = dict(num_classes=settings.num_classes, things=settings.things, device=settings.device)
    radius = RADIUS_GRID[0]
    if len(train) > 1:
        radius = choose_radius(
            *parts, [s.name for s in train], min_points=settings.min_points, seed=seed, l2=l2, **shared
        )
    return fit_instance(*parts, radius=radius, semantic=semantic, **shared)


def fit_budgets(train, settings: ProbeSettings, seed: int) -> list[LinearJudge]:
    """Linear probes from a share of the train scenes, and from a number of labelled points in each scene."""
    parts = {}
    for share in SCENE_SHARES:
        chosen = scene_budget([s.name for s in train], share, seed)
        parts[f"linear_scenes_{100 * share:g}%"] = [train[i] for i in chosen]
    for points in POINT_BUDGETS:
        limited = [s._replace(segment=limit_labels(s.segment, points, s.name, seed)) for s in train]
        parts[f"linear_points_{points}"] = limited
    judges = []
    for metric, part in parts.items():
        feat, label = np.concatenate([s.feat for s in part]), np.concatenate([s.segment for s in part])
        l2, start = choose_strength(part, settings, seed)
        probe = fit_linear(feat, label, settings.num_classes, l2, settings.max_iter, settings.device, start)
        judges.append(LinearJudge(probe, settings.num_classes, {"mIoU": metric}))
    return judges


def fit_layers(feat, label, levels, settings: ProbeSettings, l2: float) -> list[LinearJudge]:
    """Table 11: linear probes on each level alone and on all but it, with the regularisation chosen for all levels."""
    judges = []
    for metric, columns in layer_columns(levels).items():
        probe = fit_linear(feat[:, columns], label, settings.num_classes, l2, settings.max_iter, settings.device)
        judges.append(LinearJudge(probe, settings.num_classes, {"mIoU": metric}, columns))
    return judges
