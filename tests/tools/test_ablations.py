"""tools/ablations.py with commands that are only written down, and once in earnest on two rooms."""

import json
import os
import runpy
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from tests.tools.scene_tools import call
from tests.toy import ROOT

ROOMS = {"val/a": [[0, 0, 9], [1, 1, 8], [1, 0, 2]], "val/b": [[0, 0, 9], [1, 1, 9], [0, 1, 1]]}

paired_difference = runpy.run_path(str(ROOT / "tools/ablations.py"))["paired_difference"]


def results(value, rooms=ROOMS):
    metrics = {f"{name}_mIoU": dict(mean=value, values=[value]) for name in ("knn", "linear")}
    class_iou = {name: [85.7, 85.0] for name in ("knn", "linear")}
    row = dict(metrics=metrics, class_iou=class_iou, rooms={name: [rooms] for name in class_iou})
    return json.dumps(dict(rows=[row]))


@pytest.fixture
def commands(monkeypatch):
    """Calls of the tools; a training leaves its networks, a probe its results, one that trains with "FAIL" fails."""
    calls = []

    def run(command, env, stdout, stderr):
        tool, options = command[1].rpartition("/")[2], dict(x.split("=", 1) for x in command[5:])
        calls.append((tool, command[3], options, env.get("OMP_NUM_THREADS")))
        folder = options["save_path"]
        os.makedirs(folder, exist_ok=True)
        if "FAIL" in options:
            stdout.write("INFO starting\nerror: it failed\n\n")
            return SimpleNamespace(returncode=1)
        name, text = ("student.safetensors", "") if tool == "train.py" else ("results.json", results(30 + len(calls)))
        with open(os.path.join(folder, name), "w") as file:
            file.write(text)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", run)
    return calls


def ablate(capsys, folder, *arguments):
    """(exit code, lines of the table as cells, errors)."""
    code, _, errors = call(capsys, "ablations", "--out", folder / "out", *arguments)
    table = (folder / "out/ablations.md").read_text() if (folder / "out/ablations.md").exists() else ""
    return code, [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()], errors


def test_trains_then_probes_and_does_nothing_twice(tmp_path, commands, capsys):
    code, table, _ = ablate(capsys, tmp_path, "no-mask", "--seeds", 0, 1)
    assert code == 0 and [call[0] for call in commands] == ["train.py", "test.py"] * 4
    train, probe = commands[2][2], commands[3][2]
    folder = str(tmp_path / "out/no-mask/seed0")
    assert train == {"model.mask_strategy": "unmasked", "seed": "0", "save_path": folder}
    assert probe["weight"] == folder and probe["test.seeds"] == "[0]" and probe["test.networks"] == "[student]"
    base, variant = table[2:]
    assert base[:6] == ["pretrain-rooms-tiny", "0, 1", "34.0 (32.0, 36.0)", "-", "", ""]
    assert variant[:6] == ["no-mask", "0, 1", "36.0 (34.0, 38.0)", "+2.0 (+2.0, +2.0)", "+0.0 to +0.0", "equal"]
    assert variant[-1] == "table 10a: 50.7"
    assert ablate(capsys, tmp_path, "no-mask", "--seeds", 0, 1)[1] == table and len(commands) == 8


def test_all_rows_of_the_base_without_a_name(tmp_path, commands, capsys):
    _, table, _ = ablate(capsys, tmp_path)
    names = [line[0] for line in table[2:]]
    assert {"conv-only", "no-mask", "mask-ratio-0.8", "cosine"} < set(names) and len(names) == len(set(names))


def test_the_verdict_pairs_rooms(tmp_path, commands, capsys):
    better = {"val/b": [[0, 0, 10], [1, 1, 9]], "val/a": [[0, 0, 9], [1, 1, 9], [1, 0, 1]], "val/c": [[0, 1, 9]]}
    for name, rooms in (("pretrain-rooms-tiny", ROOMS), ("no-mask", better)):
        ablate(capsys, tmp_path, "no-mask")
        (tmp_path / f"out/{name}/seed0/probe/results.json").write_text(results(50.0, rooms))
    line = ablate(capsys, tmp_path, "no-mask", "--table")[1][3]
    assert line[5] == "+" and all(float(end) > 0 for end in line[4].split(" to "))


def test_only_common_seeds_are_compared(tmp_path, commands, capsys):
    ablate(capsys, tmp_path, "no-mask", "--seeds", 0, 1)
    (tmp_path / "out/pretrain-rooms-tiny/seed1/probe/results.json").unlink()
    base, variant = ablate(capsys, tmp_path, "no-mask", "--seeds", 0, 1, "--table")[1][2:]
    assert base[1:3] == ["0", "32.0"] and variant[1:4] == ["0, 1", "36.0 (34.0, 38.0)", "+2.0"]


def test_what_was_cut_short_goes_on(tmp_path, commands, capsys):
    folder = tmp_path / "out/pretrain-rooms-tiny/seed0"
    (folder / "model").mkdir(parents=True)
    (folder / "model/model_last.pth").touch()
    ablate(capsys, tmp_path, "no-mask")
    assert commands[0][2]["resume"] == "true" and "resume" not in commands[2][2]
    (folder / "probe/results.json").unlink()
    ablate(capsys, tmp_path, "no-mask")
    assert [call[0] for call in commands] == ["train.py", "test.py"] * 2 + ["test.py"]


def test_a_failure_is_said_and_the_others_run(tmp_path, commands, capsys):
    code, table, errors = ablate(capsys, tmp_path, "--variant", "bad", "FAIL=1", "--variant", "other", "a=2")
    assert code != 0 and errors == ["error: 1 of 3 runs failed, the first: bad, seed 0: error: it failed"]
    assert [line[1] for line in table[2:]] == ["0", "none", "0"]


def test_jobs_share_the_cores(tmp_path, commands, capsys, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    ablate(capsys, tmp_path, "no-mask", "--jobs", 3)
    assert {call[3] for call in commands} == {"2"} and len(commands) == 4


def test_another_request_in_the_same_folder_is_refused(tmp_path, commands, capsys):
    ablate(capsys, tmp_path, "--variant", "other", "a=1")
    code, _, errors = ablate(capsys, tmp_path, "--variant", "other", "a=2")
    assert code != 0 and "holds a run with other options" in errors[0]
    code, _, errors = ablate(capsys, tmp_path, "--variant", "x", "a=1", "--variant", "x", "a=2")
    assert code != 0 and "two variants are called 'x'" in errors[0]


@pytest.mark.parametrize(
    "arguments", [("no-such",), ("--base", "no-such"), ("--probe", "no-such"), ("--variant", "a", "no-such")]
)
def test_a_name_that_is_not_there_is_refused_before_training(tmp_path, capsys, commands, arguments):
    code, _, errors = ablate(capsys, tmp_path, *arguments)
    assert code != 0 and len(errors) == 1 and "no-such" in errors[0] and not commands


def make_rooms(correct, rooms=12, seeds=2, classes=3):
    """Confusion matrices (seeds, rooms, K, K) of 100 points a class; `correct`: share of right ones by room."""
    counts = np.zeros((seeds, rooms, classes, classes), dtype=np.int64)
    for room in range(rooms):
        right = int(100 * correct[room])
        counts[:, room] = (100 - right) // (classes - 1)
        counts[:, room, range(classes), range(classes)] = right
    return counts


def test_a_paired_difference_is_known_although_rooms_differ_widely():
    """Rooms between 20 and 90 %, and always 4 points more: each method's own spread is far larger than the gap."""
    base = np.linspace(0.2, 0.9, 12)
    gap = paired_difference(make_rooms(base + 0.04), make_rooms(base))
    assert gap.low < gap.mean < gap.high and gap.verdict == "+" and gap.high - gap.low < 1.5
    back = paired_difference(make_rooms(base), make_rooms(base + 0.04))
    assert back.verdict == "-" and back.mean == pytest.approx(-gap.mean)
    assert paired_difference(make_rooms(base), make_rooms(base)) == (0, 0, 0)
    mixed = base + 0.04 * (-1) ** np.arange(12)  # better in one room, worse in the next
    assert paired_difference(make_rooms(mixed), make_rooms(base)).verdict == "equal"


def test_the_interval_covers_what_it_should():
    """Over worlds whose true difference is 0, a 95 % interval leaves it out now and then; percentiles of few rooms are
    a little narrow."""
    rng, missed = np.random.default_rng(0), 0
    for _ in range(60):
        ours, base = (make_rooms(rng.uniform(0.3, 0.9, 16), 16, seeds=1) for _ in range(2))
        missed += paired_difference(ours, base, draws=200).verdict != "equal"
    assert missed <= 9


def test_one_room_says_nothing_of_rooms():
    ours, base = make_rooms([0.5], rooms=1), make_rooms([0.4], rooms=1)
    gap = paired_difference(ours, base)
    assert gap.low == gap.mean == gap.high


PROBE = """
_base_ = [{base!r}]
data_root = {root!r}
test = dict(points_per_scene=100, test_points=100, max_iter=20)
data = dict(train=dict(rooms=2, data_root={root!r}), test=dict(rooms=2, data_root={root!r}))
"""


@pytest.mark.slow
def test_in_earnest(tmp_path):
    """Two variants of one step each on two rooms: a table with both and an interval, the base first."""
    probe, root = tmp_path / "probe.py", str(tmp_path / "rooms")
    probe.write_text(PROBE.format(base=str(ROOT / "configs/msm/probe-rooms-tiny.py"), root=root))
    command = [sys.executable, "tools/ablations.py", "no-mask", "--probe", probe, "--out", tmp_path / "out"]
    options = ["max_steps=1", "data.train.rooms=2", f"data_root={root}", "data.train.transform.0.max_voxels=2000"]
    done = subprocess.run(
        [*map(str, command), "--options", *options], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split("|") for line in (tmp_path / "out/ablations.md").read_text().splitlines()]
    assert [line[1].strip() for line in lines[2:]] == ["pretrain-rooms-tiny", "no-mask"]
    assert lines[3][2].strip() == "0" and " to " in lines[3][5] and lines[3][6].strip() in ("+", "-", "equal")
