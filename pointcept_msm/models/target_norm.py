"""Normalisation of the teacher's features before they serve as targets.

Standardisation over the batch is the default: layer norm alone let the coarsest level collapse.
"""

import torch
import torch.distributed as dist
import torch.nn.functional as F

TARGET_NORMS = ("batch", "layer", "both", "whiten", "none")
EPS = 1e-6
SHRINK = 0.1  # of the correlations towards none: few voxels of a coarse level cannot tell them well


def normalise_target(feat: torch.Tensor, norm: str) -> torch.Tensor:
    """feat (V, C) -> (V, C) float32.

    batch: per channel over all voxels of all processes; layer: per voxel; both: batch, then layer; whiten: batch, then
    without correlations between channels, so that no direction of a feature weighs more than another; none.
    """
    if norm not in TARGET_NORMS:
        raise ValueError(f"target_norm is {norm!r}; choose one of {', '.join(TARGET_NORMS)}.")
    feat = feat.float()
    if norm in ("batch", "both", "whiten"):
        feat = standardise(feat)
    if norm == "whiten":
        feat = decorrelate(feat)
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


def decorrelate(feat: torch.Tensor) -> torch.Tensor:
    """Standardised feat (V, C) -> feat @ R^(-1/2), R its correlations over all processes, shrunk (ZCA whitening)."""
    count = _sum_over_processes(feat.new_tensor([len(feat)], dtype=torch.float64))
    correlation = _sum_over_processes(feat.double().T @ feat.double()) / count
    unit = torch.eye(len(correlation), dtype=torch.float64, device=feat.device)
    value, vector = torch.linalg.eigh(torch.lerp(correlation, unit, SHRINK))
    return feat @ ((vector * value.rsqrt()) @ vector.T).to(feat.dtype)


def _sum_over_processes(x):
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        dist.all_reduce(x)
    return x
