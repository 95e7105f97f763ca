"""Features of a set of scenes for the probes: one path (`source.extract`), a seeded choice of points, a cache on disk.

A cached file is named by everything that decides its content: the source's fingerprint (weights, config, voxel size,
inputs), the interpolation, the scene's arrays, the number of points and the seed. Files are written whole or not at
all.
"""

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from pointcept_msm.files.atomic import replace_file
from pointcept_msm.probing.budgets import scene_rng
from pointcept_msm.probing.knn import LevelSlice

SCENE_ARRAYS = ("coord", "color", "normal")


class FeatureSource(Protocol):
    """What probes need of an extractor or a baseline."""

    levels: Sequence[LevelSlice]
    fingerprint: str

    def extract(self, scene: dict, mode: str = "exact", rows: np.ndarray | None = None) -> np.ndarray: ...


class SceneFeatures(NamedTuple):
    """Chosen points of a scene: feat (n, C) float32, segment and instance (n,) with -1 unknown, coord (n, 3), row
    (n,).
    """

    name: str
    feat: np.ndarray
    segment: np.ndarray
    instance: np.ndarray
    coord: np.ndarray
    row: np.ndarray


def choose_points(count: int, points: int | None, name: str, seed: int) -> np.ndarray:
    """Row numbers of `points` of a scene's `count` points, rising; all of them when None or too few."""
    if points is None or points >= count:
        return np.arange(count)
    return np.sort(scene_rng(name, seed).choice(count, points, replace=False))


def extract_scene(
    source: FeatureSource,
    scene: dict,
    points: int | None = None,
    seed: int = 0,
    mode: str = "exact",
    cache_dir: str | os.PathLike | None = None,
) -> SceneFeatures:
    """Features and labels of a scene's chosen points, from the cache when it holds them."""
    name, count = str(scene.get("name", "scene")), len(scene["coord"])
    row = choose_points(count, points, name, seed)
    path = Path(cache_dir) / f"{cache_key(source, scene, points, seed, mode)}.npy" if cache_dir is not None else None
    if path is not None and path.is_file():
        feat = np.load(path)
    else:
        feat = source.extract(scene, mode=mode, rows=row)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replace_file(path) as file:
                np.save(file, feat)
    unknown = np.full(count, -1, dtype=np.int64)
    segment, instance = (
        np.asarray(scene.get(k, unknown), dtype=np.int64).reshape(-1)[row] for k in ("segment", "instance")
    )
    return SceneFeatures(name, feat, segment, instance, np.asarray(scene["coord"], dtype=np.float32)[row], row)


def extract_scenes(source: FeatureSource, scenes: Iterable[dict], **kwargs) -> list[SceneFeatures]:
    """`extract_scene` over scenes, one in memory at a time."""
    return [extract_scene(source, scene, **kwargs) for scene in scenes]


def cache_key(source: FeatureSource, scene: dict, points: int | None, seed: int, mode: str) -> str:
    """Name of the cached file: the scene's name and a digest of all that decides the features."""
    digest = hashlib.sha256(repr((source.fingerprint, mode, points, seed)).encode())
    for key in SCENE_ARRAYS:
        if key in scene:
            array = np.ascontiguousarray(scene[key])
            digest.update(repr((key, array.shape, array.dtype.str)).encode())
            digest.update(array.data)
    name = "".join(c if c.isalnum() or c in "-_" else "_" for c in str(scene.get("name", "scene")))
    return f"{name[:80]}-{digest.hexdigest()[:24]}"
