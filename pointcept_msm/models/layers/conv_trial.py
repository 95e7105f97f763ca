"""A back end tried on a small scene against plain PyTorch before it is trusted: a build for another GPU, or another
release with other tables, must not train on wrong sums."""

from collections.abc import Callable

import torch

from . import torch_conv
from .pyramid import build_pyramid

VOXELS, EXTENT, CHANNELS = 400, 10, 32
ALLOWED = {torch.float32: 1e-3, torch.float16: 1e-2, torch.bfloat16: 5e-2}  # relative error of values and gradients
BFLOAT_CAPABILITY = (8, 0)  # NVIDIA GPUs from Ampere on; AMD's count on from 9


def find_fault(convolve: Callable, device: torch.device) -> str | None:
    """What is wrong with `convolve(feat, weight, kernel_map)` on `device`, or None. Submanifold, strided and inverse,
    value and both gradients, float32 and the halves that the device multiplies."""
    try:
        with torch.inference_mode(False), torch.enable_grad(), torch.autocast(device.type, enabled=False):
            errors = [error for dtype in _types(device) for error in _errors(convolve, device, dtype)]
    except Exception as error:  # compiled code fails in many ways
        said = " ".join(str(error).split()) or type(error).__name__
        return f"fails on this device ({said[:200]})"
    wrong = [(what, dtype, error) for what, dtype, error in errors if not error <= ALLOWED[dtype]]
    if not wrong:
        return None
    what, dtype, error = wrong[0]
    return f"gives other numbers than plain PyTorch here ({what}, {dtype}: relative error {error:.1g})"


def _types(device):
    bfloat = device.type != "cuda" or torch.cuda.get_device_capability(device) >= BFLOAT_CAPABILITY
    return [dtype for dtype in ALLOWED if bfloat or dtype != torch.bfloat16]


def _errors(convolve, device, dtype):
    random = torch.Generator().manual_seed(0)  # its own: a run's random numbers stay as they are
    pyramid = _scene(random, device)
    strided = pyramid.strided_map(0)
    for name, kernel, kernel_map in (
        ("submanifold", 3, pyramid.submanifold_map(0)),
        ("strided", 2, strided),
        ("inverse", 2, strided.transposed),
    ):
        shapes = (kernel_map.num_in, CHANNELS), (CHANNELS, kernel, kernel, kernel, CHANNELS)
        inputs = [torch.randn(shape, generator=random).to(device) for shape in shapes]
        grad = torch.randn(kernel_map.num_out, CHANNELS, generator=random).to(device)
        theirs = _run(convolve, [x.to(dtype) for x in inputs], grad.to(dtype), kernel_map)
        ours = _run(torch_conv.convolve, [x.to(dtype).float() for x in inputs], grad.to(dtype).float(), kernel_map)
        for what, x, y in zip(("value", "gradient to features", "gradient to weight"), theirs, ours, strict=True):
            yield f"{name}, {what}", dtype, float((x.float() - y).norm() / y.norm())


def _scene(random, device):
    cells = torch.randperm(EXTENT**3, generator=random)[:VOXELS]
    grid = torch.stack([cells // EXTENT**2, cells // EXTENT % EXTENT, cells % EXTENT], 1)
    return build_pyramid(grid.to(device), torch.tensor([VOXELS // 2, VOXELS], device=device), 2)[0]


def _run(convolve, inputs, grad, kernel_map):
    inputs = [x.requires_grad_() for x in inputs]
    out = convolve(*inputs, kernel_map)
    return out.detach(), *torch.autograd.grad(out, inputs, grad)
