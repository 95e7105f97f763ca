"""RMSNorm and drop path against their formulas."""

import importlib.util
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler

from pointcept_msm.models.layers.norm import RMSNorm, RunningStandard, SkipPath, SparseNorm, scale_rows
from pointcept_msm.runtime import comm

ROOT = Path(__file__).resolve().parents[3]
needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")


def test_a_row_of_zeros_gives_zeros_and_a_finite_gradient():
    x = torch.zeros(2, 4, requires_grad=True)
    out = RMSNorm(4)(x)
    out.sum().backward()
    assert torch.equal(out, torch.zeros(2, 4)) and torch.isfinite(x.grad).all()


def test_half_precision_is_normalised_in_float32():
    x = torch.randn(6, 8).bfloat16()
    assert RMSNorm(8)(x).dtype == torch.bfloat16
    torch.testing.assert_close(RMSNorm(8)(x).float(), RMSNorm(8)(x.float()), atol=0.02, rtol=0.01)


def test_drop_path_drops_whole_scenes_and_keeps_the_mean():
    torch.manual_seed(0)
    skip = SkipPath(3, drop=0.4).train()
    torch.nn.init.constant_(skip.gamma, 0.1)
    x, residual, batch = torch.ones(6, 3), torch.full((6, 3), 2.0), torch.tensor([0, 0, 1, 1, 1, 2])
    draws = torch.stack([skip(x, residual, batch, 3) for _ in range(500)]).detach()
    values = draws[:, [0, 2, 5], 0]
    for scene, rows in enumerate(([0, 1], [2, 3, 4], [5])):
        assert (draws[:, rows] == values[:, scene, None, None]).all()
    kept = torch.tensor(2 + 0.1 / 0.6)
    assert set(values.unique().tolist()) <= {2.0, *(values[values > 2].unique().tolist())}
    torch.testing.assert_close(values[values > 2], kept.expand((values > 2).sum()))
    assert abs(float((values > 2).float().mean()) - 0.6) < 0.05
    torch.testing.assert_close(skip.eval()(x, residual, batch, 3), residual + 0.1)


def interpreted_errors():
    """{case: relative errors of values and gradients to float64}, of the Triton kernels; TRITON_INTERPRET is 1."""
    from pointcept_msm.models.layers import triton_norm

    torch.manual_seed(0)
    errors = {}
    for rows, width in ((0, 32), (1, 6), (65, 32), (130, 96), (70, 384)):
        for dtype in (torch.float32, torch.float16):
            x, residual, grad = torch.randn(rows, width).to(dtype), torch.randn(rows, width), torch.randn(rows, width)
            scale, draw, scene = torch.rand(width) + 0.5, torch.tensor([0.1, 0.5, 0.9]), torch.randint(0, 3, (rows,))
            dropped = dict(draw=draw, scene=scene, drop=0.4)
            cases = dict(
                norm=dict(eps=1e-4, dtype=dtype),
                add=dict(residual=residual),
                drop=dict(residual=residual, **dropped),
                all=dict(eps=1e-4, residual=residual, **dropped),
            )
            for name, options in cases.items():
                order = dict(eps=None, residual=None, draw=None, scene=None, drop=0.0, dtype=None) | options
                ours = run(lambda a, s, o=order: triton_norm.ScaleRows.apply(a, s, *o.values()), (x, scale), grad)
                exact = run(
                    lambda a, s, o=options: plain(a, s, **o), (x.double(), scale.double()), grad.to(ours[0].dtype)
                )
                off = [float((v.double() - r).norm() / r.norm().clamp(min=1e-30)) for v, r in zip(ours, exact)]
                errors[f"{name} {rows} {width} {dtype}"] = off
    return errors


def plain(x, scale, eps=None, residual=0.0, draw=None, scene=None, drop=0.0, dtype=None):
    if eps is not None:
        x = x / (x.square().mean(1, keepdim=True).sqrt() + eps)
    return residual + x * scale * (1 if draw is None else ((draw >= drop).to(x.dtype) / (1 - drop))[scene][:, None])


def test_every_combination_equals_the_formula():
    """Values and gradients, of the residual too; with and without norm, residual, dropped scenes."""
    x, residual, grad = torch.randn(3, 20, 6, dtype=torch.float64)
    scale, draw, scene = torch.rand(6).double() + 0.5, torch.tensor([0.1, 0.5, 0.9]), torch.randint(0, 3, (20,))
    for eps in (None, 1e-4):
        for kept in ({}, dict(draw=draw, scene=scene, drop=0.4)):
            ours = run(lambda a, s, r, e=eps, k=kept: scale_rows(a, s, e, r, **k), (x, scale, residual), grad)
            exact = run(lambda a, s, r, e=eps, k=kept: plain(a, s, e, r, **k), (x, scale, residual), grad)
            for a, b in zip(ours, exact, strict=True):
                torch.testing.assert_close(a, b)


def run(function, inputs, grad):
    inputs = [x.detach().clone().requires_grad_() for x in inputs]
    value = function(*inputs)
    value.backward(grad.to(value.dtype))
    return value.detach(), *(x.grad for x in inputs)


@needs_triton
def test_kernels_equal_float64_in_the_interpreter():
    script = "import json; from tests.models.layers.test_norm import interpreted_errors as e; print(json.dumps(e()))"
    env = dict(os.environ, TRITON_INTERPRET="1", PYTHONPATH=str(ROOT))
    done = subprocess.run([sys.executable, "-c", script], env=env, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found) == 40
    wrong = {case: off for case, off in found.items() if max(off) > (1e-6 if "float32" in case else 1e-3)}
    assert not wrong


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("width", [32, 96, 384])
def test_kernels_equal_plain_torch_on_a_gpu(width, monkeypatch):
    norm, after, skip = RMSNorm(width).cuda(), SparseNorm(width).cuda(), SkipPath(width).cuda()
    torch.nn.init.constant_(skip.gamma, 0.3)
    x, residual = torch.randn(2, 5000, width, device="cuda")
    batch, grad = torch.arange(5000, device="cuda") // 1700, torch.randn(5000, width, device="cuda")

    def both(a, r):
        return skip(norm(a), r, batch, 3) + skip(a, r, batch, 3, after)

    found = {}
    for backend in ("triton", "torch"):
        monkeypatch.setenv("MSM_CONV_BACKEND", backend)
        parameters = norm.scale, after.norm.scale, skip.gamma
        for parameter in parameters:
            parameter.grad = None
        found[backend] = [*run(both, (x, residual), grad), *(parameter.grad for parameter in parameters)]
    for ours, plain in zip(found["triton"], found["torch"], strict=True):
        assert (ours - plain).norm() < 1e-5 * plain.norm()


GENERATOR = torch.Generator().manual_seed(0)
BATCHES = [torch.randn(n, 3, generator=GENERATOR) * 4 + torch.tensor([0.0, 10.0, -100.0]) for n in (50, 7, 200, 31)]


def test_equals_scikit_learn_over_the_first_batches_and_then_stays():
    norm = RunningStandard(3, batches=3).train()
    assert torch.equal(norm.eval()(BATCHES[0]), BATCHES[0] / (1 + 1e-6) ** 0.5)  # nothing measured yet
    norm.train()
    for batch in BATCHES:
        out = norm(batch)
    scaler = StandardScaler().fit(torch.cat(BATCHES[:3]).double())
    np.testing.assert_allclose(norm.mean, scaler.mean_, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(norm.variance, scaler.var_, rtol=1e-6)
    np.testing.assert_allclose(out, scaler.transform(BATCHES[3].double()), atol=1e-4)
    assert norm.seen == 3 and out.dtype == torch.float32


def test_eval_does_not_measure_and_the_state_is_saved():
    norm = RunningStandard(3).train()
    norm(BATCHES[0])
    state = {key: value.clone() for key, value in norm.state_dict().items()}
    norm.eval()(BATCHES[1])
    assert all(torch.equal(value, state[key]) for key, value in norm.state_dict().items())
    other = RunningStandard(3)
    other.load_state_dict(state)
    assert torch.equal(other.eval()(BATCHES[2]), norm(BATCHES[2]))


def test_a_constant_channel_stays_finite():
    assert torch.isfinite(RunningStandard(2).train()(torch.ones(5, 2))).all()


def test_two_processes_measure_together(monkeypatch):
    """Two threads stand in for two processes: a reduction waits for both and gives both the sum."""
    barrier, values = threading.Barrier(2), {}

    def reduce_sum_(tensor):
        values[threading.get_ident()] = tensor.clone()
        barrier.wait(10)
        tensor.copy_(sum(values.values()))
        barrier.wait(10)
        return tensor

    monkeypatch.setattr(comm, "reduce_sum_", reduce_sum_)
    norms = [RunningStandard(3).train() for _ in range(2)]

    def run(rank):
        for batch in BATCHES[rank::2]:
            norms[rank](batch)

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    scaler = StandardScaler().fit(torch.cat(BATCHES).double())
    for norm in norms:
        np.testing.assert_allclose(norm.mean, scaler.mean_, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(norm.variance, scaler.var_, rtol=1e-6)
