"""Raw input as features: what a probe can do without any network (height above the floor, colour, normal)."""

from collections.abc import Sequence

import numpy as np

WIDTH = dict(height=1, color=3, normal=3)
HEIGHT_SCALE = 1.5  # metres; a room's height then spans about -1 to 1, like colours and normals


class RawInput:
    """A feature source with the extractor's interface: `extract`, `levels`, `channels`, `fingerprint`.

    One block: cosine neighbours compare the whole input vector. ValueError: unknown or missing keys.
    """

    def __init__(self, keys: Sequence[str] = ("height", "color", "normal")):
        unknown = [k for k in keys if k not in WIDTH]
        if unknown or not keys:
            raise ValueError(f"raw input keys are {list(keys)}; allowed: {', '.join(WIDTH)}")
        self.keys = tuple(keys)
        self.channels = sum(WIDTH[k] for k in keys)
        self.levels = [("raw", 0.0, slice(0, self.channels))]
        self.fingerprint = "raw-" + "-".join(keys)

    def extract(self, scene: dict, mode: str = "exact", rows: np.ndarray | None = None) -> np.ndarray:
        """Features (N, channels) float32 of the scene's points, or of its points `rows`; `mode` has no effect."""
        columns = [self._column(scene, key) for key in self.keys]
        feat = np.concatenate(columns, axis=1).astype(np.float32)
        return feat if rows is None else feat[rows]

    @staticmethod
    def _column(scene, key):
        if key == "height":
            z = np.asarray(scene["coord"])[:, 2:3]
            return (z - z.min()) / HEIGHT_SCALE - 1
        if key not in scene:
            raise ValueError(
                f"scene {scene.get('name', '?')} has no {key}; give it or leave {key} out of the raw input's keys"
            )
        value = np.asarray(scene[key], dtype=np.float32)
        return value / 127.5 - 1 if key == "color" else value
