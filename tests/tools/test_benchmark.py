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


def test_unknown_names_are_refused(capsys):
    with pytest.raises(SystemExit):
        benchmark.main(["sampler"])
    assert "unknown item 'sampler'" in capsys.readouterr().err
    assert benchmark.run_command(benchmark.main, ["--compare", "sampling/no", "views/views", *SMALL]) == 1
    assert "no such case" in capsys.readouterr().err
