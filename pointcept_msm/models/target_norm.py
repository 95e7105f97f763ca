"""Normalisation of the teacher's features before they serve as targets.

Standardisation over the batch is the default: layer norm alone let the coarsest level collapse.
"""

import torch
import torch.distributed as dist
import torch.nn.functional as F

from pointcept_msm.runtime.errors import UserError

TARGET_NORMS = ("batch", "layer", "both", "whiten", "none")
EPS = 1e-6
SHRINK = 0.1  # of the correlations towards none: few voxels of a coarse level cannot tell them well


def normalise_target(feat: torch.Tensor, rows: torch.Tensor, norm: str) -> torch.Tensor:
    """Rows `rows` (M,) of feat (V, C), normalised: (M, C) float32.

    batch: per channel over all voxels of all processes; layer: per voxel; both: batch, then layer; whiten: batch, then
    without correlations between channels, so that no direction of a feature weighs more than another; none.
    """
    if norm not in TARGET_NORMS:
        raise UserError(f"target_norm is {norm!r}; choose one of {', '.join(TARGET_NORMS)}.")
    chosen = feat.index_select(0, rows).float()
    if norm in ("batch", "both", "whiten"):
        mean, variance = moments(feat)
        scale = (variance + EPS).rsqrt()
        chosen = (chosen - mean) * scale
    if norm == "whiten":
        chosen = chosen @ decorrelation((feat.float() - mean) * scale)
    if norm in ("layer", "both"):
        chosen = F.layer_norm(chosen, chosen.shape[1:])
    return chosen


def moments(feat: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance (C,) float32 of feat (V, C) over the voxels of all processes; in two passes, since the square
    of a mean far from 0 would take float32's digits."""
    share = len(feat) / _sum_over_processes(feat.new_tensor(len(feat), dtype=torch.float32)) if _processes() else 1
    mean = _sum_over_processes(feat.mean(0, dtype=torch.float32) * share)
    return mean, _sum_over_processes((feat - mean).square_().mean(0) * share)


def decorrelation(feat: torch.Tensor) -> torch.Tensor:
    """R^(-1/2) (C, C) of standardised feat (V, C), R its correlations over all processes, shrunk (ZCA whitening)."""
    count = _sum_over_processes(feat.new_tensor([len(feat)], dtype=torch.float64))
    correlation = _sum_over_processes(feat.double().T @ feat.double()) / count
    unit = torch.eye(len(correlation), dtype=torch.float64, device=feat.device)
    value, vector = torch.linalg.eigh(torch.lerp(correlation, unit, SHRINK))
    return ((vector * value.rsqrt()) @ vector.T).to(feat.dtype)


def _sum_over_processes(x):
    if _processes():
        dist.all_reduce(x)
    return x


def _processes():
    """Whether there are others."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
