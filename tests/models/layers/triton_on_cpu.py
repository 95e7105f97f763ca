"""The Triton kernels in Triton's interpreter: run by test_triton_conv.py with TRITON_INTERPRET=1, prints JSON.

{case: [[type, errors of value and gradients to features, weight and, where there is one, bias], ...]}, relative to
float64.
"""

import json
import sys
import tempfile

import numpy as np
import torch
import triton.language as tl
from triton.runtime import interpreter

from pointcept_msm.models.layers import torch_conv, triton_conv
from pointcept_msm.models.layers.pyramid import build_pyramid
from pointcept_msm.models.layers.triton_conv import Tiling
from tests.models.sparse_scenes import random_scene

TYPES = (torch.float32, torch.float16, torch.bfloat16)
SMALL = ((None, Tiling(16, 16, 4, 3)),)  # several blocks of everything in a small scene


def multiply_bfloat(self, a, b, d, *options, multiply=interpreter.InterpreterBuilder.create_dot):
    """The interpreter keeps bfloat16 as its bits, and its product takes them for integers."""

    def widen(x):
        if x.dtype.scalar != tl.bfloat16:
            return x
        return interpreter.TensorHandle((x.data.astype(np.uint32) << 16).view(np.float32), tl.float32)

    return multiply(self, widen(a), widen(b), d, *options)


class TableMap:
    """A kernel map made of a table alone."""

    flipped = False

    def __init__(self, table, num_in):
        self.stored_table, self.num_in, self.num_out = table, num_in, len(table)

    def keep(self, make):
        return make(self)

    @property
    def transposed(self):
        table = torch.full((self.num_in, self.stored_table.shape[1]), self.num_out, dtype=torch.int32)
        row, tap = (self.stored_table < self.num_in).nonzero(as_tuple=True)
        table[self.stored_table[row, tap].long(), tap] = row.int()
        return TableMap(table, self.num_out)


def compare(kernel_map, kernel, width_in, width_out, types=TYPES):
    """[[type, errors], ...]"""
    return [[str(dtype)[6:], *_errors(kernel_map, kernel, width_in, width_out, dtype)] for dtype in types]


def _errors(kernel_map, kernel, width_in, width_out, dtype):
    inputs = [torch.randn(kernel_map.num_in, width_in), torch.randn(width_out, kernel, kernel, kernel, width_in)]
    inputs += [torch.randn(width_out)] if kernel == 2 else []
    inputs, grad = [x.to(dtype) for x in inputs], torch.randn(kernel_map.num_out, width_out).to(dtype)
    ours = _run(triton_conv.convolve, inputs, grad, kernel_map)
    exact = _run(_reference, [x.double() for x in inputs], grad.double(), kernel_map)
    for x, y in zip(ours, exact, strict=True):
        assert x.dtype == dtype and x.shape == y.shape and x.is_contiguous()
        yield float((x - y).norm() / y.norm().clamp(min=1e-30))


def _reference(feat, weight, kernel_map, bias=0):
    return torch_conv.StretchConv.apply(feat, weight.flatten(1, 3).permute(1, 2, 0), kernel_map) + bias


def _run(convolve, inputs, grad, kernel_map):
    feat, weight, *bias = inputs = [x.requires_grad_() for x in inputs]
    out = convolve(feat, weight, kernel_map, *bias)
    return out.detach(), *torch.autograd.grad(out, inputs, grad)


def scenes(voxels, extent):
    """Maps of a batch of two scenes with an empty one between them: {name: (map, kernel)}."""
    first, second = random_scene(voxels, extent, seed=0), random_scene(voxels + 7, extent, seed=1)
    grid = torch.cat([first["grid_coord"], second["grid_coord"]])
    pyramid = build_pyramid(grid, torch.tensor([voxels, voxels, len(grid)]), 2)[0]
    strided = pyramid.strided_map(0)
    return dict(submanifold=(pyramid.submanifold_map(0), 3), strided=(strided, 2), inverse=(strided.transposed, 2))


def far_rows():
    """Errors of the three products where rows lie beyond 2**31 elements, in files that are mostly holes."""
    count, width = 2**27 + 8, 16
    source, order = torch.full((1, 1, 16), count, dtype=torch.int32), torch.full((16,), count, dtype=torch.int32)
    source[0, 0, :2], order[:2] = torch.tensor([count - 1, 3]), torch.tensor([4, count - 2])
    weight, one = torch.randn(width, 1, width).half(), torch.ones(1, dtype=torch.int32)
    sizes, blocks = (count, count, width, width, 1), dict(TILE_ROWS=16, OUTER=16, INNER=16, PRECISION="ieee")
    with tempfile.TemporaryDirectory() as folder:
        feat, out = (_holes(f"{folder}/{name}", count * width).view(count, width) for name in ("feat", "out"))
        feat[source[0, 0, :2].long()] = torch.randn(2, width).half()
        bias, taps = torch.zeros(1), (one - 1, one)
        triton_conv.product_kernel[(1,)](feat, weight, bias, out, order, source, *taps, *sizes, 0, 1, 0, **blocks)
        x, y, taps = feat[source[0, 0, :2].long()].double(), out[order[:2].long()].double(), weight[:, 0].double()
        part = torch.empty(1, width, 1, width)
        triton_conv.weight_kernel[(1, 1)](feat, out, part, order, source, one - 1, one, *sizes, 1, 1, **blocks)
    errors = y - x @ taps.T, part[0, :, 0] - y.T @ x
    return [["float16", *(float(error.abs().max()) / 30 for error in errors)]]


def _holes(path, size):
    with open(path, "wb") as file:
        file.truncate(2 * size)
    return torch.from_file(path, shared=True, size=size, dtype=torch.float16)


def main():
    interpreter.InterpreterBuilder.create_dot = multiply_bfloat
    torch.manual_seed(0)
    result = {}
    fixed = dict(strided=(96, 384), submanifold=(32, 64))
    for name, (kernel_map, kernel) in scenes(4, 3).items():
        if name in fixed:
            result[f"{name}, the fixed tilings"] = compare(kernel_map, kernel, *fixed[name], TYPES[::2])
    for name in ("HALF_PRODUCT", "FLOAT_PRODUCT", "HALF_WEIGHT", "FLOAT_WEIGHT"):
        setattr(triton_conv, name, SMALL)
    triton_conv.TILE_ROWS, triton_conv.STRETCH, triton_conv.PROGRAMS = 16, 32, 60
    triton_conv.SORTED_ROWS, triton_conv.STRETCHES, triton_conv.LIST_BLOCK = 0, 2, 2
    for name, (kernel_map, kernel) in scenes(14, 3).items():
        result[name] = compare(kernel_map, kernel, 6, 20)
    for name, (kernel_map, kernel) in scenes(1, 2).items():
        result[f"{name}, few voxels"] = compare(kernel_map, kernel, 16, 16, TYPES[:1])
    none = torch.full((20, 8), 5, dtype=torch.int32)
    some = none.clone()
    some[17, 3], some[2, 0], some[18, 0] = 4, 1, 2
    result["a table without any pair"] = compare(TableMap(none, 5), 2, 16, 16, TYPES[:1])
    result["rows without any pair"] = compare(TableMap(some, 5), 2, 16, 16, TYPES[:1])
    result["far rows"] = far_rows()
    print(json.dumps(result))


if __name__ == "__main__":
    sys.exit(main())
