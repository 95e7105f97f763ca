"""Normalisation and residual scaling of the released network (reference: released code, `transformer++` blocks)."""

import torch
from torch import nn

from .conv_backends import uses_triton


class _Normalise(torch.autograd.Function):
    """scale * x / (||x||_2 / sqrt(C) + eps), keeping only x and one number a row for the backward pass, where autograd
    would keep several copies of x; a network has more of these layers than of any other."""

    @staticmethod
    def forward(ctx, x, scale, eps):
        rms = x.norm(dim=-1, keepdim=True) * x.shape[-1] ** -0.5
        ctx.save_for_backward(x, rms, scale)
        ctx.eps = eps
        return (x / (rms + eps)).mul_(scale)

    @staticmethod
    def backward(ctx, grad):
        x, rms, scale = ctx.saved_tensors
        width = rms + ctx.eps
        product = grad * x
        grad_scale = (product / width).sum_to_size(scale.shape) if ctx.needs_input_grad[1] else None
        along = product.matmul(scale)[..., None] / (width.square() * rms.clamp(min=1e-30) * x.shape[-1])
        return (grad * scale).div_(width).addcmul_(x, along, value=-1), grad_scale, None


class RMSNorm(nn.Module):
    """scale * x / (||x||_2 / sqrt(C) + eps). eps is added outside the root, unlike torch.nn.RMSNorm.

    product: what follows is a product of matrices, so under autocast the output may come in its type at once.
    """

    def __init__(self, channels: int, eps: float = 1e-4, product: bool = False):
        super().__init__()
        self.eps, self.product = eps, product
        self.scale = nn.Parameter(torch.ones(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (..., C) -> (..., C); computed in float32 at least."""
        if _fits_triton(x, self.scale):
            from .triton_norm import Normalise

            half = self.product and torch.is_autocast_enabled(x.device.type)
            dtype = torch.get_autocast_dtype(x.device.type) if half else x.dtype
            return Normalise.apply(x, self.scale, self.eps, dtype)
        wide = x if x.dtype == torch.float64 else x.float()
        return _Normalise.apply(wide, self.scale.to(wide.dtype), self.eps).to(x.dtype)


class SparseNorm(nn.Module):
    """RMSNorm under the extra name `norm` that the released state dict has."""

    def __init__(self, channels: int, product: bool = False):
        super().__init__()
        self.norm = RMSNorm(channels, product=product)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (V, C) -> (V, C)."""
        return self.norm(x)


class SkipPath(nn.Module):
    """x * gamma, whole scenes dropped at random in training (drop path), plus the residual."""

    def __init__(self, channels: int, init: float, drop: float = 0.0):
        super().__init__()
        self.gamma = nn.Parameter(torch.full((1, channels), init))
        self.drop = drop

    def forward(self, x: torch.Tensor, residual: torch.Tensor, batch: torch.Tensor, num_scenes: int) -> torch.Tensor:
        """x, residual (V, C); batch (V,) scene of each voxel -> (V, C)."""
        keep = None
        if self.training and self.drop > 0:
            keep = (torch.rand(num_scenes, device=x.device) >= self.drop).float() / (1 - self.drop)
        if _fits_triton(x, self.gamma):
            from .triton_norm import AddScaled

            return AddScaled.apply(x, residual, self.gamma.view(-1), keep, batch)
        if keep is None:
            return torch.addcmul(residual, x, self.gamma)
        return torch.addcmul(residual, x * self.gamma, keep.to(x.dtype).index_select(0, batch)[:, None])


def _fits_triton(x, parameter):
    """The kernels take rows of up to 512 channels, and parameters in float32, as training and autocast have them."""
    narrow = x.is_cuda and x.ndim == 2 and x.shape[1] <= 512 and x.dtype != torch.float64
    return narrow and parameter.dtype == torch.float32 and uses_triton(x.device)
