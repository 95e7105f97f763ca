"""Putting samples into batches, by Pointcept's rules: points are concatenated, offsets stay cumulative.

Legend: a flat dictionary a sample; a key containing `offset` holds cumulative ends (B,), every other tensor is
concatenated along its first dimension, strings are gathered in a list.
"""

import random
from collections.abc import Mapping, Sequence

import torch
from torch.utils.data.dataloader import default_collate


def collate_fn(batch):
    """Join a list of samples (tensors, strings, lists or flat dictionaries of them) into one batch."""
    if not isinstance(batch, Sequence):
        raise TypeError(f"collate_fn got a {type(batch).__name__}, allowed is a list of samples")
    first = batch[0]
    if isinstance(first, torch.Tensor):
        return torch.cat(list(batch))
    if isinstance(first, str):
        return list(batch)
    if isinstance(first, Mapping):
        _check_keys(batch)
        return {key: _collate_entry(key, [sample[key] for sample in batch]) for key in first}
    if isinstance(first, Sequence):
        return torch.cat([torch.as_tensor(sample) for sample in batch])
    return default_collate(batch)


def _check_keys(samples):
    """A key that only some samples have would be dropped, or be missing, depending on which comes first."""
    uneven = set.union(*map(set, samples)) - set.intersection(*map(set, samples))
    if uneven:
        raise ValueError(
            f"only some have {', '.join(sorted(map(str, uneven)))}: give it to all scenes, or leave it out of all"
        )


def _collate_entry(key: str, values: list):
    if "offset" not in key:
        return collate_fn(values)
    counts = [value.diff(prepend=value.new_zeros(1)) for value in values]
    return torch.cumsum(torch.cat(counts), dim=0)


def point_collate_fn(batch, mix_prob: float = 0):
    """Collate dictionaries; with probability `mix_prob` merge neighbouring scenes into one (Mix3D).

    Raises ValueError for view batches (keys such as `global_offset`) with `mix_prob` above 0.
    """
    if not isinstance(batch[0], Mapping):
        raise TypeError(f"point_collate_fn got samples of type {type(batch[0]).__name__}, allowed are dictionaries")
    batch = collate_fn(batch)
    views = sorted(key for key in batch if "_offset" in key)
    if views and mix_prob > 0:
        raise ValueError(f"mix_prob={mix_prob} cannot mix view batches (they have {', '.join(views)}); set mix_prob=0")
    # Drawn even when nothing can come of it, so that both hosts leave the generator in the same state.
    return mix_scenes(batch) if random.random() < mix_prob else batch


def mix_scenes(batch: dict) -> dict:
    """Merge scenes 0 and 1, 2 and 3, ... of a batch; an odd last scene stays alone. Changes the batch in place."""
    if "instance" in batch:
        batch["instance"] = _separate_instances(batch["instance"], batch["offset"])
    for key in [key for key in batch if "offset" in key]:
        batch[key] = torch.cat([batch[key][1:-1:2], batch[key][-1:]])  # (ceil(B / 2),)
    if "grid_coord" in batch and "grid_size" in batch:
        batch["grid_coord"] = _common_grid(batch["coord"], batch["grid_size"][0], batch["offset"])
    return batch


def _separate_instances(instance, offset):
    """Shift the ids of every odd scene past those of the scene before it; -1 stays unknown. (N,) -> (N,)"""
    scenes = list(torch.tensor_split(instance, offset[:-1].cpu()))
    for even, odd in zip(range(0, len(scenes) - 1, 2), range(1, len(scenes), 2)):
        shift = scenes[even].max() + 1 if len(scenes[even]) else 0
        scenes[odd] = torch.where(scenes[odd] == -1, scenes[odd], scenes[odd] + shift)
    return torch.cat(scenes)


def _common_grid(coord, grid_size, offset):
    """Voxel coordinates of merged scenes on one grid each, starting at 0. (N, 3) -> (N, 3) int64"""
    counts = offset.diff(prepend=offset.new_zeros(1))
    scene = torch.repeat_interleave(torch.arange(len(offset), device=offset.device), counts)  # (N,)
    grid = torch.floor(coord / grid_size).to(torch.int64)
    start = grid.new_zeros(len(offset), 3)
    start.scatter_reduce_(0, scene[:, None].expand_as(grid), grid, "amin", include_self=False)
    return grid - start[scene]
