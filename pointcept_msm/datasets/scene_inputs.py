"""What a scene lacks of a network's inputs, filled in openly or refused: nothing is put in its place unsaid."""

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from .normals import NEIGHBOURS, estimate_normals

LOGGER = logging.getLogger("msm")


def prepare_scene(
    scene: Mapping, feat_keys: Sequence[str], fill_color: float | None = None, estimate: bool = True
) -> tuple[dict, dict[str, str]]:
    """(the scene with every array that `feat_keys` name, {filled array: how it was filled}).

    Normals are estimated from the points; colour becomes `fill_color` (0-255) everywhere. ValueError: colour is absent
    and no fill is given or it is outside 0-255, or normals are absent and `estimate` is False.
    """
    name, scene, filled = scene.get("name", "the scene"), dict(scene), {}
    if "color" in feat_keys and "color" not in scene:
        scene["color"] = np.full((len(scene["coord"]), 3), _check_fill(fill_color, name), dtype=np.float32)
        filled["color"] = f"{fill_color:g} everywhere"
    if "normal" in feat_keys and "normal" not in scene:
        if not estimate:
            raise ValueError(f"{name} has no normals, which the network takes: add them, or let them be estimated")
        scene["normal"] = estimate_normals(scene["coord"])
        filled["normal"] = f"estimated from {NEIGHBOURS} neighbours, facing the scene's middle above its floor"
    for key, how in filled.items():
        LOGGER.info("%s has no %s: %s", name, key, how)
    return scene, filled


def _check_fill(fill_color, name):
    if fill_color is None:
        raise ValueError(
            f"{name} has no color, which the network takes: add it, or state a fill such as --fill-color 127.5 (grey)"
        )
    if not 0 <= fill_color <= 255:
        raise ValueError(f"the fill for color is {fill_color:g}; allowed is 0-255, e.g. 127.5")
    return fill_color
