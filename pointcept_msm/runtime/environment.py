"""Seeds, and what a run was made with: versions, device and git revision."""

import os
import platform
import random
import subprocess
import sys
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


def git_revision(root=ROOT):
    """Short commit of the checkout whose sources these are, '+' when files differ from it; 'unknown' without git, and
    for an installed copy, whatever repository its environment lies in."""

    def ask(*command):
        return subprocess.run(["git", "-C", str(root), *command], capture_output=True, text=True, timeout=20)

    try:
        if ask("ls-files", "--error-unmatch", "pointcept_msm/__init__.py").returncode != 0:
            return "unknown"
        done = ask("describe", "--always", "--dirty=+", "--exclude=*")
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def peak_memory():
    """The most memory that this process has held, GiB (not on Windows)."""
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # kilobytes, but bytes on macOS
    return used / (1 << 30 if sys.platform == "darwin" else 1 << 20)


def describe_environment():
    """One line a run's log opens with."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    return (
        f"pointcept_msm {package_version()} (git {git_revision()}), Python {platform.python_version()}, "
        f"torch {torch.__version__}, numpy {np.__version__}, {device}"
    )
