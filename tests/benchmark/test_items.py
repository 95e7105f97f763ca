"""The cases that a benchmark compares give the same values."""

from argparse import Namespace

import numpy as np
import torch

from pointcept_msm.benchmark.conv_cases import build_conv_cases
from pointcept_msm.benchmark.items import _views, sampling, step
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


def test_conv_cases_of_a_cpu_run():
    cases = build_conv_cases(build_levels(build_scene(500), 1, "cpu"), 8, "cpu")
    assert set(cases) == {"product", "torch", "torch forward and backward"}
    assert cases["torch"]().shape == cases["product"]().shape == (500, 8)
    assert [x.shape for x in cases["torch forward and backward"]()] == [(500, 8), (8, 3, 3, 3, 8)]


def test_step_and_views_are_those_of_the_configs():
    """Not copies, which would go stale."""
    assert [type(t).__name__ for t in _views().augment.transforms][:2] == ["CenterShift", "RandomRotate"]
    cases = step(build_scene(800), Namespace(device="cpu", network="small"))
    assert set(cases) == {"masked step (small)", "views"}
    cases["masked step (small)"]()
