"""What a scene lacks of a network's inputs, filled in openly or refused: nothing is put in its place unsaid."""

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from pointcept_msm.runtime.errors import UserError

from .normals import NEIGHBOURS, estimate_normals

LOGGER = logging.getLogger("msm")
ESTIMATE = "estimate"
EVERYWHERE = "everywhere"  # how the description of a constant fill ends
LIMITS = {"color": (0, 255), "normal": (-1, 1)}


def check_fill(fill: Mapping | None) -> dict:
    """The fill as a dictionary: array name -> one number, three numbers, or for normals "estimate" (from the points).

    UserError: another name, a value of another kind, or one outside 0-255 for colour, -1 to 1 for normals.
    """
    fill = dict(fill or {})
    unknown = [key for key in fill if key not in LIMITS]
    if unknown:
        raise UserError(f"fill names {', '.join(map(str, unknown))}; allowed are {' and '.join(LIMITS)}")
    for key, value in fill.items():
        if key == "normal" and isinstance(value, str) and value == ESTIMATE:
            continue
        low, high = LIMITS[key]
        numbers = np.asarray(value)
        known = numbers.dtype.kind in "fiu" and numbers.shape in ((), (3,))
        if not known or not ((numbers >= low) & (numbers <= high)).all():
            more = f', or "{ESTIMATE}"' if key == "normal" else ", e.g. 127.5"
            raise UserError(f"the fill for {key} is {value!r}; allowed is {low} to {high}, one or three numbers{more}")
        if key == "color" and 0 < numbers.max() <= 1:  # a scene with such colours is taken as one of fractions
            raise UserError(f"the fill for color is {value!r}, which looks like a fraction; give 0 to 255, e.g. 127.5")
        fill[key] = numbers.tolist()
    return fill


def prepare_scene(scene: Mapping, feat_keys: Sequence[str], fill: Mapping | None = None) -> tuple[dict, dict[str, str]]:
    """(the scene with every array that `feat_keys` name, {filled array: how it was filled}).

    fill: see `check_fill`. UserError: the scene lacks an array for which there is none.
    """
    name, scene, filled, fill = scene.get("name", "the scene"), dict(scene), {}, fill or {}
    absent = [key for key in feat_keys if key not in scene]
    unfilled = [key for key in absent if key not in fill]
    if unfilled:
        raise UserError(
            f"{name} has no {' and no '.join(unfilled)}; the network takes {', '.join(feat_keys)}: add the array, or "
            'state what stands for it, such as --fill-color 127.5 (in Python: fill={"color": 127.5})'
        )
    for key in absent:
        scene[key], filled[key] = _fill_array(key, fill[key], scene["coord"])
        LOGGER.info("%s has no %s: %s", name, key, filled[key])
    return scene, filled


def _fill_array(key, value, coord):
    """(array (N, 3) float32, how it came about)."""
    if isinstance(value, str):
        return estimate_normals(coord), f"estimated from {NEIGHBOURS} neighbours, facing the scene's middle"
    shown = f"{value:g}" if np.ndim(value) == 0 else ", ".join(f"{x:g}" for x in value)
    filled = np.broadcast_to(np.asarray(value, dtype=np.float32), (len(coord), 3)).copy()
    return filled, f"{shown} {EVERYWHERE}"
