"""Linear probe: multinomial logistic regression on standardised frozen features, by L-BFGS in float32 on any device.

The standard deviation and the mean are those of the training rows; the strength of the regularisation is chosen on
scenes held out of train. Convex, hence the same for any start; deterministic on a CPU. The quick form is ridge
regression in closed form. Legend: N points, C channels, K classes.
"""

import logging
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from pointcept_msm.probing.metrics import confusion_matrix, segmentation_scores
from pointcept_msm.runtime.errors import UserError

LOGGER = logging.getLogger("msm")
L2_GRID = (1.0, 1e-1, 1e-2, 1e-3, 1e-4)
ROWS_A_BLOCK = 1 << 16
SLABS = 4
TYPICAL_CURVATURE = 0.05  # of a softmax output, p (1 - p), between a sure class (0) and an even bet (0.25)


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
        return torch.cat(blocks).numpy()

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


class SoftmaxRegression:
    """min over weight (C, K) and bias (K,) of mean cross-entropy + l2 / 2 |weight|^2, on x (N, C) float32, which is
    rotated in place, and classes y (N,) int64.

    Channels nearly repeat each other and classes differ in size: plain L-BFGS then needs hundreds of steps. On
    principal axes the penalty stays what it is, and dividing every entry by the root of its curvature makes steps of
    any direction alike: the same minimum in a third of the time.
    """

    def __init__(self, x: torch.Tensor, y: torch.Tensor, num_classes: int):
        self.x, self.y, self.num_classes = x, y, num_classes
        gram = sum(block.T @ block for block in x.split(ROWS_A_BLOCK)).double() / len(x)
        variance, axes = torch.linalg.eigh(gram)
        self.variance, self.axes = variance.clamp_min(0).float(), axes.float()
        for block in x.split(ROWS_A_BLOCK):
            block.copy_(block @ self.axes)

    def minimise(self, weight: torch.Tensor, bias: torch.Tensor, l2: float, max_iter: int):
        """Weight (C, K) and bias (K,) at the minimum, from the ones given, in the coordinates of the x given."""
        weight = (self.axes.T @ weight).T.contiguous()  # (K, C)
        scale, bias_scale = self.scales(weight, bias, l2)
        step, bias_step = (weight / scale).requires_grad_(), (bias / bias_scale).requires_grad_()
        solver = torch.optim.LBFGS(
            [step, bias_step],
            max_iter=max_iter,
            history_size=20,
            tolerance_grad=1e-6,
            tolerance_change=1e-7,
            line_search_fn="strong_wolfe",
        )

        def closure():
            with torch.no_grad():
                loss, grad, bias_grad = self.objective(step * scale, bias_step * bias_scale, l2)
                step.grad, bias_step.grad = grad * scale, bias_grad * bias_scale
            return loss

        solver.step(closure)
        return self.axes @ (step * scale).detach().T, (bias_step * bias_scale).detach()

    def scales(self, weight, bias, l2):
        """1 / root of the curvature along each weight (K, C) and bias (K,), at the weights given.

        The curvature is the geometric mean of what it is here and of what it typically is, as it changes on the way.
        """
        curvature, bias_curvature = torch.zeros_like(weight), torch.zeros_like(bias)
        for x in self.x.split(ROWS_A_BLOCK):
            p = torch.softmax(torch.addmm(bias[:, None], weight, x.T), 0)  # (K, n)
            p = p.mul_(1 - p).div_(len(self.x))
            curvature.addmm_(p, x.square())
            bias_curvature += p.sum(1)
        curvature = (curvature * TYPICAL_CURVATURE * self.variance).sqrt() + l2
        return curvature.clamp_min(1e-12).rsqrt(), bias_curvature.clamp_min(1e-5).rsqrt()

    def objective(self, weight, bias, l2):
        """Value, gradient by weight (K, C) and by bias (K,); classes first, which is the faster layout."""
        loss, grad, bias_grad = 0.5 * l2 * weight.square().sum(), l2 * weight, torch.zeros_like(bias)
        share = 1 / len(self.x)
        for x, y in zip(self.x.split(ROWS_A_BLOCK), self.y.split(ROWS_A_BLOCK), strict=True):
            score = torch.log_softmax(torch.addmm(bias[:, None], weight, x.T), 0)  # (K, n)
            loss = loss - share * score.gather(0, y[None]).sum()
            score = score.exp_().mul_(share)
            score.scatter_add_(0, y[None], torch.full_like(score[:1], -share))
            grad.addmm_(score, x)
            bias_grad += score.sum(1)
        return loss, grad, bias_grad


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
    the first begins; the problem is convex, so it changes the time only. UserError: no row has a label.
    """
    label = np.asarray(label)
    known = np.flatnonzero(label >= 0)
    if not len(known):
        raise UserError(
            f"none of the {len(label):,} points drawn to fit on has a class: draw more of them (points_per_scene), or "
            f"give scenes with labels 0 to {num_classes - 1}"
        )
    feat = feat if len(known) == len(label) else feat[known]
    scaler = fit_scaler(feat)
    x = standardise(torch.as_tensor(feat).to(device), scaler)
    problem = SoftmaxRegression(x, torch.as_tensor(label[known]).long().to(device), num_classes)
    weight, bias = (t.to(device) for t in _start_at(start, scaler, num_classes))
    probes = []
    for l2 in l2_grid:
        weight, bias = problem.minimise(weight, bias, l2, max_iter)
        probes.append(LinearProbe(weight.cpu(), bias.cpu(), scaler))
    return probes


def fit_linear(feat: np.ndarray, label: np.ndarray, num_classes: int, l2: float = 1e-4, **options) -> LinearProbe:
    """`fit_linear_path` for one strength."""
    return fit_linear_path(feat, label, num_classes, [l2], **options)[0]


def _start_at(probe: LinearProbe | None, scaler: Scaler, num_classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias on features standardised by `scaler` that predict as `probe` does (None: zeros)."""
    if probe is None:
        return torch.zeros(len(scaler.mean), num_classes), torch.zeros(num_classes)
    raw = probe.weight / probe.scaler.std[:, None]
    return raw * scaler.std[:, None], probe.bias + (scaler.mean - probe.scaler.mean) @ raw


def pool(scenes) -> tuple[np.ndarray, np.ndarray]:
    """Features (N, C) and labels (N,) of all points of SceneFeatures."""
    return np.concatenate([s.feat for s in scenes]), np.concatenate([s.segment for s in scenes])


def split_scenes(names: Sequence[str], share: float = 0.25, seed: int = 0) -> tuple[list[int], list[int]]:
    """Positions of the scenes to fit on and of those held out (at least one of each). UserError: fewer than two."""
    if len(names) < 2:
        raise UserError(f"{len(names)} train scene(s); holding scenes out of train needs at least 2: give more")
    held = draw_scenes(names, min(share, 1 - 1 / len(names)), seed)
    return [i for i in range(len(names)) if i not in held], held


def draw_scenes(names: Sequence[str], share: float, seed: int = 0) -> list[int]:
    """Positions in `names` of a share of the scenes, at least one, rising; drawn by name, whatever their order."""
    by_name = sorted(range(len(names)), key=lambda i: names[i])
    order = np.random.default_rng(seed).permutation(len(names))
    return sorted(by_name[i] for i in order[: max(1, round(share * len(names)))])


def slab_rows(coord: np.ndarray, count: int = SLABS) -> list[np.ndarray]:
    """Row numbers of upright slabs with equal numbers of points along the longer horizontal side of coord (N, 3), so
    that a part of a single scene can be held out: neighbours stay together. Empty ones are left out."""
    axis = int(np.ptp(coord[:, :2], axis=0).argmax())
    order = np.argsort(coord[:, axis], kind="stable")
    return [np.sort(part) for part in np.array_split(order, count) if len(part)]


def choose_l2(
    scenes,
    num_classes: int,
    l2_grid: Sequence[float] = L2_GRID,
    seed: int = 0,
    **options,
) -> tuple[float, LinearProbe | None]:
    """The strength with the best mIoU on scenes held out of `scenes` (SceneFeatures), and the probe that had it, from
    which a fit to all scenes starts well.

    Of a single labelled scene a slab is held out. (the middle of the grid, None) when that cannot be either; a grid of
    one is not tried.
    """
    l2_grid = sorted(l2_grid, reverse=True)
    scenes = [s for s in scenes if (s.segment >= 0).any()]
    if len(scenes) == 1:
        slabs = [scenes[0].take(rows, f"{scenes[0].name}/{i}") for i, rows in enumerate(slab_rows(scenes[0].coord))]
        scenes = [s for s in slabs if (s.segment >= 0).any()]
    if len(l2_grid) == 1:
        return l2_grid[0], None
    if len(scenes) < 2:
        middle = l2_grid[(len(l2_grid) - 1) // 2]
        LOGGER.warning("too few labelled points to hold some out: regularisation set to %g", middle)
        return middle, None
    fit, held = split_scenes([s.name for s in scenes], seed=seed)
    probes = fit_linear_path(*pool([scenes[i] for i in fit]), num_classes, l2_grid, **options)
    scores = []
    for probe in probes:
        counts = [confusion_matrix(probe.predict(scenes[i].feat), scenes[i].segment, num_classes) for i in held]
        scores.append(segmentation_scores(sum(counts))["mIoU"])
    shown = ", ".join(f"l2 {a:g}: {b:.1f}" for a, b in zip(l2_grid, scores, strict=True))
    LOGGER.info("linear probe, held-out train mIoU: %s", shown)
    best = int(np.nanargmax(scores)) if not np.isnan(scores).all() else 0
    return l2_grid[best], probes[best]


def fit_ridge(feat: np.ndarray, target: np.ndarray, l2: float = 1e-3) -> LinearProbe:
    """Least squares of targets (N, D) on standardised features, closed form in float64: the quick classifier (one-hot
    targets) and the offset head. l2 counts a row of unit variance: |x w - t|^2 / N + l2 |w|^2."""
    scaler = fit_scaler(feat)
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
