"""RMSNorm and the residual sum of the network's blocks on a GPU: one launch each, where PyTorch takes five to twelve.

A network has more of these than of any other layer, and all that they do is to read and write memory. Widths are
run-time arguments, so that few variants are compiled. Sums have a fixed order, so results repeat to the bit.

Legend: V rows, C channels; P programs, each with `steps` blocks of ROWS rows.
"""

import torch
import triton
import triton.language as tl

ROWS, COLUMNS = 64, 32  # of a block
WHOLE = (64, 128, 512)  # channels of a block that must hold whole rows: few, as each is a variant to compile
BLOCK = 4096  # values of such a block
PROGRAMS = 2048  # of a backward pass at most, and so the rows of the partial sums


class Normalise(torch.autograd.Function):
    """scale * x / (||x||_2 / sqrt(C) + eps) in float32, given as `dtype`. x (V, C) contiguous, scale (C,) float32."""

    @staticmethod
    def forward(ctx, x, scale, eps, dtype):
        x = x.contiguous()
        rows, width = x.shape
        out, rms = x.new_empty(x.shape, dtype=dtype), x.new_empty(rows, dtype=torch.float32)
        if rows:
            norm_kernel[(triton.cdiv(rows, ROWS),)](x, scale, out, rms, rows, width, eps, ROWS=ROWS, COLUMNS=COLUMNS)
        ctx.save_for_backward(x, rms, scale)
        ctx.eps = eps
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        x, rms, scale = ctx.saved_tensors
        whole = next(width for width in WHOLE if width >= x.shape[1])
        block = BLOCK // whole
        grad_x, (part, steps) = torch.empty_like(x), _partial_sums(x, block)
        if len(x):
            norm_backward_kernel[(len(part),)](
                x, scale, rms, grad.contiguous(), grad_x, part, len(x), x.shape[1], ctx.eps, steps,
                ROWS=block, WIDTH=whole,
            )  # fmt: skip
        return grad_x, part.sum(0) if ctx.needs_input_grad[1] else None, None, None


class AddScaled(torch.autograd.Function):
    """residual + x * gamma * keep[scene]: the end of a residual branch. x, residual (V, C); gamma (C,) float32; keep
    (B,) float32 with scene (V,) integers, or None for both. Gives float32."""

    @staticmethod
    def forward(ctx, x, residual, gamma, keep, scene):
        x, residual = x.contiguous(), residual.contiguous()
        rows, width = x.shape
        out = x.new_empty(x.shape, dtype=torch.float32)
        if rows:
            grid = triton.cdiv(rows, ROWS), triton.cdiv(width, COLUMNS)
            add_kernel[grid](
                x, residual, gamma, keep, scene, out, rows, width, ROWS=ROWS, COLUMNS=COLUMNS, DROP=keep is not None
            )
        ctx.save_for_backward(x, gamma, keep, scene)
        ctx.residual_type = residual.dtype
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        x, gamma, keep, scene = ctx.saved_tensors
        grad = grad.contiguous()
        grad_x, (part, steps) = torch.empty_like(x), _partial_sums(x, ROWS)
        if len(x):
            add_backward_kernel[len(part), triton.cdiv(x.shape[1], COLUMNS)](
                x, gamma, keep, scene, grad, grad_x, part, len(x), x.shape[1], steps,
                ROWS=ROWS, COLUMNS=COLUMNS, DROP=keep is not None,
            )  # fmt: skip
        return grad_x, grad.to(ctx.residual_type), part.sum(0), None, None


def _partial_sums(x, block):
    """((P, C) float32 for sums over rows, blocks of `block` rows a program)."""
    blocks = triton.cdiv(len(x), block)
    steps = max(1, triton.cdiv(blocks, PROGRAMS))
    return x.new_empty(triton.cdiv(blocks, steps), x.shape[1], dtype=torch.float32), steps


@triton.jit(do_not_specialize=["rows"])
def norm_kernel(x, scale, out, rms, rows, width, eps, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """One block of rows: their root mean squares, then the rows again, from the cache."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    start = row.to(tl.int64)[:, None] * width
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for first in range(0, width, COLUMNS):
        column = first + tl.arange(0, COLUMNS)
        here = (row < rows)[:, None] & (column < width)[None, :]
        value = tl.load(x + start + column[None, :], mask=here, other=0.0).to(tl.float32)
        total += value * value
    root = tl.sqrt(tl.sum(total, 1) / width)
    tl.store(rms + row, root, mask=row < rows)
    for first in range(0, width, COLUMNS):
        column = first + tl.arange(0, COLUMNS)
        here = (row < rows)[:, None] & (column < width)[None, :]
        value = tl.load(x + start + column[None, :], mask=here, other=0.0).to(tl.float32)
        value = value / (root + eps)[:, None] * tl.load(scale + column, mask=column < width, other=0.0)[None, :]
        tl.store(out + start + column[None, :], value.to(out.dtype.element_ty), mask=here)


@triton.jit(do_not_specialize=["rows", "steps"])
def norm_backward_kernel(
    x, scale, rms, grad, grad_x, part, rows, width, eps, steps, ROWS: tl.constexpr, WIDTH: tl.constexpr
):
    """`steps` blocks of whole rows: the gradient to x, and this program's part of that to the scale."""
    program = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, WIDTH)
    factor = tl.load(scale + column, mask=column < width, other=0.0)[None, :]
    total = tl.zeros((WIDTH,), tl.float32)
    for step in range(steps):
        row = (program * steps + step) * ROWS + tl.arange(0, ROWS)
        here = (row < rows)[:, None] & (column < width)[None, :]
        place = row[:, None] * width + column[None, :]
        root = tl.load(rms + row, mask=row < rows, other=1.0)
        value = tl.load(x + place, mask=here, other=0.0).to(tl.float32)
        given = tl.load(grad + place, mask=here, other=0.0).to(tl.float32) / (root + eps)[:, None]
        total += tl.sum(given * value, 0)
        given *= factor
        along = tl.sum(given * value, 1) / ((root + eps) * tl.maximum(root, 1e-30) * width)
        tl.store(grad_x + place, (given - value * along[:, None]).to(grad_x.dtype.element_ty), mask=here)
    tl.store(part + program * width + column, total, mask=column < width)


@triton.jit(do_not_specialize=["rows"])
def add_kernel(
    x, residual, gamma, keep, scene, out, rows, width,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, DROP: tl.constexpr,
):  # fmt: skip
    """One block of `AddScaled`."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    here = (row < rows)[:, None] & (column < width)[None, :]
    place = row.to(tl.int64)[:, None] * width + column[None, :]
    value = tl.load(x + place, mask=here, other=0.0).to(tl.float32)
    value *= tl.load(gamma + column, mask=column < width, other=0.0)[None, :]
    if DROP:
        value *= tl.load(keep + tl.load(scene + row, mask=row < rows, other=0))[:, None]
    value += tl.load(residual + place, mask=here, other=0.0).to(tl.float32)
    tl.store(out + place, value, mask=here)


@triton.jit(do_not_specialize=["rows", "steps"])
def add_backward_kernel(
    x, gamma, keep, scene, grad, grad_x, part, rows, width, steps,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, DROP: tl.constexpr,
):  # fmt: skip
    """`steps` blocks of rows and one of columns: the gradient to x, and this program's part of that to gamma."""
    program = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    factor = tl.load(gamma + column, mask=column < width, other=0.0)[None, :]
    total = tl.zeros((COLUMNS,), tl.float32)
    for step in range(steps):
        row = (program * steps + step) * ROWS + tl.arange(0, ROWS)
        here = (row < rows)[:, None] & (column < width)[None, :]
        place = row[:, None] * width + column[None, :]
        given = tl.load(grad + place, mask=here, other=0.0).to(tl.float32)
        if DROP:
            given *= tl.load(keep + tl.load(scene + row, mask=row < rows, other=0))[:, None]
        total += tl.sum(given * tl.load(x + place, mask=here, other=0.0).to(tl.float32), 0)
        tl.store(grad_x + place, (given * factor).to(grad_x.dtype.element_ty), mask=here)
    tl.store(part + program * width + column, total, mask=column < width)
