"""A feature source that sees scenes without their colour or normals: how much a network loses with them."""

from collections.abc import Sequence

import numpy as np

from pointcept_msm.datasets.drop_inputs import FILLS


class WithoutInputs:
    """`source` (an extractor), shown scenes from which the arrays `keys` were taken; what takes their place is the
    source's own matter (its `fill`). ValueError: keys that are no input which a scan may lack.
    """

    def __init__(self, source, keys: Sequence[str]):
        unknown = [key for key in keys if key not in FILLS]
        if unknown:
            raise ValueError(f"without is {list(keys)}; allowed are {' and '.join(FILLS)}")
        self.source, self.keys = source, tuple(keys)
        self.levels, self.channels = source.levels, source.channels
        self.voxel_size = getattr(source, "voxel_size", None)
        self.fingerprint = f"{source.fingerprint}-without-{'-'.join(sorted(keys))}"

    def extract(self, scene: dict, mode: str = "exact", rows: np.ndarray | None = None) -> np.ndarray:
        """The source's features (N, C) of the scene without those arrays."""
        return self.source.extract({k: v for k, v in scene.items() if k not in self.keys}, mode=mode, rows=rows)
