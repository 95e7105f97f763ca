"""What goes into the network: feature columns of a scene, in the released network's scaling."""

import numpy as np

from pointcept_msm.runtime.errors import UserError

# key -> (columns, how it is scaled)
FEATURES = {
    "color": (3, lambda scene: scene["color"] / np.float32(127.5) - 1),  # 0-255 -> [-1, 1] (released code)
    "normal": (3, lambda scene: scene["normal"]),
    "coord": (3, lambda scene: scene["coord"] - scene["coord"].mean(0, keepdims=True)),  # metres, centred
}


def count_channels(feat_keys) -> int:
    """Width of the features named by feat_keys. Raises UserError for an unknown key."""
    unknown = [key for key in feat_keys if key not in FEATURES]
    if unknown or not feat_keys:
        raise UserError(f"feat_keys {tuple(feat_keys)}: unknown {unknown}; choose from {', '.join(FEATURES)}.")
    return sum(FEATURES[key][0] for key in feat_keys)


def build_feat(scene: dict, feat_keys) -> np.ndarray:
    """Columns (N, C) float32 of scene (coord in metres, color 0-255, normal), in the order of feat_keys.

    Raises UserError naming what the scene lacks: nothing is invented in its place.
    """
    count_channels(feat_keys)
    missing = [key for key in feat_keys if key not in scene]
    if missing:
        raise UserError(
            f"Scene {scene.get('name', '')!r} has no {' and no '.join(missing)}, which the network takes as input; "
            "add it to the scene, or train with other `feat_keys`."
        )
    return np.concatenate([FEATURES[key][1](scene) for key in feat_keys], 1).astype(np.float32)
