"""Normalisation and residual paths (norm.py) on a GPU in Triton: one launch forward, one backward and a small sum.

A program takes ROWS rows and goes over their channels in blocks: once for the norms, once for the result; the second
reading is from cache. Widths are run-time arguments, so a network needs a few variants for each of its types.
"""

import torch
import triton
import triton.language as tl

ROWS, COLUMNS = 32, 64


class ScaleRows(torch.autograd.Function):
    """norm.scale_rows."""

    @staticmethod
    def forward(ctx, x, scale, eps, residual, draw, scene, drop, dtype):
        x, residual = x.contiguous(), None if residual is None else residual.contiguous()
        if dtype is None:
            dtype = scale.dtype if residual is None else torch.promote_types(residual.dtype, scale.dtype)
        out = torch.empty_like(x, dtype=dtype)
        ctx.save_for_backward(x, scale, draw, scene)
        ctx.numbers, ctx.residual_dtype = (eps, drop), None if residual is None else residual.dtype
        _launch(forward_kernel, x, scale, residual, draw, scene, out, numbers=ctx.numbers)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        x, scale, draw, scene = ctx.saved_tensors
        grad, grad_x = grad.contiguous(), torch.empty_like(x)
        part = grad.new_empty(triton.cdiv(len(x), ROWS), x.shape[1], dtype=torch.float32)
        _launch(backward_kernel, x, scale, grad, draw, scene, grad_x, part, numbers=ctx.numbers)
        grad_residual = None if ctx.residual_dtype is None else grad.to(ctx.residual_dtype)
        return grad_x, part.sum(0).to(scale.dtype), None, grad_residual, None, None, None, None


def _launch(kernel, x, *tensors, numbers):
    eps, drop = numbers
    if len(x):
        kernel[(triton.cdiv(len(x), ROWS),)](
            x, *tensors, len(x), x.shape[1], eps or 0.0, drop, NORM=eps is not None, ROWS=ROWS, COLUMNS=COLUMNS
        )


@triton.jit(do_not_specialize=["count", "eps", "drop"])
def forward_kernel(
    x, scale, residual, draw, scene, out, count, width, eps, drop,
    NORM: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """out = residual + x * factor / (||x|| / sqrt(width) + eps) * scale, for ROWS rows; factor: 0 or 1 / (1 - drop)."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    start = row.to(tl.int64)[:, None] * width
    column = tl.arange(0, COLUMNS)
    factor = tl.full((ROWS,), 1.0, tl.float32)
    if NORM:
        squares = tl.zeros((ROWS,), tl.float32)
        for first in range(0, width, COLUMNS):
            here = (row < count)[:, None] & (first + column < width)[None, :]
            value = tl.load(x + start + first + column[None, :], mask=here, other=0.0).to(tl.float32)
            squares += tl.sum(value * value, 1)
        factor = 1.0 / (tl.sqrt(squares / width) + eps)
    if draw is not None:
        drawn = tl.load(draw + tl.load(scene + row, mask=row < count, other=0))
        factor = tl.where(drawn < drop, 0.0, factor / (1 - drop))
    for first in range(0, width, COLUMNS):
        here = (row < count)[:, None] & (first + column < width)[None, :]
        value = tl.load(x + start + first + column[None, :], mask=here, other=0.0).to(tl.float32)
        channel = tl.load(scale + first + column, mask=first + column < width, other=0.0).to(tl.float32)
        value *= factor[:, None] * channel[None, :]
        if residual is not None:
            value += tl.load(residual + start + first + column[None, :], mask=here, other=0.0).to(tl.float32)
        tl.store(out + start + first + column[None, :], value.to(out.dtype.element_ty), mask=here)


@triton.jit(do_not_specialize=["count", "eps", "drop"])
def backward_kernel(
    x, scale, grad, draw, scene, grad_x, part, count, width, eps, drop,
    NORM: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Gradient to x, and this program's part of that to the scale."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    start = row.to(tl.int64)[:, None] * width
    column = tl.arange(0, COLUMNS)
    factor = tl.full((ROWS,), 1.0, tl.float32)
    back = tl.zeros((ROWS,), tl.float32)  # how much of x each row's gradient loses
    if draw is not None:
        drawn = tl.load(draw + tl.load(scene + row, mask=row < count, other=0))
        factor = tl.where(drawn < drop, 0.0, factor / (1 - drop))
    if NORM:
        squares = tl.zeros((ROWS,), tl.float32)
        along = tl.zeros((ROWS,), tl.float32)
        for first in range(0, width, COLUMNS):
            here = (row < count)[:, None] & (first + column < width)[None, :]
            value = tl.load(x + start + first + column[None, :], mask=here, other=0.0).to(tl.float32)
            slope = tl.load(grad + start + first + column[None, :], mask=here, other=0.0).to(tl.float32)
            channel = tl.load(scale + first + column, mask=first + column < width, other=0.0).to(tl.float32)
            squares += tl.sum(value * value, 1)
            along += tl.sum(slope * value * channel[None, :], 1)
        rms = tl.sqrt(squares / width)
        factor /= rms + eps
        back = along * factor / ((rms + eps) * tl.maximum(rms, 1e-30) * width)
    for first in range(0, width, COLUMNS):
        here = (row < count)[:, None] & (first + column < width)[None, :]
        value = tl.load(x + start + first + column[None, :], mask=here, other=0.0).to(tl.float32)
        slope = tl.load(grad + start + first + column[None, :], mask=here, other=0.0).to(tl.float32)
        channel = tl.load(scale + first + column, mask=first + column < width, other=0.0).to(tl.float32)
        result = slope * channel[None, :] * factor[:, None] - value * back[:, None]
        tl.store(grad_x + start + first + column[None, :], result.to(grad_x.dtype.element_ty), mask=here)
        total = tl.sum(slope * value * factor[:, None], 0)
        tl.store(part + tl.program_id(0).to(tl.int64) * width + first + column, total, mask=first + column < width)
