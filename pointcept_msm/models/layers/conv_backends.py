"""What multiplies sparse convolutions: a property of the machine, not of the network, so no config holds it.

MSM_CONV_BACKEND: "torch" (any device), "triton" (GPU), or "auto": triton on a GPU that it compiles for, else torch.
"""

import logging
import os
from collections.abc import Callable
from functools import cache

import torch

from pointcept_msm.runtime.errors import UserError

from . import torch_conv

LOGGER = logging.getLogger("msm")
VARIABLE = "MSM_CONV_BACKEND"
CHOICES = ("auto", "torch", "triton")
CAPABILITY = (8, 0)  # NVIDIA GPUs that Triton compiles for, Ampere on; AMD's count on from 9


def check_conv_backend() -> None:
    """Before anything is trained: UserError for an unknown name, or for triton where it cannot run."""
    if _wanted() == "triton":
        _refuse_triton(torch.device("cuda" if torch.cuda.is_available() else "cpu"))


def choose_conv_backend(device: torch.device) -> Callable:
    """The function (feat, weight, kernel_map) -> feat for tensors on `device`; UserError as `check_conv_backend`."""
    return _choose(_wanted(), device)


def uses_triton(device: torch.device) -> bool:
    """Whether tensors on `device` go to Triton's kernels, those of norms (norm.py) with those of convolutions."""
    return _uses_triton(_wanted(), device)


@cache
def _uses_triton(wanted, device):
    return wanted != "torch" and _triton_fault(device) is None


def find_conv_backends(device: torch.device) -> dict[str, Callable]:
    """{name: function} of all that work for tensors on `device`."""
    names = ("torch",) if _triton_fault(device) else ("torch", "triton")
    return {name: _choose(name, device) for name in names}


def _wanted():
    name = os.environ.get(VARIABLE) or "auto"
    if name not in CHOICES:
        raise UserError(f"{VARIABLE} is {name!r}; allowed are {', '.join(CHOICES)}.")
    return name


@cache
def _choose(wanted, device):
    """Found and logged once."""
    if wanted == "triton":
        _refuse_triton(device)
    fault = None if wanted == "torch" else _triton_fault(device)
    name = "torch" if wanted == "torch" or fault else "triton"
    why = f" ({fault})" if fault and device.type == "cuda" else ""
    LOGGER.info("sparse convolution on %s: %s%s", device.type, name, why)
    if name == "torch":
        return torch_conv.convolve
    from . import triton_conv  # comes with torch on Linux only

    return triton_conv.convolve


def _refuse_triton(device):
    fault = _triton_fault(device)
    if fault:
        raise UserError(f"{VARIABLE} is 'triton', which cannot run here: {fault}; use {VARIABLE}=auto or torch.")


def _triton_fault(device):
    """Why Triton's kernels do not run on the device, or None."""
    if device.type != "cuda":
        return f"it needs a GPU and the features are on {device.type!r}"
    try:
        import triton  # noqa: F401
    except ImportError as error:
        return f"Triton cannot be imported: {error}"
    found = torch.cuda.get_device_capability(device)
    return None if found >= CAPABILITY else f"the GPU's compute capability is {found[0]}.{found[1]}, 8.0 is needed"
