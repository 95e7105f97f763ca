"""A run of the method that is killed (-9) and resumed ends with the weights of one that was left alone, to the bit."""

import json
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest

from pointcept_msm.files.weights import load_checkpoint
from tests import toy
from tests.host.test_runner import start_group
from tests.robustness import msm_run
from tests.robustness.msm_run import LAST, TIMES, find_differences, read

KILLS = 20
SEED = 4


def read_metrics(folder):
    lines = (folder / "run/metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in TIMES} for line in lines]


def assert_same_end(folder, whole):
    assert find_differences(read(folder / LAST), read(whole / LAST)) == []
    assert read_metrics(folder) == read_metrics(whole)
    for network in ("student", "teacher"):
        pair = [load_checkpoint(place / f"run/{network}.safetensors")[0] for place in (folder, whole)]
        assert find_differences(*pair) == []


def test_one_kill(tmp_path):
    """With ramps of the mask, teacher, collapse monitor and a worker, in the middle of the second epoch."""
    whole, cut, length = tmp_path / "whole", tmp_path / "cut", dict(epoch=4, eval_epoch=2, every_steps=5)

    def crash():
        os.environ["TOY_CRASH"] = f"1,1,{int(signal.SIGKILL)}"
        msm_run.train(cut, ["num_worker=1"], **length)

    for folder in (whole, cut):
        msm_run.write_rooms(folder, rooms=4, points=400)
    msm_run.train(whole, **length)
    child = multiprocessing.get_context("fork").Process(target=crash)
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL and read(cut / LAST)["msm"]["step"] == 5
    msm_run.train(cut, ["resume=true"], **length)
    assert_same_end(cut, whole)


def start(folder, *options):
    with open(folder / "output", "ab") as output:
        return start_group(folder, *options, gpus=1, stdout=output, stderr=output)


def count_lines(folder):
    path = folder / "run/metrics.jsonl"
    return path.read_text().count("\n") if path.exists() else 0


def wait_for_progress(run, folder, timeout=120):
    """Return when the process has taken a step, or ended."""
    before, deadline = count_lines(folder), time.monotonic() + timeout
    trimmed = False  # a resumed run first cuts the lines beyond its checkpoint
    while time.monotonic() < deadline and run.poll() is None:
        now = count_lines(folder)
        trimmed, before = trimmed or now < before, min(before, now)
        if now > before:
            return
        time.sleep(0.01)


def list_children(pid):
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(status.parent.name))
    return found


def wait_until_gone(pids, timeout=15):
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline and any(Path(f"/proc/{pid}").exists() for pid in pids):
        time.sleep(0.05)
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_twenty_kills_at_random_moments(tmp_path):
    """Fifteen during training and five during start-up, saves after every step, with none to two workers."""
    rng, options = random.Random(SEED), dict(epoch=80, eval_epoch=8, every_steps=1)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        msm_run.write_rooms(folder, rooms=4, points=1000)
        toy.write_config(folder, **msm_run.describe(folder, **options))
    started = time.monotonic()
    assert start(whole).wait(600) == 0, (whole / "output").read_text()[-2000:]
    whole_time, steps = time.monotonic() - started, []
    for kill in range(KILLS):
        workers, resume = rng.choice((0, 0, 1, 2)), ["resume=true"] if kill else []
        run = start(cut, f"num_worker={workers}", *resume)
        if kill % 4 == 3:
            time.sleep(rng.uniform(0, 6))
        else:
            wait_for_progress(run, cut)
            time.sleep(rng.uniform(0, whole_time / 60))
        children = list_children(run.pid)
        run.kill()
        assert run.wait(30) == -signal.SIGKILL, (cut / "output").read_text()[-2000:]
        assert wait_until_gone(children) == [], "a worker outlived its run"
        steps.append(read(cut / LAST)["msm"]["step"] if (cut / LAST).exists() else 0)
    print(f"\nsteps of the last checkpoint after each kill: {steps}; the run alone took {whole_time:.0f} s")
    assert len(set(steps)) > 10, "most kills must have fallen at different places"
    assert start(cut, "resume=true").wait(600) == 0, (cut / "output").read_text()[-2000:]
    assert_same_end(cut, whole)
