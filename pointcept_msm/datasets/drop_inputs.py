"""MSMDropInputs: now and then a scan without colour or normals, so that one network serves scans that lack them."""

import numpy as np

from pointcept_msm.host import TRANSFORMS, register
from pointcept_msm.runtime.errors import UserError

# What stands for an input that is not there, in a scene's units. All become 0 in the network's input columns
# (datasets/features.py); a zero normal also stays what it is under every rotation.
FILLS = {"color": 127.5, "normal": 0.0}
VOXEL_SIZE = 0.02  # metres, of views whose config does not say


def drop_inputs(scene: dict, keys) -> dict:
    """Every row of the arrays `keys` of the scene (N, 3) set to their fill, as new arrays; absent ones stay absent."""
    gone = {key: np.full_like(scene[key], FILLS[key], dtype=np.float32) for key in keys if key in scene}
    return {**scene, **gone}


@register(TRANSFORMS, "MSMDropInputs")
class MSMDropInputs:
    """With probability `drop_color` the scene loses all its colour, with `drop_normal` all its normals, independently.

    Last in `color_augment` of MSMViews (drawn for each view) or of MSMInput (for each scene): a colour transform after
    it would change the fill. `FILLS` is what takes the place; an exported network states it, so that `load` fills.
    """

    def __init__(self, drop_color=0.0, drop_normal=0.0):
        self.shares = {"color": drop_color, "normal": drop_normal}
        for key, share in self.shares.items():
            if not 0 <= share <= 1:
                raise ValueError(f"drop_{key} is {share}; give a probability, 0 (never) to 1 (always).")

    def __call__(self, data_dict: dict) -> dict:
        # A share of 0 draws nothing: a recipe with this transform switched off sees the same random numbers as without.
        gone = [key for key, share in self.shares.items() if share > 0 and np.random.rand() < share]
        return drop_inputs(data_dict, gone) if gone else data_dict


def find_fills(config) -> dict[str, float]:
    """The fills that a network trained with `config` (nested dicts and lists) knows: of inputs it saw dropped."""
    found = {}
    for node in _dictionaries(config):
        if node.get("type") == "MSMDropInputs":
            found |= {key: fill for key, fill in FILLS.items() if node.get(f"drop_{key}", 0.0) > 0}
    return found


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
