"""The report: summaries over seeds, both tables and the files."""

import io
import json

import pytest
from rich.console import Console

from pointcept_msm.probing.report import (
    Row,
    budget_table,
    build_results,
    layer_table,
    main_table,
    print_table,
    save_report,
    summarise,
)


def make_results():
    ours = Row("MSM", "student", {}, 48, 16, 928, 0.02, "abcdef0123456789")
    few = {"linear_scenes_5%": 30.0, "linear_points_20": 40.0}
    ours.add(dict(linear_mIoU=60.0, knn_mIoU=50.0, level0_alone=20.0, level0_without=50.0) | few, dict(l2=0.1))
    ours.add(dict(linear_mIoU=64.0, knn_mIoU=50.0, level0_alone=22.0, level0_without=50.0) | few, dict(l2=0.01))
    raw = Row("raw input", "-", dict(linear_mIoU=[16.0], AP50=[float("nan")], linear_points_20=[9.0]), 48, 16, 7)
    return build_results([ours, raw], dict(k=20))


def test_summary():
    assert summarise([60, 64]) == dict(mean=62, spread=pytest.approx(8**0.5), values=[60, 64])
    assert summarise([60]) == dict(mean=60, spread=None, values=[60])
    assert summarise([float("nan")]) == dict(mean=None, spread=None, values=[None])


def test_tables():
    results = make_results()
    head, ours, raw = main_table(results)
    line = dict(zip(head, ours, strict=True))
    assert line["linear mIoU"] == "62.0 ± 2.8" and line["knn mIoU"] == "50.0 ± 0.0" and line["seeds"] == "2"
    assert line["scenes fit/test"] == "48/16" and line["width"] == "928" and line["weights"] == "abcdef012345"
    assert dict(zip(head, raw, strict=True))["AP50"] == "-" and "level0 alone" not in head
    assert not any("points 20" in name for name in head)


def test_tables_of_budgets_and_levels():
    results = make_results()
    assert budget_table(results, "scenes") == [
        ["linear mIoU, share of scenes", "5 %", "all"],
        ["MSM student", "30.0 ± 0.0", "62.0 ± 2.8"],
        ["raw input", "-", "16.0"],
    ]
    assert budget_table(results, "points")[2] == ["raw input", "9.0", "16.0"]
    head = ["linear mIoU, level", "MSM student, alone", "MSM student, all but it"]  # raw input has no levels
    assert layer_table(results) == [head, ["level0", "21.0 ± 1.4", "50.0 ± 0.0"]]
    bare = build_results([Row("raw input", "-", dict(linear_mIoU=[16.0]), 48, 16, 7)])
    assert budget_table(bare, "scenes") == layer_table(bare) == []


def test_files_and_print(tmp_path):
    results = make_results()
    path = save_report(tmp_path / "run", results)
    saved = json.loads(path.read_text())
    assert (
        saved["rows"][0]["chosen"] == dict(l2=[0.1, 0.01]) and saved["rows"][0]["metrics"]["linear_mIoU"]["mean"] == 62
    )
    assert saved["git_revision"] and saved["settings"] == dict(k=20)
    text = (tmp_path / "run" / "results.md").read_text()
    assert text.count("| MSM | student |") == 1 and "standard deviation over seeds" in text and "k 20" in text
    assert "| MSM student | 30.0 ± 0.0 | 62.0 ± 2.8 |" in text
    assert sorted(p.name for p in path.parent.iterdir()) == ["results.json", "results.md"]
    out = io.StringIO()
    print_table(results, Console(file=out))
    assert "62.0 ± 2.8" in out.getvalue() and "all but it" in out.getvalue() and "share of scenes" in out.getvalue()
