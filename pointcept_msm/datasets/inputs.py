"""What goes into the network: feature columns of a scene in the released network's scaling, and what stands for arrays
that a scene lacks, openly: nothing is put in their place unsaid. Legend: N points, C columns.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from pointcept_msm.datasets.normals import NEIGHBOURS, estimate_normals
from pointcept_msm.host import TRANSFORMS, register
from pointcept_msm.runtime.errors import UserError

VOXEL_SIZE = 0.02  # metres, of views whose config does not say
# key -> (columns, how it is scaled)
FEATURES = {
    "color": (3, lambda scene: scene["color"] / np.float32(127.5) - 1),  # 0-255 -> [-1, 1] (released code)
    "normal": (3, lambda scene: scene["normal"]),
    "coord": (3, lambda scene: scene["coord"] - scene["coord"].mean(0, keepdims=True)),  # metres, centred
}
# What MSMDropInputs puts in place of an input, in a scene's units. All become 0 in the network's columns; a zero normal
# also stays what it is under every rotation.
FILLS = {"color": 127.5, "normal": 0.0}
LIMITS = {"color": (0, 255), "normal": (-1, 1)}
ESTIMATE = "estimate"
EVERYWHERE = "everywhere"  # how the description of a constant fill ends


def count_channels(feat_keys: Sequence[str]) -> int:
    """Width of the features named by feat_keys. UserError: an unknown key, or none."""
    unknown = [key for key in feat_keys if key not in FEATURES]
    if unknown or not feat_keys:
        raise UserError(f"feat_keys {tuple(feat_keys)}: unknown {unknown}; choose from {', '.join(FEATURES)}.")
    return sum(FEATURES[key][0] for key in feat_keys)


def build_feat(scene: Mapping, feat_keys: Sequence[str]) -> np.ndarray:
    """Columns (N, C) float32 of scene (coord in metres, color 0-255, normal), in the order of feat_keys.

    UserError names what the scene lacks.
    """
    missing = [key for key in feat_keys if key not in scene]
    if missing:
        raise UserError(
            f"Scene {scene.get('name', '')!r} has no {' and no '.join(missing)}, which the network takes as input; "
            "add it to the scene, or train with other `feat_keys`."
        )
    return np.concatenate([FEATURES[key][1](scene) for key in feat_keys], 1).astype(np.float32)


def check_fill(fill: Mapping | None) -> dict:
    """The fill as a dictionary: array name -> one number, three numbers, or for normals "estimate" (from the points).

    UserError: another name, a value of another kind, or one outside 0-255 for colour, -1 to 1 for normals.
    """
    fill = dict(fill or {})
    for key, value in fill.items():
        if key not in LIMITS:
            raise UserError(f"fill names {key}; allowed are {' and '.join(LIMITS)}")
        if key == "normal" and isinstance(value, str) and value == ESTIMATE:
            continue
        (low, high), numbers = LIMITS[key], np.asarray(value)
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
    scene, filled, fill = dict(scene), {}, fill or {}
    absent = [key for key in feat_keys if key not in scene]
    unfilled = [key for key in absent if key not in fill]
    if unfilled:
        raise UserError(
            f"{scene.get('name', 'the scene')} has no {' and no '.join(unfilled)}; the network takes "
            f"{', '.join(feat_keys)}: add the array, or state what stands for it, such as --fill-color 127.5 (in "
            'Python: fill={"color": 127.5})'
        )
    for key in absent:
        if fill[key] == ESTIMATE:
            scene[key] = estimate_normals(scene["coord"])
            filled[key] = f"estimated from {NEIGHBOURS} neighbours, facing the scene's middle"
        else:
            value = np.asarray(fill[key], dtype=np.float32)
            scene[key] = np.broadcast_to(value, (len(scene["coord"]), 3)).copy()
            filled[key] = f"{', '.join(f'{x:g}' for x in np.atleast_1d(fill[key]))} {EVERYWHERE}"
    return scene, filled


def drop_inputs(scene: Mapping, keys: Sequence[str]) -> dict:
    """Every row of the arrays `keys` of the scene (N, 3) set to their fill, as new arrays; absent ones stay absent."""
    return {**scene, **{k: np.full_like(scene[k], FILLS[k], dtype=np.float32) for k in keys if k in scene}}


@register(TRANSFORMS, "MSMDropInputs")
class MSMDropInputs:
    """With probability `drop_color` the scene loses all its colour, with `drop_normal` all its normals, independently.

    So one network serves scans that lack them. Last in `color_augment` of MSMViews (drawn for each view) or of MSMInput
    (for each scene): a colour transform after it would change the fill. An exported network states `FILLS`.
    """

    def __init__(self, drop_color=0.0, drop_normal=0.0):
        self.shares = {"color": drop_color, "normal": drop_normal}
        for key, share in self.shares.items():
            if not 0 <= share <= 1:
                raise UserError(f"drop_{key} is {share}; give a probability, 0 (never) to 1 (always).")

    def __call__(self, data_dict: dict) -> dict:
        # A share of 0 draws nothing: a recipe with this transform switched off sees the same random numbers as without.
        gone = [key for key, share in self.shares.items() if share > 0 and np.random.rand() < share]
        return drop_inputs(data_dict, gone) if gone else data_dict


@register(TRANSFORMS, "MSMNormalizeColor")
class MSMNormalizeColor:
    """color from 0 ... 255 to -1 ... 1, in place of Pointcept's NormalizeColor (0 ... 1), where there is colour."""

    def __call__(self, scene: dict) -> dict:
        return dict(scene, color=FEATURES["color"][1](scene)) if "color" in scene else scene


def find_fills(config) -> dict[str, float]:
    """The fills that a network trained with `config` (nested dicts and lists) knows: of inputs it saw dropped."""
    drops = [node for node in _dictionaries(config) if node.get("type") == "MSMDropInputs"]
    return {key: fill for key, fill in FILLS.items() if any(node.get(f"drop_{key}", 0.0) > 0 for node in drops)}


def find_grid_size(config) -> float | None:
    """Metres a voxel of the views that a data set's `config` (nested dicts and lists) makes, None if it makes none.

    UserError: its views differ, so that no network trained with them has one voxel size.
    """
    nodes = list(_dictionaries(config))
    views = [node for node in nodes if node.get("type") in ("MSMViews", "MSMInput")]
    views = views or [node for node in nodes if node.get("type") == "GridSample" and "grid_size" in node]
    sizes = {float(node.get("grid_size", VOXEL_SIZE)) for node in views}
    if len(sizes) > 1:
        raise UserError(f"data.train has voxels of {sorted(sizes)} m; give all its views one grid_size")
    return sizes.pop() if sizes else None


def _dictionaries(node):
    keyed = hasattr(node, "items")  # a host's Config is no Mapping
    if keyed:
        yield node
    for child in [child for _, child in node.items()] if keyed else node if isinstance(node, (list, tuple)) else ():
        yield from _dictionaries(child)
