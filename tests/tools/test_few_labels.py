"""tools/few_labels.py with commands that are only written down, and once in earnest on a room."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from tests.tools.scene_tools import call, write_weights
from tests.toy import ROOT


@pytest.fixture
def commands(monkeypatch):
    """Calls of the tools; a probe leaves 30 and 40, a training 0.5 as its last evaluation."""
    calls = []

    def run(command, env, stdout, stderr):
        tool, options = command[1].rpartition("/")[2], dict(x.split("=", 1) for x in command[5:])
        calls.append((tool, command[3], options))
        folder = options["save_path"]
        os.makedirs(folder, exist_ok=True)
        row = dict(metrics=dict(knn_mIoU=dict(mean=30.0), linear_mIoU=dict(mean=40.0)))
        texts = {"results.json": json.dumps(dict(rows=[row]))}
        if tool == "train.py":
            texts = {"backbone.safetensors": "", "evaluations.jsonl": '{"val/mIoU": 0.1}\n{"val/mIoU": 0.5}\n'}
        for name, text in texts.items():
            with open(os.path.join(folder, name), "w") as file:
                file.write(text)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", run)
    return calls


def test_three_runs_a_number_of_rooms_and_seed(tmp_path, commands, capsys):
    weights = write_weights(tmp_path)
    arguments = ["--weights", weights, "--out", tmp_path / "out", "--rooms", 1, 16, "--seeds", 0, 1]
    assert call(capsys, "few_labels", *arguments)[0] == 0
    assert [tool for tool, _, _ in commands] == ["test.py", "train.py", "train.py"] * 4
    probe, tuned, scratch = (options for _, _, options in commands[3:6])
    for options in (probe, tuned, scratch):  # the same rooms for all, which are the seed's own
        assert options["data.train.rooms"] == "1" and options["data.train.seed"] == "1"
        assert options["data.train.data_root"] == "data/rooms-labels-1" and options["data_root"] == "data/rooms"
    assert probe["weight"] == tuned["model.weight"] == str(weights) and "model.weight" not in scratch
    epochs = [
        int(options["epoch"]) * int(options["data.train.rooms"]) for tool, _, options in commands if "epoch" in options
    ]
    assert set(epochs) == {960}, "as many steps whatever the number of rooms"
    table = (tmp_path / "out/few_labels.md").read_text().splitlines()
    cells = [cell.strip() for cell in table[2].split("|")[1:-1]]
    assert cells == ["1", "30.0 (30.0, 30.0)", "40.0 (40.0, 40.0)", "50.0 (50.0, 50.0)", "50.0 (50.0, 50.0)"]
    values = json.loads((tmp_path / "out/few_labels.json").read_text())["values"]
    assert values["from scratch"]["16"] == {"0": 50.0, "1": 50.0}
    assert call(capsys, "few_labels", *arguments)[0] == 0 and len(commands) == 12


def test_weights_are_looked_for_before_training(tmp_path, commands, capsys):
    code, _, errors = call(capsys, "few_labels", "--weights", tmp_path / "none", "--out", tmp_path / "out")
    assert code != 0 and "none" in errors[0] and not commands and not (tmp_path / "out").exists()


@pytest.mark.slow
def test_in_earnest(tmp_path):
    command = [sys.executable, "tools/few_labels.py", "--weights", "msm-tiny-rooms", "--out", tmp_path / "out"]
    command += ["--rooms", "1", "--seeds", "0", "--data-root", tmp_path / "rooms", "--options", "max_steps=1"]
    done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    line = (tmp_path / "out/few_labels.md").read_text().splitlines()[2]
    assert all(float(cell) >= 0 for cell in line.split("|")[1:-1])
