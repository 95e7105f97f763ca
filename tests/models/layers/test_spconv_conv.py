"""spconv and spconv-triton on the pyramid's tables against plain PyTorch, in value and gradient, on a CPU.

spconv's CPU build has the native algorithm alone, which is right in one thread; its backward pass asks for a CUDA
stream that it does not use there. What runs on a GPU, implicit GEMM, is run through spconv-triton's kernels in Triton's
interpreter. The tables of both forms: test_gather_table.py.
"""

import importlib.util
import json
import os
import subprocess
import sys
from functools import partial
from inspect import signature
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from pointcept_msm.models.hunet_v1m1 import MSMHUNet
from pointcept_msm.models.layers import sparse_conv, spconv_conv, torch_conv
from pointcept_msm.models.layers.pyramid import build_pyramid
from pointcept_msm.models.layers.scaled_half import scale_to_half
from tests.models.sparse_scenes import TINY, join, random_scene

ROOT = Path(__file__).parents[3]
MAPS = {
    "submanifold": (3, lambda p: p.submanifold_map(0)),
    "strided": (2, lambda p: p.strided_map(0)),
    "inverse": (2, lambda p: p.strided_map(0).transposed),
}


@pytest.fixture
def native(monkeypatch):
    """spconv's native algorithm in one thread, with gradients."""
    pytest.importorskip("spconv", reason="spconv is not installed (its CPU build does: pip install spconv==2.3.8)")
    import spconv.pytorch.ops as ops

    monkeypatch.setattr(ops, "get_current_stream", lambda: 0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield partial(spconv_conv.convolve_by_pairs, "spconv")
    torch.set_num_threads(threads)


@pytest.mark.parametrize("kind", MAPS)
def test_native_spconv_gives_our_values_and_gradients(native, kind):
    kernel, make_map = MAPS[kind]
    batch = join(random_scene(300, 12, seed=0), random_scene(200, 12, seed=1))
    kernel_map = make_map(build_pyramid(batch["grid_coord"], batch["offset"], 2)[0])
    torch.manual_seed(0)
    feat = torch.randn(kernel_map.num_in, 20, requires_grad=True)
    weight = torch.randn(28, kernel, kernel, kernel, 20, requires_grad=True)
    grad = torch.randn(kernel_map.num_out, 28)
    theirs, ours = (convolve(feat, weight, kernel_map) for convolve in (native, torch_conv.convolve))
    torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-4)
    for x, y in zip(*(torch.autograd.grad(out, (feat, weight), grad) for out in (theirs, ours)), strict=True):
        torch.testing.assert_close(x, y, rtol=1e-4, atol=1e-4)


def test_a_network_computes_the_same_with_native_spconv(native, monkeypatch):
    """All levels, one pyramid for encoder and decoder, biases included."""
    torch.manual_seed(0)
    network = MSMHUNet(**TINY, drop_path=0.0, attn_drop=0.0, output="finest").eval()
    batch, results = join(random_scene(300), random_scene(200, seed=1)), []
    for convolve in (torch_conv.convolve, native):
        monkeypatch.setattr(sparse_conv, "choose_conv_backend", lambda device, convolve=convolve: convolve)
        network.zero_grad()
        out = network(batch)
        out.square().sum().backward()
        results.append([out.detach(), *(p.grad for p in network.parameters() if p.grad is not None)])
    for x, y in zip(*results, strict=True):
        assert float((x - y).norm() / y.norm().clamp(min=1e-6)) < 1e-3


def test_doubles_are_refused():
    pyramid = build_pyramid(torch.zeros(1, 3), torch.tensor([1]), 1)[0]
    feat, weight = torch.ones(1, 2, dtype=torch.float64), torch.ones(2, 3, 3, 3, 2, dtype=torch.float64)
    with pytest.raises(TypeError, match=r"spconv multiplies .*, the features are float64; use net.float\(\)"):
        spconv_conv.convolve("spconv", feat, weight, pyramid.submanifold_map(0))


def plain_gemm(feat, filters, rows, masks, orders, num_out, *rest):
    """spconv's `implicit_gemm` as its source describes it, in float32 with the sums rounded to the operands' type."""
    assert [tuple(x.shape) for x in (masks[0], orders[0])] == [(num_out, 1), (num_out,)]
    taps = filters.flatten(1, 3).float()
    padded = torch.cat([feat.float(), feat.new_zeros(1, feat.shape[1]).float()])  # row -1
    out = sum(padded[rows[t].long()] @ taps[:, t].t() for t in range(len(rows)))
    return out.to(feat.dtype), "mask output", 32


def plain_gemm_backward(feat, filters, grad, rows, back_rows, *rest):
    """Its backward pass: the other table gives the gradient to the features."""
    assert rest[4:6] == ("mask output", rest[5]) and rest[6:8] == (32, False)
    taps = filters.flatten(1, 3).permute(2, 1, 0).unflatten(1, filters.shape[1:4])
    grad_feat = plain_gemm(grad, taps, back_rows, rest[1], rest[3], len(feat))[0]
    padded = torch.cat([feat.float(), feat.new_zeros(1, feat.shape[1]).float()])
    grad_taps = [grad.float().t() @ padded[rows[t].long()] for t in range(len(rows))]
    return grad_feat, torch.stack(grad_taps, 1).view(filters.shape).to(filters.dtype)


@pytest.fixture
def plain_spconv(monkeypatch):
    """A package whose functions are those above; `seen`: the types that they were given."""
    seen = set()

    def implicit_gemm(feat, filters, *rest):
        seen.update((feat.dtype, filters.dtype))
        return plain_gemm(feat, filters, *rest)

    package = SimpleNamespace(implicit_gemm=implicit_gemm, implicit_gemm_backward=plain_gemm_backward, timer=None)
    monkeypatch.setattr(spconv_conv, "load_spconv", lambda name: package)
    return seen


def compare(package, kind, dtype, feat_size=1.0, grad_size=1.0):
    """Relative errors of value and gradients of `convolve` against plain PyTorch in float32 on the same operands."""
    kernel, make_map = MAPS[kind]
    batch = join(random_scene(300, 12, seed=0), random_scene(200, 12, seed=1))
    kernel_map = make_map(build_pyramid(batch["grid_coord"], batch["offset"], 2)[0])
    torch.manual_seed(0)
    feat = (feat_size * torch.randn(kernel_map.num_in, 20)).to(dtype).requires_grad_()
    weight = torch.randn(28, kernel, kernel, kernel, 20).to(dtype).requires_grad_()
    grad = (grad_size * torch.randn(kernel_map.num_out, 28)).to(dtype)
    out = spconv_conv.convolve(package, feat, weight, kernel_map)
    exact = torch_conv.convolve(feat.float(), weight.float(), kernel_map)
    results = (out, *torch.autograd.grad(out, (feat, weight), grad))
    references = (exact, *torch.autograd.grad(exact, (feat, weight), grad.float()))
    assert {x.dtype for x in results} == {dtype}
    pairs = zip(results, references, strict=True)
    return [float((x.detach().float() - y.detach()).norm() / y.detach().norm()) for x, y in pairs]


@pytest.mark.parametrize("kind", MAPS)
def test_tables_go_to_spconvs_functions_in_their_places(plain_spconv, kind):
    assert max(compare("spconv", kind, torch.float32)) < 1e-5


@pytest.mark.parametrize("package", spconv_conv.PACKAGES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_products_are_in_a_type_that_the_package_has(plain_spconv, package, dtype):
    rounding = dict(zip((torch.float16, torch.bfloat16, torch.float32), (1e-3, 1e-2, 1e-5), strict=True))
    assert max(compare(package, "submanifold", dtype)) < rounding[dtype]
    assert plain_spconv == {torch.float16 if (package, dtype) == ("spconv", torch.bfloat16) else dtype}


@pytest.mark.parametrize("feat_size, grad_size", [(1e6, 1e-9), (1e-9, 1e6)])
def test_scaled_halves_keep_bfloats_range(plain_spconv, feat_size, grad_size):
    """Sizes at which float16 itself is infinite or zero."""
    assert max(compare("spconv", "submanifold", torch.bfloat16, feat_size, grad_size)) < 1e-2
    assert max(compare("spconv", "strided", torch.bfloat16, feat_size, grad_size)) < 1e-2


@pytest.mark.parametrize("kind, taps", [("submanifold", 27), ("strided", 8)])
def test_no_sum_of_scaled_halves_can_leave_their_range(plain_spconv, monkeypatch, kind, taps):
    """Largest operand times the number of terms; the range is made small, because a test has few rows."""
    monkeypatch.setattr(spconv_conv, "MOST", 100.0)
    package, seen = spconv_conv.load_spconv("spconv"), {}

    def spy(name):
        function = getattr(package, name)

        def call(feat, filters, last, *rest):
            seen[name] = float(feat.abs().max()), float(filters.abs().max()), float(last.abs().max()), len(last)
            return function(feat, filters, last, *rest)

        return call

    for name in ("implicit_gemm", "implicit_gemm_backward"):
        monkeypatch.setattr(package, name, spy(name))
    assert max(compare("spconv", kind, torch.bfloat16)) < 2e-2
    feat, weight, *_ = seen["implicit_gemm"]
    _, _, grad, rows = seen["implicit_gemm_backward"]
    assert 0.5 < weight <= 1 and 50 < feat * taps * 20 <= 100
    assert 50 < grad * max(rows, taps * 28) <= 100


def test_scaled_halves_pass_on_what_is_not_finite_and_take_zeros(plain_spconv):
    value, _, grad_weight = compare("spconv", "strided", torch.bfloat16, feat_size=float("inf"))
    assert not torch.tensor([value, grad_weight]).isfinite().any()
    zeros, scale = scale_to_half(torch.zeros(3, dtype=torch.bfloat16), 1.0)
    assert torch.equal(zeros, torch.zeros(3, dtype=torch.float16)) and bool(scale.isfinite())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_are_the_same_under_checkpointing(plain_spconv, dtype):
    """Which allows a saved tensor to be read once."""
    pyramid = build_pyramid(random_scene(60, 6)["grid_coord"], torch.tensor([60]), 1)[0]
    weight = torch.randn(8, 3, 3, 3, 8, dtype=dtype, requires_grad=True)
    feat, arguments = torch.randn(60, 8, dtype=dtype, requires_grad=True), ("spconv", pyramid.submanifold_map(0))

    def run(feat, weight):
        return spconv_conv.convolve(arguments[0], feat, weight, arguments[1]).square()

    plain = torch.autograd.grad(run(feat, weight).sum(), (feat, weight))
    again = torch.autograd.grad(checkpoint(run, feat, weight, use_reentrant=False).sum(), (feat, weight))
    assert all(torch.equal(x, y) for x, y in zip(plain, again, strict=True))


def test_without_gradients_the_other_table_is_not_made(plain_spconv):
    pyramid = build_pyramid(torch.zeros(1, 3), torch.tensor([1]), 1)[0]
    weight = torch.ones(2, 3, 3, 3, 2, requires_grad=True)
    with torch.no_grad():
        spconv_conv.convolve("spconv", torch.ones(1, 2), weight, pyramid.submanifold_map(0))
    assert len(pyramid.submanifold_map(0)._pairs.kept) == 1
    spconv_conv.convolve("spconv", torch.ones(1, 2), weight, pyramid.submanifold_map(0))
    assert len(pyramid.submanifold_map(0)._pairs.kept) == 2


@pytest.mark.parametrize("package", spconv_conv.PACKAGES)
def test_the_installed_functions_take_what_we_give_them(package):
    """In these places; a GPU is needed to call spconv's."""
    ops = pytest.importorskip(f"{package}.pytorch.ops", reason=f"{package} is not installed")
    forward = "features filters pair_fwd pair_mask_fwd_splits mask_argsort_fwd_splits num_activate_out masks is_train"
    assert list(signature(ops.implicit_gemm).parameters)[:11] == [*forward.split(), "is_subm", "timer", "fp32_accum"]
    backward = list(signature(ops.implicit_gemm_backward).parameters)
    assert backward[:2] == ["features", "filters"] and backward[3:] == [
        *("pair_fwd", "pair_bwd", "pair_mask_fwd_splits", "pair_mask_bwd_splits", "mask_argsort_fwd_splits"),
        *("mask_argsort_bwd_splits", "mask_output_fwd", "masks", "mask_width", "is_subm", "timer", "fp32_accum"),
    ]


@pytest.mark.slow
def test_spconv_triton_gives_our_values_and_gradients_in_tritons_interpreter():
    """The back end itself, kernels included, in three types; and its tables against the package's own."""
    for name in ("triton", "spconv_triton"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed (pip install --no-deps triton spconv-triton)")
    script = Path(__file__).with_name("triton_on_cpu.py")
    env = dict(os.environ, TRITON_INTERPRET="1", PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1")
    run = subprocess.run([sys.executable, script], env=env, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    result = json.loads(run.stdout.splitlines()[-1])
    assert result["tables"] == dict(submanifold=True, strided=True)
    assert len(result["errors"]) == 27
    for what, dtype, error in result["errors"]:
        assert error < dict(float32=1e-5, float16=1e-3, bfloat16=1e-2)[dtype], what
