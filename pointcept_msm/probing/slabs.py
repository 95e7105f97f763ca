"""A scene cut into upright slabs, so that a part of a single scene can be held out: neighbours stay together."""

import numpy as np

from pointcept_msm.probing.features import SceneFeatures

SLABS = 4


def cut_slabs(scene: SceneFeatures, count: int = SLABS) -> list[SceneFeatures]:
    """Parts with equal numbers of points along the longer horizontal side, named <scene>/0, /1, ...; empty ones are
    left out."""
    axis = int(np.ptp(scene.coord[:, :2], axis=0).argmax())
    order = np.argsort(scene.coord[:, axis], kind="stable")
    rows = [np.sort(part) for part in np.array_split(order, count) if len(part)]
    return [SceneFeatures(f"{scene.name}/{i}", *(value[r] for value in scene[1:])) for i, r in enumerate(rows)]
