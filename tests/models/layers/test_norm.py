"""RMSNorm and drop path against their formulas."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pointcept_msm.models.layers.norm import RMSNorm, SkipPath

ROOT = Path(__file__).resolve().parents[3]
needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")


def test_value_equals_the_formula_and_gradient_its_differences():
    norm = RMSNorm(5).double()
    torch.nn.init.normal_(norm.scale)
    x = torch.randn(7, 5, dtype=torch.float64, requires_grad=True)
    expected = [
        [s * v / ((sum(w * w for w in row) / 5) ** 0.5 + 1e-4) for s, v in zip(norm.scale.tolist(), row)]
        for row in x.tolist()
    ]
    torch.testing.assert_close(norm(x), torch.tensor(expected, dtype=torch.float64))
    assert torch.autograd.gradcheck(norm, (x,))
    assert torch.autograd.gradcheck(
        lambda s: torch.func.functional_call(norm, dict(scale=s), (x.detach(),)), (norm.scale,)
    )


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
    skip = SkipPath(3, init=0.1, drop=0.4).train()
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

    triton_norm.PROGRAMS = 3  # several blocks a program
    torch.manual_seed(0)
    errors = {}
    for rows, width in ((0, 32), (1, 6), (65, 32), (700, 96), (130, 384)):
        for dtype in (torch.float32, torch.float16):
            x, residual, grad = torch.randn(rows, width).to(dtype), torch.randn(rows, width), torch.randn(rows, width)
            scale, keep, scene = torch.rand(width) + 0.5, torch.tensor([0.0, 2.0, 1.5]), torch.randint(0, 3, (rows,))
            cases = dict(
                norm=(lambda a, s, d=dtype: triton_norm.Normalise.apply(a, s, 1e-4, d), plain_norm, (x, scale)),
                add=(lambda a, r, s: triton_norm.AddScaled.apply(a, r, s, None, None), plain_add, (x, residual, scale)),
                drop=(
                    lambda a, r, s, k=keep, b=scene: triton_norm.AddScaled.apply(a, r, s, k, b),
                    lambda a, r, s, k=keep, b=scene: plain_add(a, r, s * k.double()[b][:, None]),
                    (x, residual, scale),
                ),
            )
            for name, (ours, plain, inputs) in cases.items():
                values, references = run(ours, inputs, grad), run(plain, [t.double() for t in inputs], grad)
                assert [v.shape for v in values] == [r.shape for r in references]
                off = [float((v.double() - r).norm() / r.norm().clamp(min=1e-30)) for v, r in zip(values, references)]
                errors[f"{name} {rows} {width} {dtype}"] = off
    return errors


def plain_norm(x, scale):
    return scale * x / (x.square().mean(1, keepdim=True).sqrt() + 1e-4)


def plain_add(x, residual, factor):
    return residual + x * factor


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
    assert len(found) == 30
    wrong = {case: off for case, off in found.items() if max(off) > (1e-6 if "float32" in case else 1e-3)}
    assert not wrong


@needs_triton
@pytest.mark.parametrize("arch", [80, 90, 100])
def test_kernels_compile_for_gpus_that_are_not_there(arch):
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from pointcept_msm.models.layers import triton_norm

    constants = dict(ROWS=8, COLUMNS=32, WIDTH=512, DROP=True)
    halves = dict(norm_kernel=("out",), norm_backward_kernel=("grad",), add_kernel=("x",), add_backward_kernel=("x",))
    for name, half in halves.items():
        kernel = getattr(triton_norm, name)
        types = dict(rows="i32", width="i32", steps="i32", eps="fp32", scene="*i64", **dict.fromkeys(half, "*bf16"))
        signature = {p.name: "constexpr" if p.name in constants else types.get(p.name, "*fp32") for p in kernel.params}
        values = {(i,): constants[p.name] for i, p in enumerate(kernel.params) if p.name in constants}
        compiled = triton.compile(ASTSource(kernel, signature, values), target=GPUTarget("cuda", arch, 32))
        assert compiled.asm["cubin"] and ".bf16" in compiled.asm["ptx"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("width", [32, 96, 384])
def test_kernels_equal_plain_torch_on_a_gpu(width, monkeypatch):
    norm, skip = RMSNorm(width).cuda(), SkipPath(width, init=0.3).cuda()
    x, residual = torch.randn(2, 5000, width, device="cuda")
    batch, grad = torch.arange(5000, device="cuda") // 1700, torch.randn(5000, width, device="cuda")

    def both(a, r):
        return skip(norm(a), r, batch, 3)

    found = {}
    for backend in ("triton", "torch"):
        monkeypatch.setenv("MSM_CONV_BACKEND", backend)
        norm.zero_grad(), skip.zero_grad()
        found[backend] = [*run(both, (x, residual), grad), norm.scale.grad, skip.gamma.grad]
    for ours, plain in zip(found["triton"], found["torch"], strict=True):
        assert (ours - plain).norm() < 1e-5 * plain.norm()
