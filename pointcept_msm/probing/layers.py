"""Layer importance (paper, Table 11): which channels a probe sees, each level alone and all levels but one."""

from collections.abc import Sequence

import numpy as np

from pointcept_msm.probing.knn import LevelSlice


def layer_columns(levels: Sequence[LevelSlice]) -> dict[str, np.ndarray]:
    """{"<level>_alone": its channels, "<level>_without": all others}; empty for a single level."""
    own = {name: np.arange(part.start, part.stop) for name, _, part in levels}
    every = np.concatenate(list(own.values()))
    table = {}
    for name, columns in own.items():
        table[f"{name}_alone"] = columns
        table[f"{name}_without"] = np.setdiff1d(every, columns)
    return table if len(own) > 1 else {}
