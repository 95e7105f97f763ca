"""spconv-triton's kernels without a GPU: run by test_spconv_conv.py with TRITON_INTERPRET=1, prints a line of JSON."""

import json
from functools import partial

import torch
from spconv_triton.pytorch._impl import gemm, pair_kernels, pairs

from pointcept_msm.models.layers import conv_trial, spconv_conv
from pointcept_msm.models.layers.gather_table import build_gather_table

EXTENT = 32  # of the space in which the package looks for neighbours
CPU = torch.device("cpu")


class OnGpu(torch.Tensor):
    """A CPU tensor that says it is on a GPU, which the package asks and the interpreter does not need."""

    is_cuda = True
    __torch_function__ = torch._C._disabled_torch_function_impl


def prepare():
    """One choice of tile sizes, because trying them needs a GPU to time; a device of one processor."""
    for module in (gemm, pair_kernels):
        for kernel in vars(module).values():
            if hasattr(kernel, "configs"):
                kernel.configs = kernel.configs[:1]
    forward = gemm.conv_forward
    gemm.conv_forward = lambda feat, *args, **kwargs: forward(feat.as_subclass(OnGpu), *args, **kwargs)
    gemm._multiprocessor_count = lambda device: 1
    conv_trial.VOXELS, conv_trial.EXTENT, conv_trial.CHANNELS = 60, 6, 16


def compare_errors():
    """[(what, type, relative error)] against plain PyTorch. The interpreter has no bfloat16, so that goes as for
    spconv, in scaled float16."""
    convolve = partial(spconv_conv.convolve, "spconv_triton")
    spconv_conv.DTYPES["spconv_triton"] = spconv_conv.DTYPES["spconv"]
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        for what, _, error in conv_trial._errors(convolve, CPU, dtype):
            yield what, str(dtype).removeprefix("torch."), error


def compare_tables():
    """Whether our tables are those that the package makes from coordinates; its strided rows come in its own order."""
    pyramid = conv_trial._scene(torch.Generator().manual_seed(0), CPU)
    coord = pyramid.coords[0].int().contiguous()
    submanifold = _make_pairs(coord, 3, 1, 1, True)
    ours = build_gather_table(pyramid.submanifold_map(0))
    equal = [
        torch.equal(*pair)
        for pair in ((submanifold[2], ours.rows), (submanifold[4][0], ours.mask), (submanifold[6][0], ours.order))
    ]
    strided = _make_pairs(coord, 2, 2, 0, False)
    place = {tuple(coord): row for row, coord in enumerate(strided[0].tolist())}
    rows = [place[tuple(coord)] for coord in pyramid.coords[1].tolist()]
    return dict(
        submanifold=all(equal),
        strided=torch.equal(strided[2][:, rows], build_gather_table(pyramid.strided_map(0)).rows),
    )


def _make_pairs(coord, kernel, stride, padding, submanifold):
    three = [[x] * 3 for x in (EXTENT, kernel, stride, padding, 1, 0)]
    return pairs.igemm_pairs(coord, 2, *three, submanifold, False, True, False)


if __name__ == "__main__":
    prepare()
    print(json.dumps(dict(errors=list(compare_errors()), tables=compare_tables())))
