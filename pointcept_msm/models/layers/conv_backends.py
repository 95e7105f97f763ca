"""Which back end multiplies sparse convolutions: a property of the machine, not of the network, so no config holds it.

MSM_CONV_BACKEND, or `set_conv_backend`: "torch" (any device), "spconv", "spconv_triton" (GPU), or "auto": torch on a
CPU; on a GPU the first of spconv, spconv_triton, torch that is installed and gives torch's values there.
"""

import logging
import os
from collections.abc import Callable
from functools import cache, partial

import torch

from . import spconv_conv, torch_conv
from .conv_trial import find_fault

LOGGER = logging.getLogger("msm")
VARIABLE = "MSM_CONV_BACKEND"
BACKENDS = ("torch", *spconv_conv.PACKAGES)
CHOICES = ("auto", *BACKENDS)
INSTALL = dict(
    spconv="pip install spconv-cu120, or the wheel of your CUDA release",
    spconv_triton="pip install spconv-triton",
)
_set = None


def set_conv_backend(name: str | None) -> None:
    """Choose for this process; None goes back to MSM_CONV_BACKEND. ValueError and ImportError as
    `check_conv_backend`, and the choice stays as it was."""
    global _set
    if name is not None:
        _check_usable(_check_name(name, "the back end"))
    _set = name


def wanted_conv_backend() -> str:
    """The choice, one of CHOICES; ValueError for another name."""
    return _set or _check_name(os.environ.get(VARIABLE) or "auto", VARIABLE)


def check_conv_backend() -> None:
    """Before anything is trained: ValueError for an unknown name or a GPU's back end on a machine without GPU,
    ImportError for one that is not installed."""
    _check_usable(wanted_conv_backend())


def _check_name(name, source):
    if name not in CHOICES:
        raise ValueError(f"{source} is {name!r}; allowed are {', '.join(CHOICES)}.")
    return name


def _check_usable(name):
    if name in spconv_conv.PACKAGES:
        _check_installed(name)
        if not torch.cuda.is_available():
            raise ValueError(_needs_gpu(name, "this machine has none that torch can use"))


def choose_conv_backend(device: torch.device) -> Callable:
    """The function (feat, weight, kernel_map) -> feat of the back end for tensors on `device`. ValueError, ImportError
    or NotImplementedError where the wanted one does not work."""
    return _functions(_choose(wanted_conv_backend(), device.type))


def find_conv_backends(device: torch.device) -> dict[str, Callable]:
    """{name: function} of all that work for tensors on `device`."""
    names = BACKENDS if device.type == "cuda" else ("torch",)
    return {name: _functions(name) for name in names if _find_fault(name) is None}


@cache
def _choose(wanted, kind):
    """Name of the back end; found and logged once."""
    if kind != "cuda" and wanted in spconv_conv.PACKAGES:
        raise ValueError(_needs_gpu(wanted, f"the features are on {kind!r}"))
    if wanted != "auto" or kind != "cuda":
        name = "torch" if wanted == "auto" else wanted
        fault = _find_fault(name)
    else:
        name, fault = _first_that_works(), None
    if fault is not None:
        raise fault
    LOGGER.info("sparse convolution on %s: %s", kind, _describe(name))
    return name


def _first_that_works():
    for name in spconv_conv.PACKAGES:
        fault = _find_fault(name)
        if fault is None:
            return name
        if not isinstance(fault, ModuleNotFoundError):
            LOGGER.warning("not used: %s", fault)
    return "torch"


def _find_fault(name):
    """The exception that says why a back end cannot be used on the GPU, or None."""
    if name == "torch":
        return None
    try:
        _check_installed(name)
    except ImportError as error:
        return error
    said = find_fault(_functions(name), torch.device("cuda"))
    if said is not None:
        return NotImplementedError(f"{name} {said}; use MSM_CONV_BACKEND=torch, or another build of {name}.")
    return None


def _check_installed(name):
    """ImportError, of the kind ModuleNotFoundError where the package is not there at all."""
    try:
        package = spconv_conv.load_spconv(name)
    except ModuleNotFoundError as error:
        what = "is not installed" if error.name == name else f"needs the module {error.name!r}, which is not installed"
        kind = ModuleNotFoundError if error.name == name else ImportError
        raise kind(f"{name} {what}: {INSTALL[name]}, or use {VARIABLE}=auto or torch.") from error
    except Exception as error:  # a compiled package fails in many ways
        said = " ".join(str(error).split()) or type(error).__name__
        raise ImportError(f"{name} cannot be imported ({said}): {INSTALL[name]}, or use {VARIABLE}=torch.") from error
    if package.cpu_only:
        raise ImportError(f"{name} is its CPU build, which cannot train: {INSTALL[name]}, or use {VARIABLE}=torch.")


def _needs_gpu(name, found):
    return f"{name} runs on a GPU and {found}; use {VARIABLE}=auto or torch."


def _functions(name):
    return torch_conv.convolve if name == "torch" else partial(spconv_conv.convolve, name)


def _describe(name):
    return name if name == "torch" else f"{name} {spconv_conv.load_spconv(name).version}"
