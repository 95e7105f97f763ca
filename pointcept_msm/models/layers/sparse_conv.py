"""Sparse convolution: submanifold 3x3x3, strided 2x2x2 and its inverse. Weight layout (out, kx, ky, kz, in), as in
spconv 2 and in the released checkpoint.

The torch back end gathers the input rows of all taps, multiplies tap by tap, and sums each output row's products, one
block of output rows at a time so that everything but the input stays in cache. It is exact, runs on any device, and is
the reference for other back ends.
"""

import math

import torch
from torch import nn

from .kernel_map import KernelMap
from .pyramid import VoxelPyramid

WIDE = 96  # inputs at least this wide are gathered one tap at a time: all taps of a block would not stay in cache


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
        return *_gradients(feat, grad.contiguous(), taps, ctx.kernel_map, *ctx.needs_input_grad[:2]), None


def _multiply(feat, taps, kernel_map):
    """Sum over taps of feat[source] @ taps[t] into the target rows."""
    taps = taps.flip(0) if kernel_map.flipped else taps
    out = feat.new_empty(kernel_map.num_out, taps.shape[2])
    products = _buffer(feat, kernel_map, taps.shape[2])
    gathered = _buffer(feat, kernel_map, taps.shape[1]) if taps.shape[1] < WIDE else None
    for block in kernel_map.blocks:
        product = products[: len(block.source)]
        rows = _gather_taps(feat, block, gathered)
        for x, weight, y in zip(rows, taps, product.split(block.sizes), strict=True):
            torch.mm(x, weight, out=y)
        out[block.start : block.end] = _sum_by_row(product, block)
    return out


def _gather_taps(feat, block, buffer):
    """Input rows of each tap: all at once in the buffer, or without one tap by tap."""
    if buffer is None:
        return (feat.index_select(0, source) for source in block.source.split(block.sizes))
    return torch.index_select(feat, 0, block.source, out=buffer[: len(block.source)]).split(block.sizes)


def _gradients(feat, grad, taps, kernel_map, want_feat, want_taps):
    """Gradients to feat and taps, or None, in one pass over blocks of input rows: `grad` is gathered once for both."""
    back = kernel_map.transposed
    taps = taps.flip(0) if back.flipped else taps
    grad_feat = torch.empty_like(feat) if want_feat else None
    grad_taps = torch.zeros(taps.shape, dtype=_sum_dtype(feat), device=feat.device) if want_taps else None
    inner, outer = (_buffer(feat, back, width) for width in taps.shape[1:])
    for block in back.blocks:
        pairs = len(block.source)
        rows = torch.index_select(grad, 0, block.source, out=outer[:pairs]).split(block.sizes)
        if want_feat:
            for y, weight, x in zip(rows, taps, inner[:pairs].split(block.sizes), strict=True):
                torch.mm(y, weight.t(), out=x)
            grad_feat[block.start : block.end] = _sum_by_row(inner[:pairs], block)
        if want_taps:
            own = torch.index_select(feat[block.start : block.end], 0, block.target, out=inner[:pairs])
            _add_products(grad_taps, own.split(block.sizes), rows)
    if want_taps:
        grad_taps = (grad_taps.flip(0) if back.flipped else grad_taps).to(taps.dtype)
    return grad_feat, grad_taps


def _add_products(total, inner, outer):
    """total[t] += inner[t].T @ outer[t]"""
    for t, (x, y) in enumerate(zip(inner, outer, strict=True)):
        if total.dtype == x.dtype:
            total[t].addmm_(x.t(), y)
        else:
            total[t] += x.t() @ y


def _buffer(feat, kernel_map, width):
    """Room for the largest block's pairs, used block after block so that it stays in cache."""
    return feat.new_empty(max(len(block.source) for block in kernel_map.blocks), width)


def _sum_by_row(product, block):
    """Sum (rows, C) over each output row's products (P, C); halves are added in float32."""
    return torch.embedding_bag(product, block.by_row, block.ends, False, 0, False, None, True)[0]


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
