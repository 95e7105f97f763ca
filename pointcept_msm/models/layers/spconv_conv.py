"""Sparse convolution by spconv 2.3 (CUDA) or by spconv-triton, which has the same functions (NVIDIA and AMD).

Weights and features go in as they are; the tables are the pyramid's (gather_table.py), not spconv's own. Products and
gradients are spconv's `implicit_gemm` and `implicit_gemm_backward`, one launch for all taps.
"""

from functools import cache
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import torch

from .gather_table import build_gather_table, build_pair_lists
from .kernel_map import KernelMap
from .scaled_half import MOST, scale_to_half

PACKAGES = ("spconv", "spconv_triton")
# Types that each multiplies. spconv has no bfloat16: those are multiplied as scaled float16 (scaled_half.py).
DTYPES = dict(spconv=(torch.float16, torch.float32), spconv_triton=(torch.float16, torch.bfloat16, torch.float32))
ALL_TAPS = np.array([0xFFFFFFFF], dtype=np.uint32)


@cache
def load_spconv(package: str) -> SimpleNamespace:
    """Functions of an installed package, "spconv" or "spconv_triton"; whatever its import raises, if it does."""
    functional, ops, tools, core = (
        import_module(f"{package}.{name}") for name in ("pytorch.functional", "pytorch.ops", "tools", "core")
    )
    return SimpleNamespace(
        implicit_gemm=ops.implicit_gemm,
        implicit_gemm_backward=ops.implicit_gemm_backward,
        indice_conv=functional.indice_conv,
        native=core.ConvAlgo.Native,
        timer=tools.CUDAKernelTimer(False),
        cpu_only=tools.CPU_ONLY_BUILD,
        version=import_module(package).__version__,
    )


def convolve(package: str, feat: torch.Tensor, weight: torch.Tensor, kernel_map: KernelMap) -> torch.Tensor:
    """feat (V_in, C_in), weight (C_out, k, k, k, C_in) of one type, on a GPU -> (V_out, C_out) of that type, sums in
    float32. TypeError for float64, which neither package multiplies."""
    if feat.dtype == torch.float64:
        raise TypeError(
            f"{package} multiplies float16, bfloat16 and float32, the features are float64; use net.float(), or the "
            "torch back end (MSM_CONV_BACKEND=torch)."
        )
    function = _Convolution if feat.dtype in DTYPES[package] else _ScaledConvolution
    train = torch.is_grad_enabled() and (feat.requires_grad or weight.requires_grad)
    return function.apply(feat.contiguous(), weight.contiguous(), load_spconv(package), kernel_map, train)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx, feat, weight, spconv, kernel_map, train):
        return _multiply(ctx, feat, weight, spconv, kernel_map, train)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        return *_gradients(ctx, *ctx.saved_tensors, grad.contiguous()), None, None, None


class _ScaledConvolution(torch.autograd.Function):
    """The same in float16, every operand scaled so that no sum can leave its range."""

    @staticmethod
    def forward(ctx, feat, weight, spconv, kernel_map, train):
        ctx.dtype = feat.dtype
        terms = weight[0].numel()  # summed for one value
        feat, ctx.feat_scale = scale_to_half(feat, min(1.0, MOST / terms))
        weight, ctx.weight_scale = scale_to_half(weight, 1.0)
        out = _multiply(ctx, feat, weight, spconv, kernel_map, train)
        return (out.float() / ctx.feat_scale / ctx.weight_scale).to(ctx.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        feat, weight = ctx.saved_tensors
        terms = max(len(grad), weight[..., 0].numel())  # summed for one gradient: rows, or taps and channels
        grad, scale = scale_to_half(grad.contiguous(), min(1.0, MOST / terms))
        grad_feat, grad_weight = _gradients(ctx, feat, weight, grad)
        grad_feat = grad_feat.float() / scale / ctx.weight_scale
        grad_weight = grad_weight.float() / scale / ctx.feat_scale
        return grad_feat.to(ctx.dtype), grad_weight.to(ctx.dtype), None, None, None


def _multiply(ctx, feat, weight, spconv, kernel_map, train):
    table = kernel_map.keep(build_gather_table)
    out, *made = spconv.implicit_gemm(
        feat, weight, table.rows, [table.mask], [table.order], kernel_map.num_out, [ALL_TAPS], train, False,
        spconv.timer, True,
    )  # fmt: skip
    if train:  # a pass without gradients needs no table of the other direction
        ctx.save_for_backward(feat, weight)
        ctx.spconv, ctx.made = spconv, made
        ctx.tables = table, kernel_map.transposed.keep(build_gather_table)
    return out


def _gradients(ctx, feat, weight, grad):
    """A submanifold map is not named as one: it would need no second mask, and spconv-triton would go without."""
    table, back = ctx.tables
    mask_output, mask_width = ctx.made
    return ctx.spconv.implicit_gemm_backward(
        feat, weight, grad, table.rows, back.rows, [table.mask], [back.mask], [table.order], [back.order], mask_output,
        [ALL_TAPS], mask_width, False, ctx.spconv.timer, True,
    )  # fmt: skip


def convolve_by_pairs(package: str, feat: torch.Tensor, weight: torch.Tensor, kernel_map: KernelMap) -> torch.Tensor:
    """The same by spconv's native algorithm, tap by tap, which its CPU build has as well. For tests and timings and no
    back end: that build has no backward pass, and its sums may be wrong with more than one thread (its issue 679)."""
    spconv = load_spconv(package)
    pairs, counts = kernel_map.keep(build_pair_lists)
    with torch.autocast(feat.device.type, enabled=False):
        return spconv.indice_conv(
            feat.contiguous(), weight.contiguous(), pairs, counts, kernel_map.num_out, spconv.native
        )
