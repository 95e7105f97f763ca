"""What a run is made with and heard by: seeds, the log, versions, device and git revision."""

import logging
import platform
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from pointcept_msm import __version__
from pointcept_msm.runtime import comm

ROOT = Path(__file__).resolve().parents[2]


def mix_seed(*numbers):
    """One 64-bit seed from several non-negative numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])


def set_seed(seed, rank=0):
    """Seed python, numpy and torch and ask cuDNN for repeatable kernels, as Pointcept does.

    Every rank draws masks, dropout and the like from a stream of its own; rank 0's is that of the seed itself.
    """
    seed = mix_seed(seed, rank) if rank else seed
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)  # every GPU too
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True


class Console(logging.StreamHandler):
    """Writes to what is standard output at that moment."""

    stream = property(lambda self: sys.stdout, lambda self, stream: None)


def open_log(path, append=False):
    """The logger "msm" on the console and in a file; of several processes the first writes, others say errors only.

    Records with `extra={"file_only": True}` stay off the console. A second call moves the log to the new file.
    """
    logger = close_log()
    logger.propagate = False
    logger.setLevel(logging.INFO if comm.is_main_process() else logging.ERROR)
    console = Console()
    console.addFilter(lambda record: not getattr(record, "file_only", False))
    logger.addHandler(console)
    if comm.is_main_process():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        mode = "a" if append else "w"
        logger.addHandler(logging.FileHandler(path, mode, encoding="utf-8", errors="backslashreplace"))
    for handler in logger.handlers:
        handler.setFormatter(logging.Formatter("[%(asctime)s %(levelname)s] %(message)s", "%Y-%m-%d %H:%M:%S"))
    return logger


def close_log():
    """Close the log and hand the logger back to whoever configures logging."""
    logger = logging.getLogger("msm")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    logger.propagate = True
    logger.setLevel(logging.NOTSET)
    return logger


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
        f"pointcept_msm {__version__} (git {git_revision()}), Python {platform.python_version()}, "
        f"torch {torch.__version__}, numpy {np.__version__}, {device}"
    )
