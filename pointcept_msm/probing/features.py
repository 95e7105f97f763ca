"""Scenes and their features for the probes: one path (`source.extract`) and a seeded choice of points.

A feature source is a network's extractor or what stands in for it here: it has `levels` ((name, stride in metres, slice
of channels) each), `channels` and `extract(scene, rows)`.
"""

import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from pointcept_msm.datasets.inputs import FILLS
from pointcept_msm.runtime import comm
from pointcept_msm.runtime.errors import UserError

WIDTH = dict(height=1, color=3, normal=3)
HEIGHT_SCALE = 1.5  # metres; a room's height then spans about -1 to 1, like colours and normals


def scene_rng(name: str, seed: int) -> np.random.Generator:
    """A generator that depends on the scene's name and the seed alone, the same on every machine."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def choose_points(count: int, points: int | None, name: str, seed: int) -> np.ndarray:
    """Row numbers of `points` of a scene's `count` points, rising; all of them when None or too few."""
    if points is None or points >= count:
        return np.arange(count)
    return np.sort(scene_rng(name, seed).choice(count, points, replace=False))


class SceneList:
    """Scenes of `dataset` through `dataset.get_data(i)`, sorted by split and name; no transform is applied.

    limit: at most this many, a seeded draw by name. ignore: labels of `segment` that mean unknown, beside -1.
    UserError: the dataset has no get_data.
    """

    def __init__(self, dataset, limit: int | None = None, seed: int = 0, ignore: Sequence[int] = ()):
        while not hasattr(dataset, "get_data") and hasattr(dataset, "dataset"):
            dataset = dataset.dataset  # a loader's wrapper around the dataset itself
        if not hasattr(dataset, "get_data"):
            raise UserError(
                f"{type(dataset).__name__} has no get_data(i), which gives a raw scene: use one dataset, no mix"
            )
        self.dataset, self.ignore = dataset, tuple(ignore)
        known = sorted((self._name(i), i) for i in range(len(dataset.data_list)))
        if limit is not None and limit < len(known):
            picked = scene_rng("scenes", seed).permutation(len(known))[:limit]
            known = [known[j] for j in sorted(picked)]
        self.names, self.indices = [name for name, _ in known], [i for _, i in known]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> dict:
        """One scene; its `name` is unique within the list ("<split>/<scene>")."""
        scene = {**self.dataset.get_data(self.indices[position]), "name": self.names[position]}
        if self.ignore and "segment" in scene:
            segment = np.asarray(scene["segment"])
            scene["segment"] = np.where(np.isin(segment, self.ignore), -1, segment)
        return scene

    def __iter__(self) -> Iterator[dict]:
        return (self[i] for i in range(len(self)))

    def _name(self, index):
        split = self.dataset.get_split_name(index) if hasattr(self.dataset, "get_split_name") else ""
        return f"{split}/{self.dataset.get_data_name(index)}"


def check_scenes(train: SceneList, test: SceneList, num_classes: int) -> None:
    """Read all scenes once, before hours go into their features.

    UserError: a side without scenes or without labelled points, a scene on both sides, a label that is no class.
    """
    if not len(train) or not len(test):
        raise UserError(f"{len(train)} train and {len(test)} test scenes: probes need at least one of each")
    shared = sorted(set(train.names) & set(test.names))
    if shared:
        raise UserError(
            f"{len(shared)} of {len(test)} test scenes are train scenes too (first: {shared[0]}): give data.train and "
            "data.test different splits"
        )
    for side, scenes in (("train", train), ("test", test)):
        labelled = sum(_count_labelled(side, scene, num_classes) for scene in scenes)
        if not labelled:
            raise UserError(
                f"no point of the {len(scenes)} {side} scene(s) has a class (first: {scenes.names[0]}): probes need "
                f"labels 0 to {num_classes - 1} in data.{side}"
            )


def _count_labelled(side, scene, num_classes):
    values, counts = np.unique(np.asarray(scene.get("segment", [])), return_counts=True)
    wrong = np.flatnonzero((values < -1) | (values >= num_classes))
    if len(wrong):
        value, count = values[wrong[0]], counts[wrong[0]]
        raise UserError(
            f"{side} scene {scene['name']} has the label {value} at {count:,} points, classes are 0 to "
            f"{num_classes - 1} and -1 is unknown: name it unknown with test.ignore=[{value}], or set data.num_classes"
        )
    return int(counts[values >= 0].sum())


class RawInput:
    """What a probe can do without any network: height above the floor, colour, normal.

    One block: cosine neighbours compare the whole input vector. UserError: a scene without one of the keys.
    """

    def __init__(self, keys: Sequence[str] = ("height", "color", "normal")):
        self.keys = tuple(keys)
        self.channels = sum(WIDTH[key] for key in keys)
        self.levels = [("raw", 0.0, slice(0, self.channels))]

    def extract(self, scene: dict, rows: np.ndarray | None = None) -> np.ndarray:
        """Features (N, channels) float32 of the scene's points, or of its points `rows`."""
        feat = np.concatenate([self._column(scene, key) for key in self.keys], axis=1).astype(np.float32)
        return feat if rows is None else feat[rows]

    @staticmethod
    def _column(scene, key):
        if key == "height":
            z = np.asarray(scene["coord"])[:, 2:3]
            return (z - z.min()) / HEIGHT_SCALE - 1
        if key not in scene:
            raise UserError(
                f"scene {scene.get('name', '?')} has no {key}: leave it out of raw input with test.without=[{key}]"
            )
        value = np.asarray(scene[key], dtype=np.float32)
        return value / 127.5 - 1 if key == "color" else value


class WithoutInputs:
    """`source` (an extractor), shown scenes from which the arrays `keys` were taken; what takes their place is the
    source's own matter (its `fill`). UserError: keys that are no input which a scan may lack.
    """

    def __init__(self, source, keys: Sequence[str]):
        if any(key not in FILLS for key in keys):
            raise UserError(f"without is {list(keys)}; allowed are {' and '.join(FILLS)}")
        self.source, self.keys = source, tuple(keys)
        self.levels, self.channels = source.levels, source.channels
        self.voxel_size = getattr(source, "voxel_size", None)

    def extract(self, scene: dict, rows: np.ndarray | None = None) -> np.ndarray:
        """The source's features (N, C) of the scene without those arrays."""
        return self.source.extract({k: v for k, v in scene.items() if k not in self.keys}, rows=rows)


class SceneFeatures(NamedTuple):
    """Chosen points of a scene: feat (n, C) float32, segment and instance (n,) with -1 unknown, coord (n, 3), row
    (n,)."""

    name: str
    feat: np.ndarray
    segment: np.ndarray
    instance: np.ndarray
    coord: np.ndarray
    row: np.ndarray

    def take(self, rows: np.ndarray, name: str | None = None) -> "SceneFeatures":
        """Some of the points."""
        return SceneFeatures(name or self.name, *(value[rows] for value in self[1:]))


def extract_scene(source, scene: dict, points: int | None = None, seed: int = 0) -> SceneFeatures:
    """Features and labels of a scene's chosen points; labels are unknown where the scene has none."""
    name, coord = str(scene.get("name", "scene")), np.asarray(scene["coord"], dtype=np.float32)
    row = choose_points(len(coord), points, name, seed)
    unknown = np.full(len(coord), -1, dtype=np.int64)
    segment, instance = (
        np.asarray(scene.get(key, unknown), dtype=np.int64).reshape(-1)[row] for key in ("segment", "instance")
    )
    return SceneFeatures(name, source.extract(scene, rows=row), segment, instance, coord[row], row)


def extract_scenes(source, scenes: SceneList, **kwargs) -> Iterator[SceneFeatures]:
    """`extract_scene` over scenes, in order; several processes share the work, and each gets all of it."""
    rank, world = comm.get_rank(), comm.get_world_size()
    for start in range(0, len(scenes), world):
        mine = start + rank
        found = extract_scene(source, scenes[mine], **kwargs) if mine < len(scenes) else None
        yield from (part for part in comm.all_gather(found) if part is not None)
