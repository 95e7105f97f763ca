"""tools/benchmark.py from its command line."""

import importlib.util
import json
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "tools" / "benchmark.py"
spec = importlib.util.spec_from_file_location("benchmark_script", SCRIPT)
benchmark = importlib.util.module_from_spec(spec)
spec.loader.exec_module(benchmark)

SMALL = ["--sizes", "1000", "2000", "--repeats", "1", "--device", "cpu"]


def test_tables_and_json(tmp_path, capsys):
    assert (
        benchmark.run_command(benchmark.main, ["index", "views", *SMALL, "--json", str(tmp_path / "x" / "b.json")]) == 0
    )
    written = json.loads((tmp_path / "x" / "b.json").read_text())
    assert {(row["item"], row["size"]) for row in written["rows"]} == {
        (item, size) for item in ("index", "views") for size in (1000, 2000)
    }
    assert {row["case"] for row in written["growth"]} == {"pyramid and maps", "views"}
    assert "| views | views | 2,000 |" in capsys.readouterr().out


def test_compare_prints_a_ratio(capsys):
    assert benchmark.main(["--compare", "sampling/dense", "sampling/released", *SMALL]) is None
    assert "sampling/released takes" in capsys.readouterr().out


def test_compare_takes_a_case_at_every_width(capsys):
    cases = ["sparse_conv/torch", "sparse_conv/torch forward and backward"]
    benchmark.main(["--compare", *cases, *SMALL, "--channels", "4", "8"])
    said = [line for line in capsys.readouterr().out.splitlines() if "times as long" in line]
    assert [line.partition(" voxels")[0] for line in said] == ["C=4 1,000", "C=8 1,000", "C=4 2,000", "C=8 2,000"]


def test_unknown_names_are_refused(capsys):
    with pytest.raises(SystemExit):
        benchmark.main(["sampler"])
    assert "unknown item 'sampler'" in capsys.readouterr().err
    assert benchmark.run_command(benchmark.main, ["--compare", "sampling/no", "views/views", *SMALL]) == 1
    assert "no such case" in capsys.readouterr().err
