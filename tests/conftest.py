"""What every test shares: one thread, fixed seeds, the embedded host, and the way into a real Pointcept checkout.

Tests run in the embedded host. Those marked `pointcept` start a second interpreter in the Pointcept host; they need
POINTCEPT_ROOT (a clone), and may need POINTCEPT_PYTHON (an interpreter that has Pointcept's requirements) and, without
CUDA, POINTCEPT_CPU_SHIM (a folder with a `sitecustomize.py` that lets Pointcept run on a CPU).
"""

import os
import random
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("MSM_HOST", "embedded")

import numpy as np
import pytest
import torch

from pointcept_msm.runtime.environment import close_log

REPOSITORY = Path(__file__).resolve().parents[1]

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def fresh_state():
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    yield
    close_log()  # of a run that the test started: from an open one caplog hears nothing in pytest 8


@pytest.fixture(scope="session")
def pointcept_root() -> Path:
    """A real Pointcept clone; the test is skipped when POINTCEPT_ROOT names none."""
    root = os.environ.get("POINTCEPT_ROOT")
    if not root:
        pytest.skip("POINTCEPT_ROOT is not set: no Pointcept checkout to test in")
    return Path(root)


@pytest.fixture(scope="session")
def run_in_pointcept(pointcept_root):
    """A function that runs Python arguments in the Pointcept host, fails with the output, or returns it."""
    shim = os.environ.get("POINTCEPT_CPU_SHIM")
    folders = [*([shim] if shim else []), str(pointcept_root), str(REPOSITORY)]
    environment = {
        **os.environ,
        "MSM_HOST": "pointcept",
        "PYTHONPATH": os.pathsep.join(folders),
        "OMP_NUM_THREADS": "1",
    }
    environment.update({"POINTCEPT_CPU": "1"} if shim else {})

    def run(*arguments: str, timeout: float = 300) -> str:
        command = [os.environ.get("POINTCEPT_PYTHON", sys.executable), *arguments]
        done = subprocess.run(
            command, env=environment, cwd=REPOSITORY, capture_output=True, text=True, timeout=timeout, check=False
        )
        assert done.returncode == 0, (
            f"{command} failed in the Pointcept host:\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
        )
        return done.stdout

    return run
