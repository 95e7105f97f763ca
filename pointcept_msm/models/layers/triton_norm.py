"""Normalisation and residual paths (norm.py) on a GPU in Triton: one launch forward, one backward and a small sum.

A program takes ROWS rows and goes over their channels in blocks: once for the norms, once for the result; the second
reading is from cache. Widths are run-time arguments, so a network needs a few variants for each of its types.
"""

import torch
import triton
import triton.language as tl

ROWS, COLUMNS = 32, 64


def scale_rows(x, scale, eps, residual, keep, scene, dtype) -> torch.Tensor:
    """As norm.scale_rows."""
    x, residual = x.contiguous(), residual if residual is None else residual.contiguous()
    if dtype is None:
        dtype = scale.dtype if residual is None else torch.promote_types(residual.dtype, scale.dtype)
    out = torch.empty_like(x, dtype=dtype)
    _launch(forward_kernel, x, scale, eps, residual, keep, scene, out)
    return out


def gradients(grad, eps, x, scale, keep, scene) -> tuple[torch.Tensor, torch.Tensor]:
    """To x (V, C) and scale (C,)."""
    x, grad = x.contiguous(), grad.contiguous()
    grad_x = torch.empty_like(x)
    part = grad.new_empty(triton.cdiv(len(x), ROWS), x.shape[1], dtype=torch.float32)
    _launch(backward_kernel, x, scale, eps, grad, keep, scene, grad_x, part)
    return grad_x, part.sum(0).to(scale.dtype)


def _launch(kernel, x, scale, eps, other, keep, scene, *out):
    if len(x):
        kernel[(triton.cdiv(len(x), ROWS),)](
            x, scale, other, keep, scene, *out, len(x), x.shape[1], 1.0 if eps is None else eps,
            NORM=eps is not None, ROWS=ROWS, COLUMNS=COLUMNS,
        )  # fmt: skip


@triton.jit(do_not_specialize=["count"])
def forward_kernel(
    x, scale, residual, keep, scene, out, count, width, eps,
    NORM: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """out = residual + x * keep / (||x|| / sqrt(width) + eps) * scale, for ROWS rows."""
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
    if keep is not None:
        factor *= tl.load(keep + tl.load(scene + row, mask=row < count, other=0))
    for first in range(0, width, COLUMNS):
        here = (row < count)[:, None] & (first + column < width)[None, :]
        value = tl.load(x + start + first + column[None, :], mask=here, other=0.0).to(tl.float32)
        channel = tl.load(scale + first + column, mask=first + column < width, other=0.0).to(tl.float32)
        value *= factor[:, None] * channel[None, :]
        if residual is not None:
            value += tl.load(residual + start + first + column[None, :], mask=here, other=0.0).to(tl.float32)
        tl.store(out + start + first + column[None, :], value.to(out.dtype.element_ty), mask=here)


@triton.jit(do_not_specialize=["count"])
def backward_kernel(
    x, scale, grad, keep, scene, grad_x, part, count, width, eps,
    NORM: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Gradient to x, and this program's part of that to the scale."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    start = row.to(tl.int64)[:, None] * width
    column = tl.arange(0, COLUMNS)
    factor = tl.full((ROWS,), 1.0, tl.float32)
    back = tl.zeros((ROWS,), tl.float32)  # how much of x each row's gradient loses
    if keep is not None:
        factor *= tl.load(keep + tl.load(scene + row, mask=row < count, other=0))
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
