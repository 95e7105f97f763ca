"""Transforms of the sample dictionary itself: copy, update, to tensors, collect, instance targets."""

import copy
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from pointcept_msm.embedded.registry import TRANSFORMS


@TRANSFORMS.register_module()
class Copy:
    """Copy entries under new names, before later transforms change them in place."""

    def __init__(self, keys_dict=None):
        self.keys_dict = dict(coord="origin_coord", segment="origin_segment") if keys_dict is None else keys_dict

    def __call__(self, data_dict):
        for source, target in self.keys_dict.items():
            value = _entry(data_dict, source, "Copy")
            data_dict[target] = value.clone().detach() if isinstance(value, torch.Tensor) else copy.deepcopy(value)
        return data_dict


@TRANSFORMS.register_module()
class Update:
    """Set entries of the sample to constants of the config."""

    def __init__(self, keys_dict=None):
        self.keys_dict = {} if keys_dict is None else keys_dict

    def __call__(self, data_dict):
        data_dict.update(self.keys_dict)
        return data_dict


@TRANSFORMS.register_module()
class ToTensor:
    """Arrays and numbers to tensors: bool stays, integers become int64, floats float32; strings stay strings."""

    def __call__(self, data):
        if isinstance(data, (torch.Tensor, str)):
            return data
        if isinstance(data, (int, float, np.generic)):
            data = np.asarray([data]) if not isinstance(data, bool) else np.asarray([int(data)])
        if isinstance(data, np.ndarray):
            return _array_to_tensor(data)
        if isinstance(data, Mapping):
            return {key: self(item) for key, item in data.items()}
        if isinstance(data, Sequence):
            return [self(item) for item in data]
        raise TypeError(f"ToTensor got a {type(data).__name__}, allowed are arrays, numbers, strings, dicts and lists")


def _array_to_tensor(array):
    if array.dtype == bool:
        return torch.from_numpy(array)
    if np.issubdtype(array.dtype, np.integer):
        return torch.from_numpy(array.astype(np.int64, copy=False))
    if np.issubdtype(array.dtype, np.floating):
        return torch.from_numpy(array.astype(np.float32, copy=False))
    raise TypeError(f"ToTensor got an array of {array.dtype}, allowed are bool, integers and floats")


@TRANSFORMS.register_module()
class Collect:
    """Keep `keys`; add an offset per entry of `offset_keys_dict`; join `<name>_keys=(...)` into the float entry `name`.

    The default offset counts the points of `coord`; pass `offset_keys_dict=dict()` when offsets are entries already.
    """

    def __init__(self, keys, offset_keys_dict=None, **kwargs):
        self.keys = [keys] if isinstance(keys, str) else keys
        self.offset_keys = dict(offset="coord") if offset_keys_dict is None else offset_keys_dict
        self.kwargs = kwargs

    def __call__(self, data_dict):
        data = {key: _entry(data_dict, key, "Collect") for key in self.keys}
        for name, source in self.offset_keys.items():
            data[name] = torch.tensor([len(_entry(data_dict, source, "Collect"))])
        for name, keys in self.kwargs.items():
            parts = [_entry(data_dict, key, "Collect").float() for key in keys]
            data[name.replace("_keys", "")] = torch.cat(parts, dim=1)  # (N, C)
        return data


def _entry(data_dict, key, transform):
    if key not in data_dict:
        raise KeyError(
            f"{transform} needs {key!r}, the sample of {data_dict.get('name', 'a scene')!r} has "
            f"{', '.join(map(str, data_dict))}; drop it from the config or add it to the data"
        )
    return data_dict[key]


@TRANSFORMS.register_module()
class InstanceParser:
    """Number the instances of classes that are not ignored 0, 1, ...; add `instance_centroid` (N, 3) and `bbox` (I, 8).

    A box is centre 3, size 3, angle 0, and the class after ignored classes have been closed up.
    """

    def __init__(self, segment_ignore_index=(-1, 0, 1), instance_ignore_index=-1):
        self.segment_ignore_index = segment_ignore_index
        self.instance_ignore_index = instance_ignore_index

    def __call__(self, data_dict):
        coord, segment, instance = data_dict["coord"], data_dict["segment"], data_dict["instance"]
        counted = ~np.isin(segment, self.segment_ignore_index)  # (N,)
        instance[~counted] = self.instance_ignore_index
        ids, inverse = np.unique(instance[counted], return_inverse=True)
        instance[counted] = inverse
        centroid = np.full((len(coord), 3), float(self.instance_ignore_index))
        bbox = np.full((len(ids), 8), float(self.instance_ignore_index))
        for i in range(len(ids)):
            members = instance == i
            centroid[members] = coord[members].mean(0)
            bbox[i] = self._box(coord[members], segment[members][0])
        data_dict.update(instance=instance, instance_centroid=centroid, bbox=bbox)
        return data_dict

    def _box(self, coord, label):
        low, high = coord.min(0), coord.max(0)
        closed_up = sum(label > ignored for ignored in self.segment_ignore_index if ignored >= 0)
        return np.concatenate([(high + low) / 2, high - low, [0.0, label - closed_up]])
