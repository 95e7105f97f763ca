"""Sparse convolution in plain PyTorch: exact, on any device, and the reference for the Triton kernels.

On a CPU one block of output rows at a time, tap by tap: gathers the input rows and multiplies them, in a buffer that
stays in cache; then sums each output row's products. Elsewhere, where launches are dear, a stretch of output rows at a
time: gathers all taps side by side, zeros for none, and multiplies once.
"""

import torch
import torch.nn.functional as F

from .kernel_map import KernelMap

GATHERED = 1 << 28  # bytes gathered at once, off the CPU


def convolve(feat: torch.Tensor, weight: torch.Tensor, kernel_map: KernelMap, bias=None) -> torch.Tensor:
    """feat (V_in, C_in), weight (C_out, k, k, k, C_in), bias (C_out,) -> (V_out, C_out) of feat's type; sums of halves
    in float32."""
    taps = weight.to(feat.dtype).flatten(1, 3).permute(1, 2, 0)  # (T, C_in, C_out)
    out = (_BlockConv if feat.device.type == "cpu" else StretchConv).apply(feat, taps, kernel_map)
    return out if bias is None else out + bias.to(out.dtype)


class StretchConv(torch.autograd.Function):
    """feat (V_in, C_in), taps (T, C_in, C_out): (T C_in) channels gathered for some output rows, and one product."""

    @staticmethod
    def forward(ctx, feat, taps, kernel_map):
        ctx.save_for_backward(feat, taps)
        ctx.kernel_map = kernel_map
        return _multiply_stretches(feat, taps, kernel_map)

    @staticmethod
    def backward(ctx, grad):
        feat, taps = ctx.saved_tensors
        grad_feat = _multiply_stretches(grad, taps.transpose(1, 2), ctx.kernel_map.transposed)
        total = feat.new_zeros(taps.shape[0] * taps.shape[1], taps.shape[2], dtype=_sum_dtype(feat))
        for rows, part in zip(*_gather_stretches(feat, ctx.kernel_map, grad), strict=True):
            _add_product(total, rows, part)
        return grad_feat, _order(total.view(taps.shape), ctx.kernel_map).to(taps.dtype), None


def _multiply_stretches(feat, taps, kernel_map):
    out = feat.new_empty(kernel_map.num_out, taps.shape[2])
    matrix = _order(taps, kernel_map).flatten(0, 1)
    for rows, part in zip(*_gather_stretches(feat, kernel_map, out), strict=True):
        torch.mm(rows, matrix, out=part)
    return out


def _order(taps, kernel_map):
    return taps.flip(0) if kernel_map.flipped else taps


def _gather_stretches(feat, kernel_map, out):
    """Input rows of all stored taps side by side (rows, T * C_in), stretch by stretch, and the stretches of `out`."""
    table = kernel_map.stored_table
    step = max(1, GATHERED // (table.shape[1] * feat.shape[1] * feat.element_size()))
    padded = F.pad(feat, (0, 0, 0, 1))  # the row of a tap that meets none
    rows = (padded.index_select(0, part.flatten()).view(len(part), -1) for part in table.split(step))
    return rows, out.split(step)


class _BlockConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx, feat, taps, kernel_map):
        ctx.save_for_backward(feat, taps)
        ctx.kernel_map = kernel_map
        return _multiply(feat, taps, kernel_map)

    @staticmethod
    def backward(ctx, grad):
        feat, taps = ctx.saved_tensors
        return *_gradients(feat, grad.contiguous(), taps, ctx.kernel_map), None


def _multiply(feat, taps, kernel_map):
    """Sum over taps of feat[source] @ taps[t] into the target rows."""
    taps = _order(taps, kernel_map)
    out = feat.new_empty(kernel_map.num_out, taps.shape[2])
    products = feat.new_empty(_most_pairs(kernel_map), taps.shape[2])
    rows = feat.new_empty(_most_of_a_tap(kernel_map), taps.shape[1])
    taps = taps.unbind()
    for block in kernel_map.blocks:
        product = products[: len(block.source)]
        for source, tap, y in zip(block.sources, taps, product.split(block.sizes), strict=True):
            torch.mm(_gather(feat, source, rows), tap, out=y)
        out[block.start : block.end] = _sum_by_row(product, block)
    return out


def _gradients(feat, grad, taps, kernel_map):
    """Gradients to feat and taps in one pass over blocks of input rows: `grad` is gathered once for both."""
    back = kernel_map.transposed
    taps = _order(taps, back)
    grad_feat, grad_taps = torch.empty_like(feat), feat.new_zeros(taps.shape, dtype=_sum_dtype(feat))
    products = feat.new_empty(_most_pairs(back), taps.shape[1])
    outer, inner = (feat.new_empty(_most_of_a_tap(back), width) for width in taps.shape[:0:-1])
    taps_back, sums = [tap.t() for tap in taps], grad_taps.unbind()
    for block in back.blocks:
        own, product = feat[block.start : block.end], products[: len(block.source)]
        parts = zip(block.sources, product.split(block.sizes), block.target.split(block.sizes), strict=True)
        for t, (source, y, target) in enumerate(parts):
            rows = _gather(grad, source, outer)
            torch.mm(rows, taps_back[t], out=y)
            _add_product(sums[t], _gather(own, target, inner), rows)
        grad_feat[block.start : block.end] = _sum_by_row(product, block)
    return grad_feat, _order(grad_taps, back).to(taps.dtype)


def _gather(x, index, buffer):
    """x[index] in the buffer, which is used tap after tap so that it stays in cache."""
    return torch.index_select(x, 0, index, out=buffer[: len(index)])


def _add_product(total, inner, outer):
    """total += inner.T @ outer"""
    if total.dtype == inner.dtype:
        total.addmm_(inner.t(), outer)
    else:
        total += inner.t() @ outer


def _most_pairs(kernel_map):
    return max(len(block.source) for block in kernel_map.blocks)


def _most_of_a_tap(kernel_map):
    return max(max(block.sizes) for block in kernel_map.blocks)


def _sum_by_row(product, block):
    """Sum (rows, C) over each output row's products (P, C); halves are added in float32."""
    return torch.embedding_bag(product, block.by_row, block.ends, False, 0, False, None, True)[0]


def _sum_dtype(feat):
    return torch.float64 if feat.dtype == torch.float64 else torch.float32
