"""Feature sources beside a network's extractor: raw input, and an extractor that sees scenes without some arrays."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from pointcept_msm.datasets.inputs import FILLS
from pointcept_msm.runtime.errors import UserError

WIDTH = dict(height=1, color=3, normal=3)
HEIGHT_SCALE = 1.5  # metres; a room's height then spans about -1 to 1, like colours and normals


class FeatureSource(Protocol):
    """What probes need of an extractor or a baseline; levels: (name, stride in metres, slice of channels)."""

    levels: Sequence[tuple[str, float, slice]]
    channels: int

    def extract(self, scene: dict, mode: str = "exact", rows: np.ndarray | None = None) -> np.ndarray: ...


class RawInput:
    """What a probe can do without any network: height above the floor, colour, normal.

    One block: cosine neighbours compare the whole input vector. UserError: a scene without one of the keys.
    """

    def __init__(self, keys: Sequence[str] = ("height", "color", "normal")):
        self.keys = tuple(keys)
        self.channels = sum(WIDTH[key] for key in keys)
        self.levels = [("raw", 0.0, slice(0, self.channels))]

    def extract(self, scene: dict, mode: str = "exact", rows: np.ndarray | None = None) -> np.ndarray:
        """Features (N, channels) float32 of the scene's points, or of its points `rows`; `mode` has no effect."""
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

    def extract(self, scene: dict, mode: str = "exact", rows: np.ndarray | None = None) -> np.ndarray:
        """The source's features (N, C) of the scene without those arrays."""
        return self.source.extract({k: v for k, v in scene.items() if k not in self.keys}, mode=mode, rows=rows)
