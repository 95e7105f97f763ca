"""One feature source judged: kNN, linear and instance probes, label budgets and layer importance.

First everything is fitted and chosen on the train scenes (regularisation and radius on some held out of the fit); then
the test scenes go by once, a few in memory at a time, past all the fitted probes.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pointcept_msm.probing.features import SceneFeatures, choose_points, scene_rng
from pointcept_msm.probing.instance import InstanceProbe, choose_radius, fit_instance, predict_instances
from pointcept_msm.probing.knn import LevelSlice, draw_bank, predict_knn
from pointcept_msm.probing.linear import L2_GRID, LinearProbe, choose_l2, fit_linear, pool
from pointcept_msm.probing.metrics import Instances, confusion_matrix, instance_scores, segmentation_scores
from pointcept_msm.runtime.errors import UserError

PROBES = ("knn", "linear", "instance", "budgets", "layers")
SCENE_SHARES, POINT_BUDGETS = (0.01, 0.05, 0.1, 0.2), (20, 50, 100, 200)  # the paper's
KEPT = ("knn", "linear")  # whose confusion matrices are reported
WAITING_POINTS = 1 << 15


@dataclass
class ProbeSettings:
    """What the probes need beside features. bank: rows of the kNN bank at most (None: all); things: classes with
    instances; min_points: least size of an instance, in points at the density of the train scenes as sampled (the
    instance probe thins test scenes to it)."""

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
        if not self.probes or any(probe not in PROBES for probe in self.probes):
            raise UserError(f"probes are {list(self.probes)}; allowed: {', '.join(PROBES)}")
        if "instance" in self.probes and not self.things:
            raise UserError("the instance probe needs `things`, the classes that have instances, e.g. things=(2, 3, 4)")

    @property
    def solver(self) -> dict:
        """Arguments of every linear fit."""
        return dict(max_iter=self.max_iter, device=self.device)


class Outcome(NamedTuple):
    """metrics in percent; chosen hyper-parameters; confusion: probe -> scene -> counts (K, K), of kNN and linear."""

    metrics: dict[str, float]
    chosen: dict[str, float]
    confusion: dict[str, dict[str, np.ndarray]]


def evaluate_probes(
    train: Sequence[SceneFeatures],
    test: Iterable[SceneFeatures],
    levels: Sequence[LevelSlice],
    settings: ProbeSettings,
    seed: int = 0,
) -> Outcome:
    """All probes of the settings fitted on train and scored on test; the order of scenes does not matter."""
    judges, chosen = fit_judges(sorted(train, key=lambda s: s.name), levels, settings, seed)
    for scenes in _group(test):
        for judge in judges:
            judge.update(scenes)
    metrics, confusion = {}, {}
    for judge in judges:
        metrics |= judge.scores()
        confusion |= {name: counts for name, counts in judge.confusion.items() if name in KEPT}
    return Outcome(metrics, chosen, confusion)


def _group(scenes: Iterable[SceneFeatures]) -> Iterator[list[SceneFeatures]]:
    """Scenes with many labelled points together: a pass over a large bank costs the same for one as for thousands."""
    waiting = []
    for scene in scenes:
        waiting.append(scene)
        if sum((s.segment >= 0).sum() for s in waiting) >= WAITING_POINTS:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


class SemanticJudge:
    """Classes predicted by a probe, counted in one confusion matrix a scene.

    predict: scenes -> {name: classes (N,) of each scene, whatever where the label is unknown}; metrics: {name: {score
    of `segmentation_scores`: metric}}.
    """

    def __init__(self, predict: Callable, metrics: dict[str, dict[str, str]], num_classes: int):
        self.predict, self.metrics, self.num_classes = predict, metrics, num_classes
        self.confusion = {name: {} for name in metrics}

    def update(self, scenes: list[SceneFeatures]) -> None:
        for name, classes in self.predict(scenes).items():
            for scene, pred in zip(scenes, classes, strict=True):
                self.confusion[name][scene.name] = confusion_matrix(pred, scene.segment, self.num_classes)

    def scores(self) -> dict[str, float]:
        found = {}
        for name, metrics in self.metrics.items():
            scores = segmentation_scores(sum(self.confusion[name].values()))
            found |= {metric: scores[score] for score, metric in metrics.items()}
        return found


class InstanceJudge:
    """The instance probe on at most `points` points a scene: clusters need the density that the radius was chosen at.
    Keeps labels and predictions of the scenes, not their features. AP50_true_classes: the same points by their true
    classes, which tells a bad class head from clusters that fall apart."""

    confusion = {}

    def __init__(self, probe: InstanceProbe, min_points: int, points: int, seed: int = 0):
        self.probe, self.min_points, self.points, self.seed = probe, min_points, points, seed
        self.seen: list[tuple[Instances, Instances, np.ndarray, np.ndarray]] = []

    def update(self, scenes: list[SceneFeatures]) -> None:
        for scene in scenes:
            scene = scene.take(choose_points(len(scene.feat), self.points, scene.name, self.seed))
            found = [
                predict_instances(self.probe, scene.feat, scene.coord, self.min_points, category)
                for category in (None, scene.segment)
            ]
            self.seen.append((*found, scene.segment, scene.instance))

    def scores(self) -> dict[str, float]:
        predicted, true, *labels = zip(*self.seen, strict=True)
        scores, ceiling = (instance_scores(x, *labels, self.probe.things, self.min_points) for x in (predicted, true))
        return scores | dict(AP50_true_classes=ceiling["AP50"])


def fit_judges(train, levels, settings: ProbeSettings, seed: int) -> tuple[list, dict[str, float]]:
    """All probes of the settings, fitted on train, and the hyper-parameters that were chosen for them."""
    judges, chosen = [], {}
    feat, label = pool(train)
    if "knn" in settings.probes:
        judges.append(fit_knn(feat, label, levels, settings, seed))
    if {"linear", "instance", "layers"} & set(settings.probes):
        probe, chosen["l2"] = fit_best(train, settings, seed)
    if "linear" in settings.probes:
        names = {score: f"linear_{score}" for score in ("mIoU", "mAcc", "allAcc", "mIoU_all", "mAcc_all")}
        judges.append(judge_linear("linear", probe, names, settings))
    if "layers" in settings.probes:  # with the regularisation chosen for all levels
        for name, columns in layer_columns(levels).items():
            part = fit_linear(feat[:, columns], label, settings.num_classes, chosen["l2"], **settings.solver)
            judges.append(judge_linear(name, part, {"mIoU": name}, settings, columns))
    if "instance" in settings.probes:
        shared = dict(things=settings.things, num_classes=settings.num_classes, device=settings.device)
        radius = choose_radius(train, min_points=settings.min_points, seed=seed, l2=chosen["l2"], **shared)
        chosen["radius"] = radius
        density = int(np.median([len(s.feat) for s in train]))
        heads = fit_instance(train, probe, settings.things, radius)
        judges.append(InstanceJudge(heads, settings.min_points, density, seed))
    if "budgets" in settings.probes:
        for name, part in cut_budgets(train, seed).items():
            judges.append(judge_linear(name, fit_best(part, settings, seed)[0], {"mIoU": name}, settings))
    return judges, chosen


def fit_best(scenes, settings: ProbeSettings, seed: int) -> tuple[LinearProbe, float]:
    """A linear probe with the regularisation that held-out scenes prefer, and this."""
    l2, start = choose_l2(scenes, settings.num_classes, settings.l2_grid, seed, **settings.solver)
    return fit_linear(*pool(scenes), settings.num_classes, l2, start=start, **settings.solver), l2


def judge_linear(
    name, probe: LinearProbe, metrics, settings: ProbeSettings, columns: np.ndarray | None = None
) -> SemanticJudge:
    """A judge of a linear probe on all channels or on some."""

    def predict(scenes):
        return {name: [probe.predict(s.feat if columns is None else s.feat[:, columns]) for s in scenes]}

    return SemanticJudge(predict, {name: metrics}, settings.num_classes)


def fit_knn(feat, label, levels, settings: ProbeSettings, seed: int) -> SemanticJudge:
    """kNN and the nearest neighbour alone, from one search in a bank of labelled points."""
    names = {1: "knn1", settings.k: "knn"}
    rows = draw_bank(label, settings.bank, seed)
    bank, classes = feat if len(rows) == len(feat) else feat[rows], label[rows]

    def predict(scenes):
        known = [s.segment >= 0 for s in scenes]
        query = np.concatenate([s.feat[mask] for s, mask in zip(scenes, known, strict=True)])
        found = predict_knn(
            query, bank, classes, settings.num_classes, tuple(names), settings.temperature, levels, settings.device
        )
        whole = {name: np.full(sum(map(len, known)), -1) for name in names.values()}
        for k, name in names.items():
            whole[name][np.concatenate(known)] = found[k]
        return {name: np.split(pred, np.cumsum([len(mask) for mask in known])[:-1]) for name, pred in whole.items()}

    metrics = {name: {score: f"{name}_{score}" for score in ("mIoU", "mIoU_all")} for name in names.values()}
    return SemanticJudge(predict, metrics, settings.num_classes)


def cut_budgets(train, seed: int) -> dict[str, list[SceneFeatures]]:
    """A share of the train scenes, or a number of labelled points in each of them."""
    parts = {}
    for share in SCENE_SHARES:
        chosen = scene_budget([s.name for s in train], share, seed)
        parts[f"linear_scenes_{100 * share:g}%"] = [train[i] for i in chosen]
    for points in POINT_BUDGETS:
        limited = [s._replace(segment=limit_labels(s.segment, points, s.name, seed)) for s in train]
        parts[f"linear_points_{points}"] = limited
    return parts


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


def layer_columns(levels: Sequence[tuple[str, float, slice]]) -> dict[str, np.ndarray]:
    """{"<level>_alone": its channels, "<level>_without": all others} (Table 11); empty for a single level."""
    own = {name: np.arange(part.start, part.stop) for name, _, part in levels}
    every = np.concatenate(list(own.values()))
    table = {}
    for name, columns in own.items():
        table[f"{name}_alone"] = columns
        table[f"{name}_without"] = np.setdiff1d(every, columns)
    return table if len(own) > 1 else {}
