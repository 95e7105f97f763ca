"""Rooms on disk: skipped when there, remade when broken, never mixed, safe with several processes."""

import json
import multiprocessing
import os
import runpy
import signal
from pathlib import Path

import numpy as np
import pytest

from pointcept_msm.files.scene_io import load_scene
from pointcept_msm.rooms import store
from pointcept_msm.rooms.generate import ROOM_CLASSES, generate_room
from pointcept_msm.runtime.command_line import run_command
from pointcept_msm.runtime.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
POINTS = 1500


def make(root, count=2, split="train", **changes):
    return store.save_rooms(root, split, count, **{"seed": 0, "points": POINTS, "workers": 1, **changes})


def times(root):
    return {path: path.stat().st_mtime_ns for path in sorted(root.rglob("*.npy"))}


def test_saved_rooms_are_what_was_generated(tmp_path):
    assert make(tmp_path) == 2
    scene, expected = load_scene(tmp_path / "train" / "room_0001"), generate_room(0, "train", 1, POINTS)
    for field in store.DTYPES:
        np.testing.assert_array_equal(scene[field], expected[field], err_msg=field)
    types = {path.stem: np.load(path).dtype for path in (tmp_path / "train/room_0001").iterdir()}
    assert types == {"coord": "float32", "color": "uint8", "normal": "float16", "segment": "int16", "instance": "int16"}
    assert json.loads((tmp_path / "classes.json").read_text())["names"] == list(ROOM_CLASSES)


def test_rooms_that_are_there_are_kept(tmp_path):
    make(tmp_path)
    before, calls = times(tmp_path), []
    assert make(tmp_path, 3, progress=calls.append) == 1
    assert calls == [2, 1]
    assert before.items() <= times(tmp_path).items()
    assert make(tmp_path, 0) == 0


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
def test_killed_write_leaves_no_room(tmp_path, monkeypatch):
    save = np.save

    def die_at_segment(path, values):
        if path.name == "segment.npy":
            os.kill(os.getpid(), signal.SIGKILL)
        save(path, values)

    monkeypatch.setattr(np, "save", die_at_segment)
    run = multiprocessing.get_context("fork").Process(target=make, args=(tmp_path,))
    run.start()
    run.join(60)
    monkeypatch.undo()
    assert run.exitcode == -signal.SIGKILL
    assert not (tmp_path / "train").exists() and list(tmp_path.glob(".making_*"))
    assert make(tmp_path) == 2
    assert not list(tmp_path.glob(".making_*"))


def test_incomplete_room_is_made_again(tmp_path):
    make(tmp_path)
    (tmp_path / "train/room_0000/normal.npy").unlink()
    assert make(tmp_path) == 1
    assert store.is_complete(tmp_path / "train/room_0000")


@pytest.mark.parametrize(
    "changes, word", [({"seed": 1}, "seed 0 instead of 1"), ({"points": 2000}, "points 1500 instead of 2000")]
)
def test_other_rooms_are_refused(tmp_path, changes, word):
    make(tmp_path, 1)
    with pytest.raises(ValueError, match=f"holds rooms made with {word}; choose another folder"):
        make(tmp_path, 1, **changes)


def test_other_generator_is_refused(tmp_path, monkeypatch):
    make(tmp_path, 1)
    monkeypatch.setattr(store, "GENERATOR_VERSION", 999)
    with pytest.raises(ValueError, match=r"version .* instead of 999"):
        make(tmp_path, 2)


def test_rooms_of_unknown_origin_are_refused(tmp_path):
    make(tmp_path, 1)
    (tmp_path / "classes.json").unlink()
    with pytest.raises(UserError, match="holds train, which no generator of rooms made"):
        make(tmp_path, 2)
    (tmp_path / "classes.json").write_text("{")
    with pytest.raises(UserError, match=r"classes\.json cannot be read"):
        make(tmp_path, 2)


@pytest.mark.parametrize("name", ["train/office/coord.npy", "scan.ply", "classes.json", "notes.txt"])
def test_nothing_is_written_into_a_folder_of_somebody_else(tmp_path, monkeypatch, name):
    mine = tmp_path / "mine" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("{}")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=f"{tmp_path}/mine holds {name.split('/')[0]}, which no generator of rooms"):
        make("mine")
    assert [path for path in (tmp_path / "mine").rglob("*") if path.is_file()] == [mine]


def test_an_empty_folder_and_hidden_files_are_no_obstacle(tmp_path):
    (tmp_path / ".DS_Store").touch()
    assert make(tmp_path, 1) == 1


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
def test_several_processes_share_the_work(tmp_path):
    context = multiprocessing.get_context("fork")
    runs = [context.Process(target=make, args=(tmp_path, 6)) for _ in range(3)]
    for run in runs:
        run.start()
    for run in runs:
        run.join(60)
    assert [run.exitcode for run in runs] == [0, 0, 0]
    assert sorted(path.name for path in (tmp_path / "train").iterdir()) == [f"room_{i:04d}" for i in range(6)]


def test_workers_change_nothing(tmp_path):
    make(tmp_path / "one", 6)
    make(tmp_path / "two", 6, workers=2)
    for path in sorted((tmp_path / "one").rglob("*.npy")):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()


@pytest.fixture(scope="module")
def command():
    return runpy.run_path(str(ROOT / "tools/make_rooms.py"))["main"]


def test_command_makes_every_split(command, tmp_path, capsys):
    arguments = ["--out", str(tmp_path), "--train", "1", "--val", "1", "--test", "1", "--points", "1500"]
    assert run_command(command, arguments) == 0
    assert "3 rooms made, 0 were there" in capsys.readouterr().out
    assert run_command(command, arguments) == 0
    assert "0 rooms made, 3 were there" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, word",
    [
        (["--train", "-1"], "train"),
        (["--train", "0", "--val", "0"], "at least one room"),
        (["--points", "10"], "points"),
        (["--seed", "-3"], "seed"),
    ],
)
def test_command_explains_wrong_arguments(command, tmp_path, capsys, arguments, word):
    assert run_command(command, ["--out", str(tmp_path / "rooms"), *arguments]) != 0
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(said) == 1 and word in said[0]
    assert not (tmp_path / "rooms").exists()
