"""Features on disk: `<name>.npz` with the array `feat` (N, C), and `<name>.json` beside it that says what it is."""

import json
from pathlib import Path

import numpy as np

from pointcept_msm.features.extractor import FeatureExtractor, hash_state
from pointcept_msm.files.atomic import replace_file

HALF_REACH = float(np.finfo(np.float16).max)


def save_features(folder, name: str, features: np.ndarray, facts: dict, half: bool = False) -> Path:
    """Write both files, each whole or not at all, the description last. ValueError: beyond float16's range."""
    folder = Path(folder)
    if half:
        reach = float(np.abs(features).max())
        if reach > HALF_REACH:
            raise ValueError(f"{name}: features reach {reach:g}, more than float16 holds: leave out --half")
        features = features.astype(np.float16)
    facts = {"points": len(features), "channels": features.shape[1], "dtype": str(features.dtype), **facts}
    text = json.dumps(facts, indent=1) + "\n"
    with replace_file(folder / f"{name}.npz") as file:
        np.savez(file, feat=features)
    with replace_file(folder / f"{name}.json", "w") as file:
        file.write(text)
    return folder / f"{name}.npz"


def describe_extractor(extractor: FeatureExtractor, weights) -> dict:
    """What a set of features owes to its extractor, for the description: no folder names."""
    levels = [
        {"name": name, "voxel": round(edge, 6), "start": columns.start, "stop": columns.stop}
        for name, edge, columns in extractor.levels
    ]
    return {
        "weights": Path(weights).name,
        "weights_sha256": hash_state(extractor.network.state_dict()),
        "inputs": list(extractor.feat_keys),
        "voxel_size": extractor.voxel_size,
        "levels": levels,
    }
