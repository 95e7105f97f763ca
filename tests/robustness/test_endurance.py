"""Memory of a step does not grow over a run; the same seed gives the same weights, to the bit."""

import os
import statistics
from pathlib import Path

import pytest
import torch

from pointcept_msm.host import HOOKS, HookBase, register
from tests import toy
from tests.robustness import msm_run
from tests.robustness.msm_run import find_differences

STEPS, WINDOW, WARM_UP = 300, 60, 60
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "0")  # before other tests of this process multiply anything
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def read_peak():
    """Highest resident memory since the last reset, in MiB; resets it."""
    peak = next(int(line.split()[1]) / 1024 for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
    RESET.write_text("5")
    return peak


@register(HOOKS, "PeakHook")
class PeakHook(HookBase):
    """Peak resident memory of every step; `leak`: MiB kept on purpose at each, to see that the test sees it."""

    def __init__(self, leak=0.0):
        self.peaks, self.kept, self.leak = [], [], leak

    def before_step(self):
        read_peak()

    def after_step(self):
        self.peaks.append(read_peak())
        self.kept.append(torch.ones(int(self.leak * 2**18)))


def measure_growth(folder, steps, leak=0.0):
    """(growth of the median of per-step peaks from the first window after warm-up to the last, all peaks), MiB."""
    msm_run.write_rooms(folder, rooms=4, points=1500)
    hooks = [h for h in msm_run.describe(folder)["hooks"] if h["type"] != "MSMMaskingHook"]  # its ramp changes the load
    hooks.append(dict(type="PeakHook", leak=leak))
    trainer = toy.build_trainer(folder, [f"max_steps={steps}"], **msm_run.describe(
        folder, epoch=4 * steps, eval_epoch=4, hooks=hooks, custom_imports=dict(imports=["tests.toy", __name__]),
    ))  # fmt: skip
    trainer.train()
    peaks = next(hook for hook in trainer.hooks if isinstance(hook, PeakHook)).peaks
    assert len(peaks) == steps
    early, late = peaks[WARM_UP : WARM_UP + WINDOW], peaks[-WINDOW:]
    return statistics.median(late) - statistics.median(early), peaks


@pytest.mark.slow
@pytest.mark.skipif(not RESET.exists(), reason="reads /proc")
def test_memory_does_not_grow_over_300_steps(tmp_path):
    growth, peaks = measure_growth(tmp_path, STEPS)
    print(f"\npeak of steps 61-120 {statistics.median(peaks[60:120]):.1f} MiB, the last 60: {growth:+.1f} MiB")
    assert growth < 8, "MiB"


@pytest.mark.slow
@pytest.mark.skipif(not RESET.exists(), reason="reads /proc")
def test_a_leak_of_a_tenth_of_a_mib_a_step_is_seen(tmp_path):
    growth, _ = measure_growth(tmp_path, STEPS, leak=0.1)
    assert growth > 12, "MiB; 180 steps lie between the windows"


@pytest.mark.parametrize("threads", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_the_same_seed_gives_the_same_weights(tmp_path, threads):
    """To the bit, with data workers and without; another seed gives others."""
    before, states = torch.get_num_threads(), []
    torch.set_num_threads(threads)
    try:
        for name, seed, workers in (("one", 5, 0), ("two", 5, 2), ("other", 6, 0)):
            (tmp_path / name).mkdir()
            msm_run.write_rooms(tmp_path / name, rooms=2, points=400)
            trainer = msm_run.train(tmp_path / name, [f"seed={seed}", f"num_worker={workers}"], epoch=2, eval_epoch=1)
            states.append(trainer.model.state_dict())
    finally:
        torch.set_num_threads(before)
    assert find_differences(states[0], states[1]) == []
    assert find_differences(states[0], states[2]) != []
