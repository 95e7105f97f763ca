"""tools/plot.py: which figures come of which folders, and that curves, bars and points show the numbers given."""

import json
import runpy

import numpy as np
import pytest

from tests.tools.scene_tools import call
from tests.toy import ROOT

pytest.importorskip("matplotlib")
PLOT = runpy.run_path(str(ROOT / "tools/plot.py"))


def write_lines(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def summary(*values):
    mean = sum(values) / len(values)
    return dict(mean=mean, spread=float(np.std(values, ddof=1)) if len(values) > 1 else None, values=values)


def write_results(folder, knn, linear, **more):
    metrics = dict(knn_mIoU=summary(knn), linear_mIoU=summary(linear), **more)
    row = dict(method="MSM", network="student", metrics=metrics, class_iou=dict(linear=[50.0, None, 25.0]))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(dict(rows=[row], classes=["wall", "floor", "tv"])))


@pytest.fixture
def folders(tmp_path):
    """A training, a probe with label budgets, an ablation folder over mask ratios, a few-labels folder."""
    steps = [dict(step=i + 1, loss=1 / (i + 1), spread_level0=0.9, rank_level0=5.0) for i in range(300)]
    write_lines(tmp_path / "run/metrics.jsonl", steps)
    probes = [{"step": step, "probe/student_knn_mIoU": value} for step, value in ((100, 20.0), (200, 1.0), (200, 30.0))]
    write_lines(tmp_path / "run/evaluations.jsonl", probes)
    few = {
        "linear_scenes_5%": summary(10.0, 12.0),
        "linear_scenes_20%": summary(20.0),
        "linear_points_20": summary(9.0),
    }
    write_results(tmp_path / "probe", 30.0, 40.0, **few)
    for name, ratio in (("base", 0.4), ("mask-ratio-0.1", 0.1), ("mask-ratio-0.8", 0.8), ("cosine", 0.4)):
        for seed in (0, 1):
            folder = tmp_path / f"ablations/{name}/seed{seed}"
            write_lines(folder / "metrics.jsonl", [dict(step=1, loss=1.0, mask_ratio=ratio)])
            write_results(folder / "probe", 30 + 10 * ratio + seed, 20.0)
    names = ["base", "mask-ratio-0.1", "mask-ratio-0.8", "cosine", "not-yet-run"]
    (tmp_path / "ablations/ablations.json").write_text(json.dumps(dict(variants=names)))
    values = {"frozen, kNN": {"1": {"0": 10.0, "1": 14.0}, "16": {"0": 30.0}}, "from scratch": {"1": {"0": 5.0}}}
    (tmp_path / "few").mkdir()
    (tmp_path / "few/few_labels.json").write_text(json.dumps(dict(values=values)))
    return tmp_path


def test_every_figure_is_written(folders, capsys):
    paths = [folders / name for name in ("run", "probe", "ablations", "few")]
    code, out, errors = call(capsys, "plot", *paths, "--out", folders / "figures")
    assert code == 0 and not errors
    names = {"loss", "collapse", "probe", "classes", "budgets", "ablations", "mask-ratio", "few-labels"}
    written = {path.stem: path for path in (folders / "figures").iterdir()}
    assert set(written) == names and len(out.splitlines()) == len(names)
    assert all(path.stat().st_size > 5000 for path in written.values())


def test_figures_show_the_numbers(folders):
    figures = PLOT["draw_all"]([folders / name for name in ("run", "ablations", "few")])
    loss = figures["loss"].axes[0].lines[0]
    assert len(loss.get_xdata()) == 100 and loss.get_ydata()[0] == pytest.approx(np.mean([1, 1 / 2, 1 / 3]))
    probe = figures["probe"].axes[0].lines[0]
    assert probe.get_xydata().tolist() == [[100, 20], [200, 30]], "of a step that was made again the last value"
    bars = figures["ablations"].axes[0]
    labels = [label.get_text() for label in bars.get_yticklabels()]
    assert labels == ["base", "mask-ratio-0.1", "mask-ratio-0.8", "cosine"]
    assert [bar.get_width() for bar in bars.patches] == [34.5, 31.5, 38.5, 34.5]
    assert bars.lines[0].get_xdata().tolist() == [34, 35]
    ratio = figures["mask-ratio"].axes[0].lines[0]
    assert ratio.get_xydata().tolist() == [[0.1, 31.5], [0.4, 34.5], [0.8, 38.5]]
    few = figures["few-labels"].axes[0].lines[0]
    assert few.get_xydata().tolist() == [[1, 12], [16, 30]]


def test_folders_of_one_name_are_told_apart(folders):
    paths = [folders / f"ablations/{name}/seed0" for name in ("base", "cosine")]
    figures = PLOT["draw_all"](paths)
    legend = figures["loss"].axes[0].get_legend().get_texts()
    assert [text.get_text() for text in legend] == ["base/seed0", "cosine/seed0"]
    assert len(figures["classes"].axes[0].patches) == 6


def test_classes_and_budgets(folders):
    figures = PLOT["draw_all"]([folders / "probe"])
    heights = [bar.get_height() for bar in figures["classes"].axes[0].patches]
    assert heights[0] == 50 and np.isnan(heights[1]) and heights[2] == 25
    scenes, points = figures["budgets"].axes
    assert scenes.lines[0].get_xydata().tolist() == [[5, 11], [20, 20]] and len(points.lines[0].get_xdata()) == 1


def test_what_is_refused(tmp_path, capsys):
    code, _, errors = call(capsys, "plot", tmp_path / "nowhere")
    assert code != 0 and "does not exist" in errors[0]
    code, _, errors = call(capsys, "plot", tmp_path, "--out", tmp_path / "out")
    assert code != 0 and "nothing to draw" in errors[0] and not (tmp_path / "out").exists()
