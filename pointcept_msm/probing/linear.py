"""Linear probe: multinomial logistic regression on standardised frozen features, by L-BFGS in float32 on any device.

The standard deviation and the mean are those of the training rows; the strength of the regularisation is chosen on
scenes held out of train. Convex, hence the same for any start; deterministic on a CPU. Legend: N points, C channels, K
classes.
"""

import logging
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from pointcept_msm.probing.metrics import check_classes, confusion_matrix, segmentation_scores
from pointcept_msm.probing.softmax_regression import SoftmaxRegression

L2_GRID = (1.0, 1e-1, 1e-2, 1e-3, 1e-4)
ROWS_A_BLOCK = 1 << 16


class Scaler(NamedTuple):
    """Per-channel mean and standard deviation (C,) of the rows a probe was fitted on."""

    mean: torch.Tensor
    std: torch.Tensor


class LinearProbe(NamedTuple):
    """weight (C, K) and bias (K,) on standardised features, and their scaler. CPU tensors."""

    weight: torch.Tensor
    bias: torch.Tensor
    scaler: Scaler

    def predict_logits(self, feat: np.ndarray) -> np.ndarray:
        """Scores (N, K) float32 of features (N, C), a block of rows at a time."""
        feat = torch.as_tensor(feat)
        blocks = [standardise(x, self.scaler) @ self.weight + self.bias for x in feat.split(ROWS_A_BLOCK)]
        return torch.cat(blocks).numpy() if blocks else np.zeros((0, len(self.bias)), dtype=np.float32)

    def predict(self, feat: np.ndarray) -> np.ndarray:
        """Class (N,) int64 of features (N, C)."""
        return self.predict_logits(feat).argmax(1)


def fit_scaler(feat: np.ndarray) -> Scaler:
    """Mean and standard deviation a channel, in float64; a channel that never changes gets 1."""
    feat = torch.as_tensor(feat)
    count, width = feat.shape
    total, square = torch.zeros(width, dtype=torch.float64), torch.zeros(width, dtype=torch.float64)
    for block in feat.split(ROWS_A_BLOCK):
        total += block.double().sum(0)
    mean = total / count
    for block in feat.split(ROWS_A_BLOCK):
        square += (block.double() - mean).square_().sum(0)
    std = (square / count).sqrt()
    std = torch.where(std > 1e-6 * (1 + mean.abs()), std, torch.ones_like(std))
    return Scaler(mean.float(), std.float())


def standardise(feat: torch.Tensor, scaler: Scaler) -> torch.Tensor:
    """(feat - mean) / std as a new float32 tensor on the device of `feat`. (N, C)."""
    return (feat.float() - scaler.mean.to(feat.device)).div_(scaler.std.to(feat.device))


def fit_linear_path(
    feat: np.ndarray,
    label: np.ndarray,
    num_classes: int,
    l2_grid: Sequence[float],
    max_iter: int = 300,
    device: str | torch.device = "cpu",
    start: LinearProbe | None = None,
) -> list[LinearProbe]:
    """One probe for each strength of `l2_grid` (given strongest first), each started from the one before.

    Minimises mean cross-entropy + l2 / 2 * |weight|^2 over the rows with a known label; the bias is free. start: where
    the first begins; the problem is convex, so it changes the time only. ValueError: no row has a label.
    """
    label = np.asarray(label)
    known = np.flatnonzero(label >= 0)
    if not len(known):
        raise ValueError(f"none of {len(label)} rows has a class; give rows with labels in 0..{num_classes - 1}")
    check_classes("train", label[known], num_classes)
    feat = feat if len(known) == len(label) else feat[known]
    scaler = fit_scaler(feat)
    x = standardise(torch.as_tensor(feat).to(device), scaler)
    problem = SoftmaxRegression(x, torch.as_tensor(label[known]).long().to(device), num_classes)
    weight, bias = (t.to(device) for t in start_at(start, scaler, num_classes))
    probes = []
    for l2 in l2_grid:
        weight, bias = problem.minimise(weight, bias, l2, max_iter)
        probes.append(LinearProbe(weight.cpu(), bias.cpu(), scaler))
    return probes


def fit_linear(
    feat: np.ndarray,
    label: np.ndarray,
    num_classes: int,
    l2: float = 1e-4,
    max_iter: int = 300,
    device="cpu",
    start: LinearProbe | None = None,
) -> LinearProbe:
    """`fit_linear_path` for one strength."""
    return fit_linear_path(feat, label, num_classes, [l2], max_iter, device, start)[0]


def start_at(probe: LinearProbe | None, scaler: Scaler, num_classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias on features standardised by `scaler` that predict as `probe` does (None: zeros)."""
    if probe is None:
        return torch.zeros(len(scaler.mean), num_classes), torch.zeros(num_classes)
    raw = probe.weight / probe.scaler.std[:, None]
    return raw * scaler.std[:, None], probe.bias + (scaler.mean - probe.scaler.mean) @ raw


def split_scenes(names: Sequence[str], share: float = 0.25, seed: int = 0) -> tuple[list[int], list[int]]:
    """Positions of the scenes to fit on and of those held out (at least one of each), by name, whatever their order.

    ValueError: fewer than two scenes.
    """
    if len(names) < 2:
        raise ValueError(f"{len(names)} train scene(s); holding scenes out of train needs at least 2")
    by_name = sorted(range(len(names)), key=lambda i: names[i])
    order = [by_name[i] for i in np.random.default_rng(seed).permutation(len(by_name))]
    held = min(len(names) - 1, max(1, round(share * len(names))))
    return sorted(order[held:]), sorted(order[:held])


def choose_l2(
    feat: Sequence[np.ndarray],
    label: Sequence[np.ndarray],
    num_classes: int,
    names: Sequence[str],
    l2_grid: Sequence[float] = L2_GRID,
    seed: int = 0,
    max_iter: int = 300,
    device: str | torch.device = "cpu",
) -> tuple[float, LinearProbe | None]:
    """The strength with the best mIoU on train scenes held out of the fit, and the probe that had it, from which a fit
    to all scenes starts well; feat and label hold one array a scene. A grid of one is not tried: (it, None)."""
    l2_grid = sorted(l2_grid, reverse=True)
    if len(l2_grid) == 1:
        return l2_grid[0], None
    fit, held = split_scenes(names, seed=seed)
    probes = fit_linear_path(
        np.concatenate([feat[i] for i in fit]),
        np.concatenate([label[i] for i in fit]),
        num_classes,
        l2_grid,
        max_iter,
        device,
    )
    scores = [
        segmentation_scores(sum(confusion_matrix(p.predict(feat[i]), label[i], num_classes) for i in held))["mIoU"]
        for p in probes
    ]
    logging.getLogger("msm").info(
        "linear probe, held-out train mIoU: %s",
        ", ".join(f"l2 {a:g}: {b:.1f}" for a, b in zip(l2_grid, scores, strict=True)),
    )
    best = int(np.nanargmax(scores)) if not np.isnan(scores).all() else 0
    return l2_grid[best], probes[best]


def fit_ridge(feat: np.ndarray, target: np.ndarray, l2: float = 1e-3, scaler: Scaler | None = None) -> LinearProbe:
    """Least squares of targets (N, D) on standardised features, closed form in float64: the quick classifier (one-hot
    targets) and the offset head. l2 counts a row of unit variance: |x w - t|^2 / N + l2 |w|^2."""
    scaler = scaler or fit_scaler(feat)
    feat, target = torch.as_tensor(feat), torch.as_tensor(target).double()
    bias = target.mean(0)
    gram = torch.zeros(feat.shape[1], feat.shape[1], dtype=torch.float64)
    moment = torch.zeros(feat.shape[1], target.shape[1], dtype=torch.float64)
    for x, t in zip(feat.split(ROWS_A_BLOCK), target.split(ROWS_A_BLOCK), strict=True):
        x = standardise(x, scaler).double()
        gram += x.T @ x
        moment += x.T @ (t - bias)
    gram = gram / len(feat) + l2 * torch.eye(len(gram), dtype=torch.float64)
    weight = torch.linalg.solve(gram, moment / len(feat))
    return LinearProbe(weight.float(), bias.float(), scaler)
