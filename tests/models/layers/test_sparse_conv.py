"""Sparse convolution against torch's dense convolution, in value and in gradient."""

import gc
import weakref

import pytest
import torch
import torch.nn.functional as F

from pointcept_msm.models.layers import kernel_map, torch_conv
from pointcept_msm.models.layers.pyramid import build_pyramid
from pointcept_msm.models.layers.sparse_conv import InverseConv, StridedConv, SubmanifoldConv
from tests.models.sparse_scenes import join, random_scene

EXTENT = 12


@pytest.fixture(params=[16384, 64], ids=["one block", "many blocks"])
def pyramid(request, monkeypatch):
    monkeypatch.setattr(kernel_map, "BLOCK_ROWS", request.param)
    batch = join(random_scene(300, EXTENT, seed=0), random_scene(200, EXTENT, seed=1))
    return build_pyramid(batch["grid_coord"], batch["offset"], 2)[0]


def densify(feat, coord, extent):
    dense = feat.new_zeros(2, extent, extent, extent, feat.shape[1])
    return dense.index_put(tuple(coord.long().T), feat).permute(0, 4, 1, 2, 3)


def sparsify(dense, coord):
    b, x, y, z = coord.long().T
    return dense[b, :, x, y, z]


def dense_submanifold(feat, conv, pyramid):
    dense = F.conv3d(densify(feat, pyramid.coord(0), EXTENT), conv.weight.permute(0, 4, 1, 2, 3), conv.bias, padding=1)
    return sparsify(dense, pyramid.coord(0))


def dense_strided(feat, conv, pyramid):
    dense = F.conv3d(densify(feat, pyramid.coord(0), EXTENT), conv.weight.permute(0, 4, 1, 2, 3), conv.bias, stride=2)
    return sparsify(dense, pyramid.coord(1))


def dense_inverse(feat, conv, pyramid):
    weight = conv.weight.permute(4, 0, 1, 2, 3)
    dense = F.conv_transpose3d(densify(feat, pyramid.coord(1), EXTENT // 2), weight, conv.bias, stride=2)
    return sparsify(dense, pyramid.coord(0))


CASES = [
    (SubmanifoldConv, dense_submanifold, 0),
    (StridedConv, dense_strided, 0),
    (InverseConv, dense_inverse, 1),
]


@pytest.mark.parametrize("conv_class, dense, level", CASES)
@pytest.mark.parametrize("bias", [True, False])
def test_value_and_gradients_equal_dense(conv_class, dense, level, bias, pyramid):
    torch.manual_seed(0)
    conv = conv_class(5, 7, bias=bias).double()
    feat = torch.randn(pyramid.count(level), 5, dtype=torch.float64, requires_grad=True)
    parameters = [feat, *conv.parameters()]
    ours, theirs = conv(feat, pyramid, 0), dense(feat, conv, pyramid)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    weight = torch.randn_like(ours)
    for a, b in zip(
        torch.autograd.grad((ours * weight).sum(), parameters),
        torch.autograd.grad((theirs * weight).sum(), parameters),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("gathered", [1, 5000, 1 << 28])
def test_stretches_of_all_taps_equal_blocks(gathered, pyramid, monkeypatch):
    """What runs on a GPU without Triton, and the reference of the Triton kernels."""
    monkeypatch.setattr(torch_conv, "GATHERED", gathered)
    strided = pyramid.strided_map(0)
    for pairs, kernel in ((pyramid.submanifold_map(0), 3), (strided, 2), (strided.transposed, 2)):
        feat = torch.randn(pairs.num_in, 5, dtype=torch.float64, requires_grad=True)
        weight = torch.randn(7, kernel, kernel, kernel, 5, dtype=torch.float64, requires_grad=True)
        grad = torch.randn(pairs.num_out, 7, dtype=torch.float64)
        blocks = torch_conv.convolve(feat, weight, pairs)
        stretches = torch_conv.StretchConv.apply(feat, weight.flatten(1, 3).permute(1, 2, 0), pairs)
        torch.testing.assert_close(stretches, blocks, rtol=1e-10, atol=1e-10)
        for a, b in zip(
            torch.autograd.grad(stretches, (feat, weight), grad),
            torch.autograd.grad(blocks, (feat, weight), grad),
            strict=True,
        ):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("level", [0, 1])
def test_voxels_at_the_ends_of_the_grid_do_not_wrap(level):
    """A voxel at 0 and one at the largest coordinate, of the same and of the next scene, are no neighbours."""
    end = 2**16 - 1
    corner = torch.tensor([[0, 0, 0], [0, 0, end], [0, end, 0], [end, 0, 0], [end, end, end]])
    pyramid, _ = build_pyramid(torch.cat([corner, corner]), torch.tensor([5, 10]), 2)
    conv = SubmanifoldConv(1, 1)
    torch.nn.init.ones_(conv.weight)
    feat = torch.arange(1.0, 11)[:, None]
    assert torch.equal(conv(feat, pyramid, level), feat)


def test_autocast_multiplies_in_half_and_keeps_gradients():
    scene = random_scene(100, 6)
    pyramid, _ = build_pyramid(scene["grid_coord"], scene["offset"], 1)
    conv, feat = SubmanifoldConv(6, 8), scene["feat"].requires_grad_()
    exact = conv(feat, pyramid, 0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = conv(feat, pyramid, 0)
    assert rough.dtype == torch.bfloat16
    assert (rough.float() - exact).norm() / exact.norm() < 0.02
    rough.float().sum().backward()
    assert conv.weight.grad.dtype == torch.float32 and feat.grad.abs().sum() > 0


def test_index_tables_are_freed_without_the_collector():
    """Reference counting alone must free a step's tables: they are the largest thing in memory after activations."""
    scene = random_scene(100, 6)
    pyramid, _ = build_pyramid(scene["grid_coord"], scene["offset"], 2)
    down, up, conv = StridedConv(6, 6), InverseConv(6, 6), SubmanifoldConv(6, 6)
    gc.disable()
    try:
        out = up(down(conv(scene["feat"], pyramid, 0), pyramid, 0), pyramid, 0)
        out.sum().backward()
        tables = [weakref.ref(table._pairs) for table in (pyramid.submanifold_map(0), pyramid.strided_map(0))]
        del pyramid, out
        assert [table() for table in tables] == [None, None]
    finally:
        gc.enable()
