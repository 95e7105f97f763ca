"""Normalisation of the teacher's features before they serve as targets.

Standardisation over the batch is the default: layer norm alone let the coarsest level collapse.
"""

import torch
import torch.distributed as dist
import torch.nn.functional as F

TARGET_NORMS = ("batch", "layer", "both", "none")
EPS = 1e-6


def normalise_target(feat: torch.Tensor, norm: str) -> torch.Tensor:
    """feat (V, C) -> (V, C) float32.

    batch: per channel over all voxels of all processes; layer: per voxel; both: batch, then layer; none.
    """
    if norm not in TARGET_NORMS:
        raise ValueError(f"target_norm is {norm!r}; choose one of {', '.join(TARGET_NORMS)}.")
    feat = feat.float()
    if norm in ("batch", "both"):
        feat = standardise(feat)
    if norm in ("layer", "both"):
        feat = F.layer_norm(feat, feat.shape[1:])
    return feat


def standardise(feat: torch.Tensor) -> torch.Tensor:
    """(feat - mean) / std per channel, no affine; statistics shared by all processes."""
    count = _sum_over_processes(feat.new_tensor([len(feat)], dtype=torch.float64))
    mean = _sum_over_processes(feat.double().sum(0)) / count
    centred = feat.double() - mean
    variance = _sum_over_processes(centred.square().sum(0)) / count
    return (centred / (variance + EPS).sqrt()).to(feat.dtype)


def _sum_over_processes(x):
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        dist.all_reduce(x)
    return x
