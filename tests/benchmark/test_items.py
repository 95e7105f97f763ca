"""The cases that a benchmark compares give the same values."""

from argparse import Namespace

import numpy as np
import pytest
import torch

from pointcept_msm.benchmark.items import _conv_cases, sampling
from pointcept_msm.benchmark.scenes import build_levels, build_scene


def test_scenes_have_the_asked_size_and_distinct_voxels():
    room = build_scene(1000)["grid_coord"]
    assert len(np.unique(room, axis=0)) == 1000
    large = build_scene(700_000)
    assert len(np.unique(large["grid_coord"], axis=0)) == 700_000 == len(large["normal"])


def test_sampling_cases_agree():
    cases = sampling(build_scene(3000), Namespace(device="cpu"))
    torch.testing.assert_close(cases["released"](), cases["dense"](), rtol=1e-3, atol=1e-3)
    assert (cases["exact"]() - cases["dense"]()).abs().max() > 0.1


def test_spconv_on_a_cpu_gives_our_values():
    pytest.importorskip("spconv")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # its CPU build is wrong with more
    try:
        cases = _conv_cases(build_levels(build_scene(2000), 1, "cpu"), 32, "cpu")
        torch.testing.assert_close(cases["torch"](), cases["spconv"](), rtol=1e-4, atol=1e-4)
    finally:
        torch.set_num_threads(threads)
