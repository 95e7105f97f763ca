"""tools/benchmark.py from its command line: every item runs, and its cases are what they say."""

import importlib.util
import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch

SCRIPT = Path(__file__).parents[2] / "tools" / "benchmark.py"
spec = importlib.util.spec_from_file_location("benchmark_script", SCRIPT)
benchmark = importlib.util.module_from_spec(spec)
spec.loader.exec_module(benchmark)


def test_every_item_runs(tmp_path, capsys):
    options = ["--sizes", "800", "--repeats", "1", "--device", "cpu", "--channels", "8"]
    assert benchmark.run_command(benchmark.main, [*options, "--json", str(tmp_path / "x" / "b.json")]) == 0
    written = json.loads((tmp_path / "x" / "b.json").read_text())
    assert {row["item"] for row in written["rows"]} == set(benchmark.ITEMS)
    assert all(row["size"] == 800 and len(row["seconds"]) == 1 for row in written["rows"])
    assert "| views | both views | 800 |" in capsys.readouterr().out


def test_unknown_names_are_refused(capsys):
    with pytest.raises(SystemExit):
        benchmark.main(["sampler"])
    assert "unknown item 'sampler'" in capsys.readouterr().err


def test_scenes_have_the_asked_size_and_distinct_voxels():
    large = benchmark.build_scene(700_000)
    assert len(np.unique(large["grid_coord"], axis=0)) == 700_000 == len(large["normal"])


def test_cases_of_a_convolution_and_its_gradients():
    cases = benchmark.conv(benchmark.build_scene(500), Namespace(device="cpu", channels=[8]))
    assert list(cases) == ["C=8 dense product", "C=8 torch", "C=8 torch, backward too"]
    shapes = [[x.shape for x in case()] if "backward" in name else case().shape for name, case in cases.items()]
    assert shapes == [(500, 8), (500, 8), [(500, 8), (8, 3, 3, 3, 8)]]


def test_times_go_by_turns():
    calls = []
    cases = {name: lambda name=name: calls.append(name) for name in "ab"}
    results = benchmark.measure(cases, 2, "cpu")
    assert calls == ["a", "b", "a", "b", "a", "b"] and len(results["b"]["seconds"]) == 2
    assert torch.is_grad_enabled()
