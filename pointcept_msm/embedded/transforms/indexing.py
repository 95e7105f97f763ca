"""Which entries of a sample have one row a point, and how they are selected together.

`index_valid_keys` in the sample lists them. The first selecting transform creates the list with the keys below; any
other array with one row a point must be added to it before (`Update(keys_dict=dict(index_valid_keys=[...]))`).
"""

import numpy as np

POINT_KEYS = ("coord", "color", "normal", "superpoint", "strength", "segment", "instance")


def select_points(data_dict: dict, index) -> dict:
    """Keep the points `index` (indices or mask) of every per-point entry, in place."""
    for key in data_dict.setdefault("index_valid_keys", list(POINT_KEYS)):
        if key in data_dict:
            data_dict[key] = data_dict[key][index]
    return data_dict


def copy_points(data_dict: dict, index) -> dict:
    """A new sample with the points `index`; entries that are not per point are shared with the old one."""
    keys = data_dict.setdefault("index_valid_keys", list(POINT_KEYS))
    part = {key: value[index] if key in keys else value for key, value in data_dict.items()}
    part["index_valid_keys"] = list(keys)
    return part


def add_point_key(data_dict: dict, key: str, value) -> None:
    """Store a new per-point array and list it in `index_valid_keys` (a copy: the list may belong to the config)."""
    data_dict[key] = value
    if key not in data_dict["index_valid_keys"]:
        data_dict["index_valid_keys"] = [*data_dict["index_valid_keys"], key]


def keep_labelled(data_dict: dict, index):
    """Add the points of `sampled_index` (the labelled ones of limited annotation) to a selection and renumber them."""
    if "sampled_index" not in data_dict:
        return index
    index = np.unique(np.append(index, data_dict["sampled_index"]))
    labelled = np.zeros(len(data_dict["coord"]), dtype=bool)
    labelled[data_dict["sampled_index"]] = True
    data_dict["sampled_index"] = np.flatnonzero(labelled[index])
    return index
