"""Medians and peak memory of functions that take turns in one run, so that ratios hold although the machine drifts."""

import ctypes
import gc
import os
import statistics
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager

import numpy as np
import torch

POLL_SECONDS = 0.002


def measure_cases(cases: Mapping[str, Callable], repeats: int, device="cpu") -> dict:
    """{name: dict(seconds=median, fastest, slowest, all=[...], peak_bytes)} of functions without arguments.

    peak_bytes: most memory in use above that before the call, in the first call (a warm-up whose time is not kept). On
    a CPU the process's resident memory is read every 2 ms: the peaks of shorter calls are missed.
    """
    device = torch.device(device)
    results = {name: dict(all=[]) for name in cases}
    for name, case in cases.items():
        with _peak_memory(device) as peak:
            case()
        results[name]["peak_bytes"] = peak[0]
    for _ in range(repeats):
        for name, case in cases.items():
            results[name]["all"].append(_time(case, device))
    for result in results.values():
        seconds = result["all"]
        result.update(seconds=statistics.median(seconds), fastest=min(seconds), slowest=max(seconds))
    return results


def growth_exponent(sizes, values) -> float | None:
    """Slope of log value over log size by least squares; None for fewer than two sizes or a value of 0."""
    if len(set(sizes)) < 2 or min(values) <= 0:
        return None
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def _time(case, device):
    _wait(device)
    start = time.perf_counter()
    case()
    _wait(device)
    return time.perf_counter() - start


def _wait(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def _peak_memory(device):
    """Yields a list whose one entry is, afterwards, the most bytes in use above those at the start."""
    peak = [0]
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        yield peak
        peak[0] = torch.cuda.max_memory_allocated(device) - before
        return
    _return_free_memory()
    stop, before = threading.Event(), _resident_bytes()
    poll = threading.Thread(target=_poll, args=(peak, before, stop), daemon=True)
    poll.start()
    try:
        yield peak
    finally:
        stop.set()
        poll.join()
        peak[0] = max(peak[0], _resident_bytes() - before)


def _poll(peak, before, stop):
    while not stop.wait(POLL_SECONDS):
        peak[0] = max(peak[0], _resident_bytes() - before)


def _resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _return_free_memory():
    """Memory that the C library keeps for later would hide what the next call takes."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
