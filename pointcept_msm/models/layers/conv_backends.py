"""What multiplies sparse convolutions: a property of the machine, not of the network, so no config holds it.

MSM_CONV_BACKEND: "torch" (any device), "triton" (GPU), or "auto": triton on a GPU that it compiles for, else torch.
"""

import logging
import os
from collections.abc import Callable
from functools import cache

import torch

from pointcept_msm.runtime import comm
from pointcept_msm.runtime.errors import UserError

from . import torch_conv

LOGGER = logging.getLogger("msm")
VARIABLE = "MSM_CONV_BACKEND"
CHOICES = ("auto", "torch", "triton")
CAPABILITY = (8, 0)  # NVIDIA GPUs that Triton compiles for, Ampere on; AMD's count on from 9


def check_same_backend(device: torch.device) -> None:
    """Log what multiplies in every process, by rank. UserError where they differ: one network, two roundings."""
    names = comm.all_gather("triton" if uses_triton(device) else "torch")
    if len(set(names)) > 1:
        raise UserError(
            f"sparse convolution by rank is {', '.join(names)}: the processes must use the same; set {VARIABLE}=torch."
        )
    LOGGER.info("sparse convolution by rank: %s", ", ".join(names))


def uses_triton(device: torch.device) -> bool:
    """Whether tensors on `device` go to Triton's kernels, those of norms (norm.py) with those of convolutions.

    UserError: an unknown name, or triton where it cannot run.
    """
    name = os.environ.get(VARIABLE) or "auto"
    if name not in CHOICES:
        raise UserError(f"{VARIABLE} is {name!r}; allowed are {', '.join(CHOICES)}.")
    return _uses_triton(name, device)


def choose_conv_backend(device: torch.device) -> Callable:
    """The function (feat, weight, kernel_map, bias) -> feat for tensors on `device`; errors as `uses_triton`."""
    return _load_triton() if uses_triton(device) else torch_conv.convolve


def find_conv_backends(device: torch.device) -> dict[str, Callable]:
    """{name: function} of all that work for tensors on `device`."""
    found = dict(torch=torch_conv.convolve)
    return found if _triton_fault(device) else found | dict(triton=_load_triton())


@cache
def _uses_triton(wanted, device):
    """Found and logged once."""
    fault = None if wanted == "torch" else _triton_fault(device)
    if fault and wanted == "triton":
        raise UserError(f"{VARIABLE} is 'triton', which cannot run here: {fault}; use {VARIABLE}=auto or torch.")
    uses = wanted != "torch" and not fault
    said = "triton; kernels are compiled on first use, about 10 s, once" if uses else "torch"
    LOGGER.info("sparse convolution on %s: %s%s", device, said, f" ({fault})" if fault and device.type != "cpu" else "")
    return uses


def _load_triton():
    from . import triton_conv  # needs Triton, which comes with torch on Linux only

    return triton_conv.convolve


def _triton_fault(device):
    """Why Triton's kernels do not run on the device, or None."""
    if device.type != "cuda":
        return f"it needs a GPU and the features are on {device.type!r}"
    found = torch.cuda.get_device_capability(device)
    if found < CAPABILITY:
        return f"the GPU's compute capability is {found[0]}.{found[1]}, 8.0 is needed"
    try:
        _start_triton()
    except Exception as error:  # not installed, no C compiler, no Python headers: as many types
        return f"Triton does not start: {' '.join(str(error).split())[:200] or type(error).__name__}"
    return None


def _start_triton():
    """Some releases build what launches kernels by the machine's C compiler."""
    from triton.runtime import driver

    return driver.active.utils
