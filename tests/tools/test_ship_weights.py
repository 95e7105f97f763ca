"""The card's tables from files, and tools/ship_weights.py end to end on a tiny network."""

import hashlib
import json
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

import pointcept_msm
from pointcept_msm.files import weights
from pointcept_msm.runtime.command_line import run_command
from tests.probe_toy import make_weights
from tests.tools.scene_tools import make_scene

ROOT = Path(__file__).resolve().parents[2]
TOOL = runpy.run_path(str(ROOT / "tools/ship_weights.py"))
facts_table, probe_table, read_section, replace_section = (
    TOOL[name] for name in ("facts_table", "probe_table", "read_section", "replace_section")
)
META = dict(grid_size=0.1, features=["color", "normal"], fill=dict(color=127.5), steps=7, loss=0.25, licence="MIT")


def report(without, student, raw, spread=None):
    def row(method, network, value, checkpoint):
        metrics = {"knn_mIoU": dict(mean=value, spread=spread), "linear_mIoU": dict(mean=value + 1, spread=spread)}
        return dict(
            method=method,
            network=network,
            checkpoint=checkpoint,
            metrics=metrics,
            fit_scenes=16,
            test_scenes=8,
            seeds=3,
        )

    rows = [row("MSM", "student", student, "abcdef0123456789"), row("raw input", "-", raw, "-")]
    return dict(settings=dict(without=without), rows=rows, git_revision="1234567")


def test_probe_table():
    lines = probe_table([report([], 20.0, 9.04, 0.5), report(["color"], 15.0, 3.0)]).splitlines()
    assert (
        lines[0] == "| features | everything, kNN | everything, linear | without color, kNN | without color, linear |"
    )
    assert lines[2] == "| MSM, student (`abcdef01`) | 20.0 ± 0.5 | 21.0 ± 0.5 | 15.0 | 16.0 |"
    assert lines[3] == "| raw input | 9.0 ± 0.5 | 10.0 ± 0.5 | 3.0 | 4.0 |"
    assert "fitted on 16 scenes, read on 8 held-out ones, 3 seeds" in lines[-1] and "1234567" in lines[-1]
    estimated = report(["normal"], 1.0, 1.0)
    estimated["settings"]["fill"] = {"normal": "estimate"}
    heads = probe_table([report(["normal"], 1.0, 1.0), estimated]).splitlines()[0]
    assert "| without normal, kNN |" in heads and "| without normal (normal estimate), kNN |" in heads
    with pytest.raises(ValueError, match="two probe reports with everything"):
        probe_table([report([], 1.0, 1.0)] * 2)


def test_sections():
    text = "a\n<!-- facts -->\nold\n<!-- /facts -->\nb\n"
    new = replace_section(text, "facts", r"line \1")
    assert new == "a\n<!-- facts -->\nline \\1\n<!-- /facts -->\nb\n" and read_section(new, "facts") == r"line \1"
    with pytest.raises(ValueError, match=r"card.md has no section between <!-- probes -->"):
        replace_section(text, "probes", "x", "card.md")


def test_ship(tmp_path, capsys, monkeypatch):
    make_weights(tmp_path, ("student",), META)
    card = tmp_path / "card.md"
    card.write_text((ROOT / "docs/models/msm-tiny-rooms.md").read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "results.json").write_text(json.dumps(report([], 20.0, 9.0)))
    arguments = [tmp_path / "student.safetensors", "msm-x", "--folder", tmp_path / "weights", "--card", card]
    arguments += ["--probes", tmp_path / "results.json", "--estimate-normals", "--licence", "CC0"]
    assert run_command(TOOL["main"], [str(a) for a in arguments]) == 0, capsys.readouterr().err
    path = tmp_path / "weights/msm-x.safetensors"
    state, _, meta = weights.load_checkpoint(path)
    assert {v.dtype for v in state.values()} == {torch.float16} and meta["name"] == "msm-x" and meta["steps"] == 7
    assert meta["fill"] == {"color": 127.5, "normal": "estimate"} and meta["licence"] == "CC0"
    monkeypatch.setattr(weights, "SHIPPED", tmp_path / "weights")
    whole, half = (pointcept_msm.load(w).extract(make_scene()) for w in (tmp_path, "msm-x"))
    assert 0 < np.abs(whole - half).max() < 0.01 * whole.std()
    text = card.read_text(encoding="utf-8")
    assert read_section(text, "facts") == facts_table(path) and "| raw input | 9.0 | 10.0 |" in text
    for words in (
        hashlib.sha256(path.read_bytes()).hexdigest(),
        "color (filled with 127.5), normal (estimated)",
        "| steps | 7 |",
        "| loss | 0.250 |",
    ):
        assert words in text


def test_ship_refuses(tmp_path, capsys, monkeypatch):
    make_weights(tmp_path, ("student",), META)
    source = str(tmp_path / "student.safetensors")
    arguments = [source, "x", "--folder", str(tmp_path / "weights")]
    monkeypatch.setitem(TOOL["main"].__globals__, "LIMIT", 1000)
    assert run_command(TOOL["main"], arguments) == 2 and "allowed is 0.001 MB" in capsys.readouterr().err
    monkeypatch.setitem(TOOL["main"].__globals__, "LIMIT", 10**7)
    monkeypatch.setitem(TOOL["main"].__globals__, "TOLERANCE", 1e-9)
    assert run_command(TOOL["main"], arguments) == 2 and "half precision changes" in capsys.readouterr().err
    assert not (tmp_path / "weights").exists()
