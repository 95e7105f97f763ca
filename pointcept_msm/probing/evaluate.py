"""One feature source judged: kNN, linear and instance probes, label budgets and layer importance.

First everything is fitted and chosen on the train scenes (regularisation and radius on some held out of the fit); then
the test scenes go by once, one in memory at a time, past all the fitted probes.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pointcept_msm.probing.features import SceneFeatures, choose_points, scene_rng
from pointcept_msm.probing.instance import InstanceProbe, choose_radius, fit_instance, predict_instances
from pointcept_msm.probing.knn import LevelSlice, draw_bank, predict_knn
from pointcept_msm.probing.linear import L2_GRID, LinearProbe, choose_l2, draw_scenes, fit_linear, pool
from pointcept_msm.probing.metrics import confusion_matrix, instance_scores, segmentation_scores
from pointcept_msm.runtime.errors import UserError

PROBES = ("knn", "linear", "instance", "budgets", "layers")
SCENE_SHARES, POINT_BUDGETS = (0.01, 0.05, 0.1, 0.2), (20, 50, 100, 200)  # the paper's
KEPT = ("knn", "linear")  # whose confusion matrices are reported
REPORTED = dict(  # scores of each; of the others mIoU, under their name
    knn1=("mIoU", "mIoU_all"),
    knn=("mIoU", "mIoU_all"),
    linear=("mIoU", "mAcc", "allAcc", "mIoU_all", "mAcc_all"),
)


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
    """metrics in percent, `reachable` being the most that mIoU can be, as classes of the test scenes without a labelled
    point in the train scenes count 0; chosen hyper-parameters; confusion: probe -> scene -> counts (K, K), of kNN and
    linear."""

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
    train = sorted(train, key=lambda s: s.name)
    predictors, chosen, instances = fit_probes(train, levels, settings, seed)
    density = int(np.median([len(s.feat) for s in train]))  # clusters need that at which the radius was chosen
    confusion, seen, metrics = {}, [], {}
    for scene in test:
        for predict in predictors:
            for name, classes in predict(scene).items():
                counts = confusion_matrix(classes, scene.segment, settings.num_classes)
                confusion.setdefault(name, {})[scene.name] = counts
        if instances:
            part = scene.take(choose_points(len(scene.feat), density, scene.name, seed))
            found = [
                predict_instances(instances, part.feat, part.coord, settings.min_points, category)
                for category in (None, part.segment)
            ]
            seen.append((*found, part.segment, part.instance))
    for name, rooms in confusion.items():
        scores = segmentation_scores(sum(rooms.values()))
        metrics |= {f"{name}_{s}": scores[s] for s in REPORTED[name]} if name in REPORTED else {name: scores["mIoU"]}
    if confusion:
        occurs = np.flatnonzero(sum(next(iter(confusion.values())).values()).sum(1))
        fitted = np.isin(occurs, np.concatenate([s.segment for s in train]))
        metrics["reachable"] = 100 * float(fitted.sum()) / max(len(occurs), 1)
    if instances:  # by the true classes too, which tells a bad class head from clusters that fall apart
        predicted, true, *labels = zip(*seen, strict=True)
        scores, ceiling = (instance_scores(x, *labels, settings.things, settings.min_points) for x in (predicted, true))
        metrics |= scores | dict(AP50_true_classes=ceiling["AP50"])
    return Outcome(metrics, chosen, {name: confusion[name] for name in KEPT if name in confusion})


def fit_probes(
    train, levels, settings: ProbeSettings, seed: int
) -> tuple[list[Callable], dict[str, float], InstanceProbe | None]:
    """The probes of the settings fitted on train: functions from a scene to {name: classes (N,), whatever where the
    label is unknown}, the hyper-parameters that were chosen, and the instance probe."""
    predictors, chosen, instances = [], {}, None
    feat, label = pool(train)

    def add(name, probe, columns=slice(None)):
        predictors.append(lambda scene: {name: probe.predict(scene.feat[:, columns])})

    if "knn" in settings.probes:
        predictors.append(fit_knn(feat, label, levels, settings, seed))
    if {"linear", "instance", "layers"} & set(settings.probes):
        probe, chosen["l2"] = fit_best(train, settings, seed)
    if "linear" in settings.probes:
        add("linear", probe)
    if "layers" in settings.probes:  # with the regularisation chosen for all levels
        for name, columns in layer_columns(levels).items():
            part = fit_linear(feat[:, columns], label, settings.num_classes, chosen["l2"], **settings.solver)
            add(name, part, columns)
    if "instance" in settings.probes:
        instances = fit_instances(train, probe, settings, chosen["l2"], seed)
        chosen["radius"] = instances.radius
    if "budgets" in settings.probes:
        for name, part in cut_budgets(train, seed).items():
            add(name, fit_best(part, settings, seed)[0])
    return predictors, chosen, instances


def fit_instances(scenes, semantic: LinearProbe, settings: ProbeSettings, l2: float, seed: int) -> InstanceProbe:
    """The instance probe beside a fitted class head of strength l2, with the radius that held-out scenes prefer."""
    shared = dict(things=settings.things, num_classes=settings.num_classes, device=settings.device)
    radius = choose_radius(scenes, min_points=settings.min_points, seed=seed, l2=l2, **shared)
    return fit_instance(scenes, semantic, settings.things, radius)


def fit_best(scenes, settings: ProbeSettings, seed: int) -> tuple[LinearProbe, float]:
    """A linear probe with the regularisation that held-out scenes prefer, and this."""
    l2, start = choose_l2(scenes, settings.num_classes, settings.l2_grid, seed, **settings.solver)
    return fit_linear(*pool(scenes), settings.num_classes, l2, start=start, **settings.solver), l2


def fit_knn(feat, label, levels, settings: ProbeSettings, seed: int) -> Callable:
    """kNN and the nearest neighbour alone, from one search in a bank of labelled points."""
    names = {1: "knn1", settings.k: "knn"}
    rows = draw_bank(label, settings.bank, seed)
    bank, classes = feat if len(rows) == len(feat) else feat[rows], label[rows]
    options = settings.num_classes, tuple(names), settings.temperature, levels, settings.device

    def predict(scene):
        known, whole = scene.segment >= 0, {name: np.full(len(scene.feat), -1) for name in names.values()}
        for k, found in predict_knn(scene.feat[known], bank, classes, *options).items():
            whole[names[k]][known] = found
        return whole

    return predict


def cut_budgets(train, seed: int) -> dict[str, list[SceneFeatures]]:
    """A share of the train scenes, or a number of labelled points in each of them."""
    parts = {}
    for share in SCENE_SHARES:
        chosen = draw_scenes([s.name for s in train], share, seed)
        parts[f"linear_scenes_{100 * share:g}%"] = [train[i] for i in chosen]
    for points in POINT_BUDGETS:
        limited = [s._replace(segment=limit_labels(s.segment, points, s.name, seed)) for s in train]
        parts[f"linear_points_{points}"] = limited
    return parts


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
