"""Timing helpers on functions whose time, memory and growth are known."""

import time

import pytest
import torch

from pointcept_msm.benchmark.measure import growth_exponent, measure_cases


def test_median_and_peak_of_known_functions():
    results = measure_cases({"sleep": lambda: time.sleep(0.03), "fill": lambda: torch.ones(25 << 20).sum()}, 3)
    assert 0.03 <= results["sleep"]["seconds"] < 0.3 and len(results["sleep"]["all"]) == 3
    assert results["sleep"]["fastest"] <= results["sleep"]["seconds"] <= results["sleep"]["slowest"]
    assert 60 << 20 < results["fill"]["peak_bytes"] < 160 << 20  # 100 MiB are written
    assert results["sleep"]["peak_bytes"] < 20 << 20


def test_growth_exponent():
    sizes = [10, 100, 1000]
    assert growth_exponent(sizes, [3 * s**1.5 for s in sizes]) == pytest.approx(1.5)
    assert growth_exponent([10], [1.0]) is None and growth_exponent(sizes, [0, 1, 2]) is None
