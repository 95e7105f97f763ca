"""Sparse convolution: submanifold 3x3x3, strided 2x2x2 and its inverse. Weight layout (out, kx, ky, kz, in), as in
spconv 2 and in the released checkpoint.

The torch back end gathers the input rows of a tap, multiplies, and adds to the output rows, one block of output rows at
a time so that the sums stay in cache. It is exact, runs on any device, and is the reference for other back ends.
"""

import math

import torch
from torch import nn

from .kernel_map import KernelMap
from .pyramid import VoxelPyramid


def sparse_conv(feat: torch.Tensor, weight: torch.Tensor, kernel_map: KernelMap) -> torch.Tensor:
    """feat (V_in, C_in), weight (C_out, k, k, k, C_in) -> (V_out, C_out). Under autocast products are in its type,
    sums in float32."""
    if torch.is_autocast_enabled(feat.device.type):
        dtype = torch.get_autocast_dtype(feat.device.type)
        feat, weight = feat.to(dtype), weight.to(dtype)
    taps = weight.flatten(1, 3).permute(1, 2, 0)  # (T, C_in, C_out)
    return _SparseConv.apply(feat, taps, kernel_map)


class _SparseConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx, feat, taps, kernel_map):
        ctx.save_for_backward(feat, taps)
        ctx.kernel_map = kernel_map
        return _multiply(feat, taps, kernel_map)

    @staticmethod
    def backward(ctx, grad):
        feat, taps = ctx.saved_tensors
        grad = grad.contiguous()
        grad_feat = grad_taps = None
        if ctx.needs_input_grad[0]:
            grad_feat = _multiply(grad, taps.transpose(1, 2), ctx.kernel_map.transposed)
        if ctx.needs_input_grad[1]:
            grad_taps = _tap_gradient(feat, grad, taps, ctx.kernel_map)
        return grad_feat, grad_taps, None


def _multiply(feat, taps, kernel_map):
    """Sum over taps of feat[source] @ taps[t] into the target rows."""
    if kernel_map.identity_tap is None:
        out = feat.new_zeros(kernel_map.num_out, taps.shape[2], dtype=_sum_dtype(feat))
    else:
        out = (feat @ taps[kernel_map.identity_tap]).to(_sum_dtype(feat))
    for start, end, pieces in kernel_map.blocks:
        rows = out[start:end]
        for tap, source, target in pieces:
            rows.index_add_(0, target, (feat.index_select(0, source) @ taps[tap]).to(out.dtype))
    return out.to(feat.dtype)


def _tap_gradient(feat, grad, taps, kernel_map):
    out = torch.zeros(taps.shape, dtype=_sum_dtype(feat), device=feat.device)
    if kernel_map.identity_tap is not None:
        out[kernel_map.identity_tap] = feat.T @ grad
    for start, end, pieces in kernel_map.blocks:
        rows = grad[start:end]
        for tap, source, target in pieces:
            out[tap] += feat.index_select(0, source).T @ rows.index_select(0, target)
    return out.to(taps.dtype)


def _sum_dtype(feat):
    return torch.float64 if feat.dtype == torch.float64 else torch.float32


class _ConvWeight(nn.Module):
    """Weight and bias with PyTorch's default initialisation for convolutions (as spconv's)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, bias: bool):
        super().__init__()
        bound = 1 / math.sqrt(in_channels * kernel**3)
        self.weight = nn.Parameter(torch.empty(out_channels, kernel, kernel, kernel, in_channels))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def _convolve(self, feat, kernel_map):
        out = sparse_conv(feat, self.weight, kernel_map)
        return out if self.bias is None else out + self.bias.to(out.dtype)


class SubmanifoldConv(_ConvWeight):
    """3x3x3 convolution whose output voxels are its input voxels."""

    def __init__(self, in_channels: int, out_channels: int, bias: bool = False):
        super().__init__(in_channels, out_channels, 3, bias)

    def forward(self, feat: torch.Tensor, pyramid: VoxelPyramid, level: int) -> torch.Tensor:
        """feat (V_l, C_in) -> (V_l, C_out)."""
        return self._convolve(feat, pyramid.submanifold_map(level))


class StridedConv(_ConvWeight):
    """2x2x2 convolution of stride 2: from a level to the next coarser one."""

    def __init__(self, in_channels: int, out_channels: int, bias: bool = True):
        super().__init__(in_channels, out_channels, 2, bias)

    def forward(self, feat: torch.Tensor, pyramid: VoxelPyramid, level: int) -> torch.Tensor:
        """feat (V_l, C_in) of `level` -> (V_{l+1}, C_out)."""
        return self._convolve(feat, pyramid.strided_map(level))


class InverseConv(_ConvWeight):
    """Transposed 2x2x2 convolution onto the voxels of the next finer level: child 2P + (i, j, k) gets tap (i, j, k)."""

    def __init__(self, in_channels: int, out_channels: int, bias: bool = True):
        super().__init__(in_channels, out_channels, 2, bias)

    def forward(self, feat: torch.Tensor, pyramid: VoxelPyramid, level: int) -> torch.Tensor:
        """feat (V_{l+1}, C_in) -> (V_l, C_out) of `level`."""
        return self._convolve(feat, pyramid.strided_map(level).transposed)
