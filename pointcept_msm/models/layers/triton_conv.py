"""Sparse convolution on a GPU in Triton: gather, multiply and sum in one launch, from the table of a kernel map.

Output rows are sorted, within stretches that stay in the GPU's cache, by the taps they meet, and cut into tiles of
TILE_ROWS: a tile goes through the taps that any of its rows meets. Nothing is tuned at run time: the block sizes are a
fixed table, widths are run-time arguments, so a network needs a handful of compiled variants. Every sum has a fixed
order, so results repeat to the bit.

Legend: V_in, V_out rows, T taps, S tiles; widths are padded to multiples of 16, so that rows are read 16 bytes at once.
"""

from functools import cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
import triton
import triton.language as tl

from . import torch_conv
from .kernel_map import KernelMap

TILE_ROWS = 128
SORTED_ROWS = 1 << 15  # with fewer, a sort takes longer than what it saves
STRETCH, STRETCHES = 1 << 18, 16  # rows sorted among themselves, at least; what they gather stays in the GPU's cache
ALIGN = 16
MAX_TAPS = 32
PROGRAMS = 4096  # of a weight gradient at most, and bytes of the parts that they leave to be summed
PART_BYTES = 1 << 26


class Tiling(NamedTuple):
    """Block sizes of a product: output channels, summed channels (or rows); warps and stages of the load pipeline."""

    outer: int
    inner: int
    warps: int
    stages: int


# (output channels at most, tiling); the last one serves all wider layers.
HALF_PRODUCT = ((32, Tiling(32, 32, 4, 3)), (64, Tiling(64, 64, 4, 2)), (None, Tiling(128, 64, 8, 3)))
FLOAT_PRODUCT = ((32, Tiling(32, 32, 4, 3)), (None, Tiling(64, 32, 8, 3)))
# `outer` is both the output and the input channels of a block of the weight, `inner` the rows added in one product.
HALF_WEIGHT = ((64, Tiling(64, 64, 4, 3)), (None, Tiling(128, 64, 8, 3)))
FLOAT_WEIGHT = ((None, Tiling(64, 32, 8, 3)),)


class Tiles(NamedTuple):
    """A kernel map cut into tiles, on its device.

    order (S * TILE_ROWS,) int32: output rows, V_out past the end; source (S, T, TILE_ROWS) int32: the input row that
    each meets, V_in for none; taps (S, T), num_taps (S,) int32: the taps that a tile meets; met (T, S) int8; count: S.
    """

    order: torch.Tensor
    source: torch.Tensor
    taps: torch.Tensor
    num_taps: torch.Tensor
    met: torch.Tensor
    count: int


def convolve(feat: torch.Tensor, weight: torch.Tensor, kernel_map: KernelMap, bias=None) -> torch.Tensor:
    """feat (V_in, C_in), weight (C_out, k, k, k, C_in), bias (C_out,) -> (V_out, C_out) of feat's type, sums in
    float32. Gradients to weight and bias are of their types. float64 goes to `torch_conv`."""
    if feat.dtype == torch.float64:
        return torch_conv.convolve(feat, weight, kernel_map, bias)
    with torch.cuda.device_of(feat):  # Triton launches on the current device
        return _SparseConv.apply(feat, weight, bias, kernel_map)


class _SparseConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx, feat, weight, bias, kernel_map):
        taps = weight.to(feat.dtype).flatten(1, 3)  # (C_out, T, C_in)
        ctx.save_for_backward(feat, taps)
        ctx.kernel_map, ctx.shape, ctx.dtype = kernel_map, weight.shape, weight.dtype
        return _multiply(feat, taps, kernel_map, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        feat, taps = ctx.saved_tensors
        grad_feat = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_feat = _multiply(grad, taps.transpose(0, 2), ctx.kernel_map.transposed)
        if ctx.needs_input_grad[1]:
            grad_weight = _weight_gradient(feat, grad, ctx.kernel_map).view(ctx.shape).to(ctx.dtype)
        if ctx.needs_input_grad[2]:
            grad_bias = grad.sum(0, dtype=torch.float32).to(ctx.dtype)
        return grad_feat, grad_weight, grad_bias, None


def _multiply(feat, taps, kernel_map, bias=None):
    """feat (V_in, C), taps (D, T, C), bias (D,) -> (V_out, D)."""
    tiles, width = kernel_map.keep(build_tiles), len(taps)
    feat, taps = _pad(feat, 1), _pad(_pad(taps, 2), 0)
    padded, num_taps, inner = taps.shape
    out = feat.new_empty(kernel_map.num_out, padded)
    tiling = _choose(HALF_PRODUCT if feat.itemsize == 2 else FLOAT_PRODUCT, padded)
    product_kernel[(tiles.count * -(-padded // tiling.outer),)](
        feat, taps, _no_bias(feat.device) if bias is None else bias, out, *tiles[:4], kernel_map.num_in,
        kernel_map.num_out, inner, padded, num_taps, *((num_taps - 1, -1) if kernel_map.flipped else (0, 1)),
        0 if bias is None else width,
        TILE_ROWS=TILE_ROWS, OUTER=tiling.outer, INNER=tiling.inner, PRECISION=_precision(feat, True),
        num_warps=tiling.warps, num_stages=tiling.stages,
    )  # fmt: skip
    return out if padded == width else out[:, :width].contiguous()


def _weight_gradient(feat, grad, kernel_map):
    """feat (V_in, C), grad (V_out, D) -> (D, T, C) float32: parts by stretches of tiles, then their sum."""
    tiles, (listed, count) = kernel_map.keep(build_tiles), kernel_map.keep(list_tiles)
    widths = grad.shape[1], feat.shape[1]
    feat, grad = _pad(feat, 1), _pad(grad, 1)
    taps, outer, inner = len(listed), grad.shape[1], feat.shape[1]
    tiling = _choose(HALF_WEIGHT if feat.itemsize == 2 else FLOAT_WEIGHT, max(outer, inner))
    blocks = taps * -(-outer // tiling.outer) * -(-inner // tiling.outer)
    most = min(PROGRAMS // blocks, PART_BYTES // (4 * outer * taps * inner), tiles.count)
    part = feat.new_empty(max(1, most), outer, taps, inner, dtype=torch.float32)
    weight_kernel[blocks, len(part)](
        feat, grad, part, tiles.order, tiles.source, listed, count, kernel_map.num_in, kernel_map.num_out, inner, outer,
        taps, tiles.count, -1 if kernel_map.flipped else 1,
        TILE_ROWS=TILE_ROWS, OUTER=tiling.outer, INNER=tiling.inner, PRECISION=_precision(feat),
        num_warps=tiling.warps, num_stages=tiling.stages,
    )  # fmt: skip
    total = part.sum(0)
    return total if widths == (outer, inner) else total[: widths[0], :, : widths[1]].contiguous()


@cache
def _no_bias(device):
    return torch.zeros(1, device=device)


def _pad(x, dim):
    """x with dimension `dim` padded with zeros to a multiple of ALIGN; contiguous, at an address that is one too."""
    missing = -x.shape[dim] % ALIGN
    if missing:
        return F.pad(x, [0, 0] * (x.ndim - 1 - dim) + [0, missing]).contiguous()
    x = x.contiguous()
    return x if x.data_ptr() % ALIGN == 0 else x.clone()


def _choose(table, width):
    return next(tiling for limit, tiling in table if limit is None or width <= limit)


def _precision(feat, tensor_cores=False):
    """How float32 is multiplied: TF32 where torch allows it, else exactly; on tensor cores as three products of TF32
    parts, whose errors are below those of a plain float32 sum."""
    matmul = torch.backends.cuda.matmul
    allowed = getattr(matmul, "fp32_precision", None) or ("tf32" if matmul.allow_tf32 else "ieee")
    if feat.dtype != torch.float32 or (torch.version.hip and allowed != "tf32"):
        return "ieee"
    return "tf32" if allowed == "tf32" else "tf32x3" if tensor_cores else "ieee"


def build_tiles(kernel_map: KernelMap) -> Tiles:
    """The map cut into tiles: a sort where there are many rows, and one launch."""
    table = kernel_map.stored_table.contiguous()
    (num_out, taps), device, count = table.shape, table.device, triton.cdiv(len(table), TILE_ROWS)
    if num_out < SORTED_ROWS:
        rows = torch.arange(num_out, device=device)
    else:
        key, stretch = table.new_empty(num_out), max(STRETCH, triton.cdiv(num_out, STRETCHES))
        key_kernel[(count,)](
            table, key, _places(taps, device), kernel_map.num_in, num_out, taps, stretch,
            BLOCK=TILE_ROWS, MAX_TAPS=MAX_TAPS,
        )  # fmt: skip
        rows = key.sort(stable=True).indices
    shapes = dict(order=count * TILE_ROWS, source=(count, taps, TILE_ROWS), taps=(count, taps), num_taps=count)
    made = {name: table.new_empty(shape) for name, shape in shapes.items()}
    tiles = Tiles(**made, met=table.new_empty(taps, count, dtype=torch.int8), count=count)
    tile_kernel[(count,)](
        table, rows, *tiles[:5], kernel_map.num_in, num_out, taps, TILE_ROWS=TILE_ROWS, MAX_TAPS=MAX_TAPS
    )
    return tiles


@cache
def _places(taps, device):
    """Bit (T,) int32 of each tap in a sort key: corners foremost, because they split the rows best."""
    taps = sorted(range(taps), key=lambda tap: (tap // 9 != 1) + (tap // 3 % 3 != 1) + (tap % 3 != 1))
    return torch.tensor(taps).argsort().int().to(device)


def list_tiles(kernel_map: KernelMap) -> tuple[torch.Tensor, torch.Tensor]:
    """The tiles (T, S) int32 that meet each tap, first in each row, and their number (T,) int32."""
    met = kernel_map.keep(build_tiles).met
    return met.sort(dim=1, descending=True, stable=True).indices.int(), met.sum(1, dtype=torch.int32)


@triton.jit(do_not_specialize=["num_in", "num_out", "num_taps", "stretch"])
def key_kernel(
    table, key, places, num_in, num_out, num_taps, stretch, BLOCK: tl.constexpr, MAX_TAPS: tl.constexpr
):  # fmt: skip
    """Sort keys: the stretch of a row, then the set of taps it meets, numbered so that neighbours differ in one."""
    row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tap = tl.arange(0, MAX_TAPS)
    inside = (row < num_out)[:, None] & (tap < num_taps)[None, :]
    source = tl.load(table + row.to(tl.int64)[:, None] * num_taps + tap[None, :], mask=inside, other=num_in)
    place = tl.load(places + tap, mask=tap < num_taps, other=0)
    bits = tl.sum((source < num_in).to(tl.int32) << place[None, :], 1)
    bits ^= bits >> 1  # rank in a Gray code
    bits ^= bits >> 2
    bits ^= bits >> 4
    bits ^= bits >> 8
    bits ^= bits >> 16
    tl.store(key + row, row // stretch << 27 | bits, mask=row < num_out)


@triton.jit(do_not_specialize=["num_in", "num_out", "all_taps"])
def tile_kernel(
    table, sorted_rows, order, source, taps, num_taps, met, num_in, num_out, all_taps,
    TILE_ROWS: tl.constexpr, MAX_TAPS: tl.constexpr,
):  # fmt: skip
    """One tile of `Tiles`."""
    tile = tl.program_id(0).to(tl.int64)
    place = tl.arange(0, TILE_ROWS)
    tap = tl.arange(0, MAX_TAPS)
    row = tl.load(sorted_rows + tile * TILE_ROWS + place, mask=tile * TILE_ROWS + place < num_out, other=num_out)
    tl.store(order + tile * TILE_ROWS + place, row.to(tl.int32))
    inside = (row < num_out)[:, None] & (tap < all_taps)[None, :]
    found = tl.load(table + row[:, None] * all_taps + tap[None, :], mask=inside, other=num_in)
    target = source + tile * TILE_ROWS * all_taps + tap[None, :] * TILE_ROWS + place[:, None]
    tl.store(target, found, mask=(tap < all_taps)[None, :] & (place >= 0)[:, None])
    any_met = tl.max((found < num_in).to(tl.int32), 0)
    tl.store(taps + tile * all_taps + tl.cumsum(any_met, 0) - 1, tap, mask=any_met > 0)
    tl.store(num_taps + tile, tl.sum(any_met, 0))
    tl.store(met + tap.to(tl.int64) * tl.num_programs(0) + tile, any_met.to(tl.int8), mask=tap < all_taps)


@triton.jit(do_not_specialize=["num_in", "num_out", "all_taps", "first_tap", "tap_step", "num_biases"])
def product_kernel(
    feat, weight, bias, out, order, source, taps, num_taps, num_in, num_out, width_in, width_out, all_taps, first_tap,
    tap_step, num_biases, TILE_ROWS: tl.constexpr, OUTER: tl.constexpr, INNER: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """One tile of output rows times a block of output channels; weight (width_out, all_taps, width_in). Taps and blocks
    of input channels in one loop and every row's index a step ahead, so that loads are issued before products end."""
    blocks = tl.cdiv(width_out, OUTER)
    tile = (tl.program_id(0) // blocks).to(tl.int64)
    place = tl.arange(0, TILE_ROWS)
    inner = tl.arange(0, INNER)
    outer = tl.program_id(0) % blocks * OUTER + tl.arange(0, OUTER)
    weight_row = weight + outer[None, :] * (all_taps * width_in)
    source += tile * TILE_ROWS * all_taps + place
    taps += tile * all_taps
    steps = tl.cdiv(width_in, INNER)
    total = tl.zeros((TILE_ROWS, OUTER), tl.float32)
    count = tl.load(num_taps + tile)
    tap = tl.load(taps, mask=count > 0, other=0)
    row = tl.load(source + tap * TILE_ROWS)
    for step in range(count * steps):
        channel = step % steps * INNER + inner
        here = (row < num_in)[:, None] & (channel < width_in)[None, :]
        x = tl.load(feat + row.to(tl.int64)[:, None] * width_in + channel[None, :], mask=here, other=0.0)
        known = (outer < width_out)[None, :] & (channel < width_in)[:, None]
        y = tl.load(weight_row + (first_tap + tap_step * tap) * width_in + channel[:, None], mask=known, other=0.0)
        total = tl.dot(x, y, total, input_precision=PRECISION)
        tap = tl.load(taps + tl.minimum((step + 1) // steps, count - 1))
        row = tl.load(source + tap * TILE_ROWS)
    total += tl.load(bias + outer, mask=outer < num_biases, other=0.0).to(tl.float32)[None, :]
    row = tl.load(order + tile * TILE_ROWS + place)
    target = out + row.to(tl.int64)[:, None] * width_out + outer[None, :]
    tl.store(target, total.to(out.dtype.element_ty), mask=(row < num_out)[:, None] & (outer < width_out)[None, :])


@triton.jit(do_not_specialize=["num_in", "num_out", "all_taps", "num_tiles", "tap_step"])
def weight_kernel(
    feat, grad, part, order, source, listed, count, num_in, num_out, width_in, width_out, all_taps, num_tiles, tap_step,
    TILE_ROWS: tl.constexpr, OUTER: tl.constexpr, INNER: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """One tap and block of channels of the weight's gradient, summed over a part of the tiles that meet the tap."""
    tap = tl.program_id(0) % all_taps
    block = tl.program_id(0) // all_taps
    blocks = tl.cdiv(width_in, OUTER)
    outer = block // blocks * OUTER + tl.arange(0, OUTER)
    inner = block % blocks * OUTER + tl.arange(0, OUTER)
    tiles = tl.load(count + tap)
    share = tl.cdiv(tiles, tl.num_programs(1))
    first = tl.minimum(tl.program_id(1) * share, tiles)
    steps: tl.constexpr = TILE_ROWS // INNER
    listed += tap.to(tl.int64) * num_tiles + first
    source += tap * TILE_ROWS
    total = tl.zeros((OUTER, OUTER), tl.float32)
    end = tl.minimum(share, tiles - first) * steps
    tile = tl.load(listed, mask=end > 0, other=0).to(tl.int64)
    place = tl.arange(0, INNER)
    row = tl.load(source + tile * all_taps * TILE_ROWS + place)
    target = tl.load(order + tile * TILE_ROWS + place)
    for step in range(end):
        x = tl.load(
            feat + row.to(tl.int64)[:, None] * width_in + inner[None, :],
            mask=(row < num_in)[:, None] & (inner < width_in)[None, :], other=0.0,
        )  # fmt: skip
        y = tl.load(
            grad + target.to(tl.int64)[:, None] * width_out + outer[None, :],
            mask=(row < num_in)[:, None] & (outer < width_out)[None, :], other=0.0,
        )  # fmt: skip
        total = tl.dot(tl.trans(y), x, total, input_precision=PRECISION)
        following = tl.minimum(step + 1, end - 1)
        tile = tl.load(listed + following // steps).to(tl.int64)
        place = following % steps * INNER + tl.arange(0, INNER)
        row = tl.load(source + tile * all_taps * TILE_ROWS + place)
        target = tl.load(order + tile * TILE_ROWS + place)
    weight_tap = tl.where(tap_step > 0, tap, all_taps - 1 - tap)
    size = width_out.to(tl.int64) * all_taps * width_in
    target = part + tl.program_id(1) * size + outer[:, None] * (all_taps * width_in) + weight_tap * width_in
    inside = (outer < width_out)[:, None] & (inner < width_in)[None, :]
    tl.store(target + inner[None, :], total, mask=inside)
