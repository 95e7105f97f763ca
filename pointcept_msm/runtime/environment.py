"""Seeds, and what a run was made with: versions, device and git revision."""

import os
import platform
import random
import subprocess
from importlib import metadata
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]


def draw_seed():
    """A random seed in [0, 2**31)."""
    return int.from_bytes(os.urandom(4), "big") >> 1


def set_seed(seed):
    """Seed python, numpy and torch and ask cuDNN for repeatable kernels, as Pointcept does."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)  # every GPU too
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True


def package_version():
    """The version of pointcept_msm, 'unknown' when it is neither installed nor declared."""
    import pointcept_msm

    declared = getattr(pointcept_msm, "__version__", None)
    try:
        return declared or metadata.version("pointcept_msm")
    except metadata.PackageNotFoundError:
        return "unknown"


def git_revision(folder=ROOT):
    """Short commit of the checkout that holds the package, '+' when files differ from it, 'unknown' without git."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def describe_environment():
    """One line a run's log opens with."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    return (
        f"pointcept_msm {package_version()} (git {git_revision()}), Python {platform.python_version()}, "
        f"torch {torch.__version__}, numpy {np.__version__}, {device}"
    )
