"""Sparse convolution in plain PyTorch: exact, on any device, and the reference for the other back ends.

Gathers the input rows of all taps, multiplies tap by tap, and sums each output row's products, one block of output rows
at a time so that everything but the input stays in cache.
"""

import torch

from .kernel_map import KernelMap

WIDE = 96  # inputs at least this wide are gathered one tap at a time: all taps of a block would not stay in cache


def convolve(feat: torch.Tensor, weight: torch.Tensor, kernel_map: KernelMap) -> torch.Tensor:
    """feat (V_in, C_in), weight (C_out, k, k, k, C_in) of one type -> (V_out, C_out); sums of halves in float32."""
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
