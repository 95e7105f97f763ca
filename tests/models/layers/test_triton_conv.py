"""The Triton kernels without a GPU: interpreted against float64, compiled for GPUs that are not there, counted for the
whole network. Those marked gpu run them."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from pointcept_msm.models.hunet_v1m1 import MSMHUNet
from pointcept_msm.models.layers import sparse_conv, torch_conv
from pointcept_msm.models.layers.pyramid import build_pyramid
from tests.models.sparse_scenes import join, random_scene

if importlib.util.find_spec("triton") is None:
    pytest.skip("Triton is not installed (pip install --no-deps triton)", allow_module_level=True)

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from pointcept_msm.models.layers import triton_conv, triton_norm

ROOT = Path(__file__).resolve().parents[3]
ERRORS = dict(float32=2e-6, float16=5e-4, bfloat16=5e-3)  # relative, of one rounding of the result
SHARED = {80: 163 << 10, 90: 227 << 10, 100: 227 << 10}  # bytes that a block may have
PRODUCT = {80: "mma.sync", 90: "wgmma.mma_async", 100: "tcgen05.mma"}
OLD = tuple(map(int, triton.__version__.split(".")[:2])) < (3, 3)  # its ASTSource takes other arguments
compiles = pytest.mark.skipif(OLD, reason=f"Triton {triton.__version__}: it is asked to compile from 3.3 on")
TILINGS = [
    (kernel, number, precision, tiling)
    for kernel, number, precision, table in (
        (triton_conv.product_kernel, "bf16", "ieee", triton_conv.HALF_PRODUCT),
        (triton_conv.product_kernel, "fp32", "tf32x3", triton_conv.FLOAT_PRODUCT),
        (triton_conv.weight_kernel, "bf16", "ieee", triton_conv.HALF_WEIGHT),
        (triton_conv.weight_kernel, "fp32", "ieee", triton_conv.FLOAT_WEIGHT),
    )
    for _, tiling in table
]


def test_kernels_equal_float64_in_the_interpreter():
    script = Path(__file__).with_name("triton_on_cpu.py")
    env = dict(os.environ, TRITON_INTERPRET="1", PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1")
    run = subprocess.run([sys.executable, script], env=env, capture_output=True, text=True, timeout=600, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    result = json.loads(run.stdout.splitlines()[-1])
    assert len(result) == 11
    for case, rows in result.items():
        for dtype, *errors in rows:
            assert all(error <= ERRORS[dtype] for error in errors), (case, dtype, errors)


def pointer(name, number):
    if name in ("feat", "weight", "out", "grad"):
        return f"*{number}"
    return "*fp32" if name in ("part", "bias") else "*i32"


def compile_for(capability, kernel, number, precision, tiling):
    """What a launch of the package compiles: pointers and widths divisible by 16, the other numbers anything."""
    names = [parameter.name for parameter in kernel.params]
    constants = dict(TILE_ROWS=triton_conv.TILE_ROWS, OUTER=tiling.outer, INNER=tiling.inner, PRECISION=precision)
    pointers = names[: names.index("num_in")]
    signature = {name: pointer(name, number) if name in pointers else "i32" for name in names}
    signature |= dict.fromkeys(constants, "constexpr")
    divisible = [names.index(name) for name in (*pointers, "width_in", "width_out")]
    source = ASTSource(
        kernel,
        signature,
        {(names.index(name),): value for name, value in constants.items()},
        {(place,): [["tt.divisibility", 16]] for place in divisible},
    )
    options = dict(num_warps=tiling.warps, num_stages=tiling.stages)
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)


def find_spills(compiled, folder):
    """Memory that a compiled kernel takes for lack of registers; empty for none."""
    (folder / "kernel.cubin").write_bytes(compiled.asm["cubin"])
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    command = [tool, "-res-usage", folder / "kernel.cubin"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return "" if re.search(r"\bSTACK:0\b.*\bLOCAL:0\b", said) else said


@compiles
@pytest.mark.parametrize("capability", SHARED)
@pytest.mark.parametrize("kernel, number, precision, tiling", TILINGS, ids=lambda x: getattr(x, "__name__", str(x)))
def test_every_tiling_compiles_for_gpus_that_are_not_here(capability, kernel, number, precision, tiling, tmp_path):
    """Tensor cores, loads of 16 bytes that run ahead of the products, no spilled registers, shared memory that fits."""
    compiled = compile_for(capability, kernel, number, precision, tiling)
    text = compiled.asm["ptx"]
    assert (number, precision) == ("fp32", "ieee") or PRODUCT[capability] in text
    assert re.search(r"cp\.async\.cg\.shared\.global[^;]*, 0x10, ", text) and "cp.async.wait_group" in text
    assert compiled.metadata.shared <= SHARED[capability]
    assert not find_spills(compiled, tmp_path)


@compiles
@pytest.mark.parametrize("capability", SHARED)
@pytest.mark.parametrize("kernel", [triton_norm.forward_kernel, triton_norm.backward_kernel])
@pytest.mark.parametrize("left_out", [("residual", "draw", "scene"), ("draw", "scene"), ()])
def test_norms_compile_for_gpus_that_are_not_here(capability, kernel, left_out, tmp_path):
    """What a launch of the released network compiles: in bfloat16, with pointers and width divisible by 16."""
    names = [parameter.name for parameter in kernel.params]
    constants = dict(ROWS=triton_norm.ROWS, COLUMNS=triton_norm.COLUMNS, NORM=True, **dict.fromkeys(left_out))
    types = dict(
        count="i32", width="i32", eps="fp32", drop="fp32", scene="*i64", x="*bf16", out="*bf16", grad_x="*bf16"
    )
    signature = {name: "constexpr" if name in constants else types.get(name, "*fp32") for name in names}
    source = ASTSource(
        kernel,
        signature,
        {(names.index(name),): value for name, value in constants.items() if name in names},
        {(i,): [["tt.divisibility", 16]] for i, kind in enumerate(signature.values()) if kind[0] == "*"}
        | {(names.index("width"),): [["tt.divisibility", 16]]},
    )
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32))
    assert ".bf16" in compiled.asm["ptx"] and not find_spills(compiled, tmp_path)


def test_float32_is_exact_unless_torch_allows_less():
    feat, matmul = torch.ones(1), torch.backends.cuda.matmul
    assert [triton_conv._precision(feat, cores) for cores in (True, False)] == ["tf32x3", "ieee"]
    assert triton_conv._precision(feat.half(), True) == "ieee"
    matmul.allow_tf32 = True
    try:
        assert [triton_conv._precision(feat, cores) for cores in (True, False)] == ["tf32", "tf32"]
    finally:
        matmul.allow_tf32 = False


class Launches:
    """In place of a kernel: the variants that its launches would compile, as Triton tells them apart."""

    def __init__(self, kernel):
        self.kernel, self.variants = kernel, set()

    def __getitem__(self, grid):
        return self.launch

    def launch(self, *values, **constants):
        numbers = [(p, v) for p, v in zip(self.kernel.params, values, strict=False) if isinstance(v, int)]
        tensors = [(v.dtype, v.data_ptr() % 16 == 0) for v in values if isinstance(v, torch.Tensor)]
        kinds = [(v == 1, v % 16 == 0) for p, v in numbers if not p.do_not_specialize]
        self.variants.add((*tensors, *kinds, *sorted(constants.items())))


def test_the_whole_network_needs_few_variants(monkeypatch):
    kernels = {name: kernel for name, kernel in vars(triton_conv).items() if name.endswith("_kernel")}
    launches = {name: Launches(kernel) for name, kernel in kernels.items()}
    for name, recorder in launches.items():
        monkeypatch.setattr(triton_conv, name, recorder)
    monkeypatch.setattr(triton_conv, "SORTED_ROWS", 0)
    monkeypatch.setattr(sparse_conv, "choose_conv_backend", lambda device: triton_conv.convolve)
    counts = defaultdict(int)
    network = MSMHUNet(in_channels=6)
    for voxels in (300, 320):
        scene = random_scene(voxels, 16)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            sum(level.feat.float().sum() for level in network(scene)).backward()
    for name, recorder in launches.items():
        counts[name] = len(recorder.variants)
    assert counts["product_kernel"] <= len(triton_conv.HALF_PRODUCT)
    assert counts["weight_kernel"] <= len(triton_conv.HALF_WEIGHT)
    assert min(counts.values()) >= 1 and sum(counts.values()) <= 12


@pytest.fixture(scope="module")
def device():
    if not torch.cuda.is_available():
        pytest.skip("no GPU that torch can use")
    return torch.device("cuda")


def run(convolve, feat, weight, grad, kernel_map):
    inputs = feat.detach().requires_grad_(), weight.detach().requires_grad_()
    out = convolve(*inputs, kernel_map)
    return out.detach(), *torch.autograd.grad(out, inputs, grad)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("widths", [(6, 32), (32, 64), (96, 96), (128, 256), (384, 384)])
def test_kernels_equal_float64_and_repeat_to_the_bit(device, dtype, widths):
    scene = join(random_scene(3000, 24, seed=0), random_scene(1001, 24, seed=1))
    pyramid = build_pyramid(scene["grid_coord"].to(device), scene["offset"].to(device), 2)[0]
    strided = pyramid.strided_map(0)
    for kernel_map, kernel in ((pyramid.submanifold_map(0), 3), (strided, 2), (strided.transposed, 2)):
        check_on_gpu(device, dtype, widths, kernel_map, kernel)


def check_on_gpu(device, dtype, widths, kernel_map, kernel):
    feat = torch.randn(kernel_map.num_in, widths[0], device=device).to(dtype)
    weight = torch.randn(widths[1], kernel, kernel, kernel, widths[0], device=device).to(dtype)
    grad = torch.randn(kernel_map.num_out, widths[1], device=device).to(dtype)
    ours = run(triton_conv.convolve, feat, weight, grad, kernel_map)
    exact = run(torch_conv.convolve, feat.double(), weight.double(), grad.double(), kernel_map)
    for x, y in zip(ours, exact, strict=True):
        assert (x - y).norm() <= ERRORS[str(dtype)[6:]] * y.norm()
    for x, y in zip(ours, run(triton_conv.convolve, feat, weight, grad, kernel_map), strict=True):
        assert torch.equal(x, y)


@pytest.mark.gpu
def test_layers_under_autocast_checkpointing_and_inference_mode(device):
    scene = random_scene(2000, 16)
    pyramid = build_pyramid(scene["grid_coord"].to(device), scene["offset"].to(device), 2)[0]
    conv, down = sparse_conv.SubmanifoldConv(6, 64).to(device), sparse_conv.StridedConv(64, 96).to(device)
    feat = scene["feat"].to(device).requires_grad_()

    def both(x):
        return down(conv(x, pyramid, 0), pyramid, 0)

    with torch.autocast("cuda", dtype=torch.bfloat16):
        rough = checkpoint(both, feat, use_reentrant=False)
    rough.float().square().sum().backward()
    with torch.inference_mode():
        exact = both(feat)
    assert rough.dtype == torch.bfloat16 and conv.weight.grad.dtype == torch.float32
    assert (rough.float() - exact).norm() < 0.02 * exact.norm()
