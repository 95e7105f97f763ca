"""Normalisation and residual paths of the released network (reference: released code, `transformer++` blocks), and the
standardisation in front of a probe.

Norms and paths are rows of features times a factor a row and a scale a channel, so one function does either or both. A
network has more of these layers than of any other: the backward pass keeps x and two numbers a row, where autograd
would keep several copies of x, and a GPU runs one kernel each way (triton_norm.py).
"""

from collections import OrderedDict

import torch
from torch import nn

from pointcept_msm.runtime import comm

from .conv_backends import uses_triton

LEAST = 1e-30  # stands for the norm of a row of zeros
VARIANCE_LEAST = 1e-6  # is added to a channel's variance


def scale_rows(x, scale, eps=None, residual=None, draw=None, scene=None, drop=0.0, dtype=None) -> torch.Tensor:
    """x (V, C) times scale (C,) -> (V, C), computed in float32 at least, given as `dtype` if any.

    Where given: eps: divided by ||x||_2 / sqrt(C) + eps of each row; draw (B,) in [0, 1), scene (V,), drop: rows of
    scenes whose draw is below `drop` become 0, the others are divided by 1 - drop; residual (V, C): added to it.
    """
    if not x.is_cuda or x.dtype == torch.float64 or not uses_triton(x.device):
        return _ScaleRows.apply(x, scale, eps, residual, draw, scene, drop, dtype)
    from .triton_norm import ScaleRows  # Triton comes with torch on Linux only

    return ScaleRows.apply(x, scale, eps, residual, draw, scene, drop, dtype)


class _ScaleRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, scale, eps, residual, draw, scene, drop, dtype):
        factor = norm = width = None
        if draw is not None:
            factor = draw.ge(drop).to(_wide(x)).div_(1 - drop).index_select(0, scene)[:, None]
        if eps is not None:
            norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=_wide(x))
            width = torch.rsub(norm, eps, alpha=-(x.shape[-1] ** -0.5))  # norm / sqrt(C) + eps
        ctx.save_for_backward(x, scale, factor, norm, width)
        ctx.residual_dtype = None if residual is None else residual.dtype
        if factor is not None:
            x = x * (factor if width is None else factor / width)
        elif width is not None:
            x = x / width
        out = x.mul_(scale) if residual is None else torch.addcmul(residual, x, scale)
        return out if dtype is None else out.to(dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        """To x, scale and residual. With y = x factor scale / width, width depends on x too."""
        x, scale, factor, norm, width = ctx.saved_tensors
        wide = grad.to(_wide(x))
        if norm is not None:
            factor = width.reciprocal() if factor is None else factor / width
        product = wide * x
        grad_scale = product.sum(0) if factor is None else factor.view(1, -1).mm(product).view(-1)
        grad_x = wide * scale if factor is None else (wide * scale).mul_(factor)
        if norm is not None:
            along = product.mv(scale.to(product.dtype))[:, None] * factor / (width * norm).clamp_(min=LEAST)
            grad_x.addcmul_(x, along, value=-(x.shape[-1] ** -0.5))
        grad_residual = None if ctx.residual_dtype is None else grad.to(ctx.residual_dtype)
        return grad_x.to(x.dtype), grad_scale.to(scale.dtype), None, grad_residual, None, None, None, None


def _wide(x):
    return torch.float64 if x.dtype == torch.float64 else torch.float32


class RMSNorm(nn.Module):
    """scale * x / (||x||_2 / sqrt(C) + eps). eps is added outside the root, unlike torch.nn.RMSNorm."""

    def __init__(self, channels: int, eps: float = 1e-4):
        super().__init__()
        self.eps = eps
        self.scale = nn.Parameter(torch.ones(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (V, C) -> (V, C) of x's type, under autocast of its type, in which whatever follows multiplies."""
        kind = x.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
        return scale_rows(x, self.scale, self.eps, dtype=dtype)


class SparseNorm(nn.Sequential):
    """RMSNorm under the extra name `norm` that the released state dict has."""

    def __init__(self, channels: int):
        super().__init__(OrderedDict(norm=RMSNorm(channels)))


class SkipPath(nn.Module):
    """x * gamma, whole scenes dropped at random in training (drop path), plus the residual."""

    def __init__(self, channels: int, drop: float = 0.0):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(1, channels))
        self.drop = drop

    def forward(self, x, residual, batch: torch.Tensor, num_scenes: int, norm: SparseNorm | None = None):
        """x, residual (V, C); batch (V,) scene of each voxel; norm: applied to x before -> (V, C)."""
        dropped = self.training and self.drop > 0
        draw = torch.rand(num_scenes, device=x.device) if dropped else None
        scale, eps = self.gamma.squeeze(0), None
        if norm is not None:
            scale, eps = norm.norm.scale * scale, norm.norm.eps
        return scale_rows(x, scale, eps, residual, draw, batch, self.drop)


class RunningStandard(nn.Module):
    """(x - mean) / std per channel, measured and then fixed: in training the first `batches` batches, of all processes
    together, add to the statistics; from then on they stay. Before the first batch it is the identity.
    """

    def __init__(self, channels: int, batches: int = 50):
        super().__init__()
        self.batches = batches
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(channels, dtype=torch.float64))
        self.register_buffer("variance", torch.ones(channels, dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (V, C) -> (V, C) float32."""
        x = x.float()
        if self.training and self.seen < self.batches:
            self.measure(x)
        return (x - self.mean.float()) / (self.variance + VARIANCE_LEAST).sqrt().float()

    @torch.no_grad()
    def measure(self, x: torch.Tensor):
        """Merge a batch (V, C) into the statistics; DDP does not share buffers, so the sums are taken here."""
        variance, mean = (moment.double() for moment in torch.var_mean(x, 0, correction=0))
        own = float(len(x))
        count = comm.reduce_sum_(mean.new_tensor(own))
        shared = comm.reduce_sum_(own * mean) / count
        squares = comm.reduce_sum_(own * (variance + (mean - shared).square()))  # about the mean of all processes
        total = self.count + count
        shift = shared - self.mean
        squares += self.count * (self.variance + shift.square() * count / total)
        self.mean += shift * count / total
        self.variance.copy_(squares / total)
        self.count.copy_(total)
        self.seen += 1
