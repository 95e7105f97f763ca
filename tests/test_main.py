"""The command msm: each subcommand on a small scene, the console entry, and what a mistake of the user gives."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pointcept_msm
from pointcept_msm.__main__ import SUBCOMMANDS, main
from pointcept_msm.files.scene_io import save_scene
from pointcept_msm.rooms import generate_room
from tests.tools.scene_tools import ROOT, make_scene, write_weights


@pytest.fixture
def msm(tmp_path, monkeypatch, capsys):
    """msm(*arguments) in a folder with scan.ply and teacher.safetensors: (exit code, standard output, lines of
    standard error)."""
    monkeypatch.chdir(tmp_path)
    save_scene(tmp_path / "scan.ply", make_scene())
    write_weights(tmp_path)

    def call(*arguments):
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = stop.code
        said = capsys.readouterr()
        return code, said.out, said.err.splitlines()

    return call


WEIGHTS = ("--weights", "teacher.safetensors")


def test_extract_gives_the_features_of_the_extractor(msm, tmp_path):
    code, said, _ = msm("extract", "scan.ply", *WEIGHTS)
    assert code == 0 and "features/scan.npz" in said.splitlines()[-1]
    found = np.load(tmp_path / "features" / "scan.npz")["feat"]
    expected = pointcept_msm.load("teacher.safetensors").extract(make_scene())
    np.testing.assert_array_equal(found, expected)


def test_show_makes_a_picture_and_a_page(msm, tmp_path):
    before = (tmp_path / "scan.ply").read_bytes()
    code, said, _ = msm("show", "scan.ply", *WEIGHTS)
    assert code == 0 and said.splitlines()[-1] == "next: open pictures/scan.html in a browser"
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == {
        "basis.npz", "scan.ply", "scan.png", "scan.html"
    }  # fmt: skip
    code, _, errors = msm("show", "scan.ply", *WEIGHTS, "--out", ".")
    assert code == 2 and "scan.ply" in errors[-1] and "--out" in errors[-1]
    assert (tmp_path / "scan.ply").read_bytes() == before


def test_inspect_says_what_a_scene_holds(msm):
    code, said, _ = msm("inspect", "scan.ply", *WEIGHTS)
    scene = make_scene()
    cells = np.unique(np.floor((scene["coord"] - scene["coord"].min(0)) / 0.1).astype(int), axis=0)
    assert code == 0 and "1,500 points" in said and "next: msm show scan.ply" in said
    assert "lengths 1 to 1" in said and f"{(scene['segment'] < 0).mean():.1%} unknown" in said
    voxels = int(said.split(" voxels of 0.1 m")[0].split()[-1].replace(",", ""))
    assert abs(voxels - len(cells)) < 0.15 * len(cells)  # the grid is laid from the middle, not from the corner


def test_inspect_doubts_and_goes_on(msm, tmp_path):
    """A room in millimetres is doubted, one that cannot be read is said last, and both leave the good one its lines."""
    room = generate_room(0, "val", 0, points=20_000)
    save_scene(tmp_path / "in mm.ply", {"coord": 1000 * room["coord"]})
    code, said, errors = msm("inspect", "in mm.ply", "nothing", "scan.ply", *WEIGHTS)
    assert code == 2 and "1 of 3 scenes" in errors[-1] and "nothing does not exist" in errors[-1]
    assert "doubt: " in said and "scale=0.001" in said and "scan.ply: 1,500 points" in said
    code, said, errors = msm("inspect", "in mm.ply", "--scale", 0.001, *WEIGHTS)
    assert code == 0 and "doubt: " not in said and said.splitlines()[-1] == "next: msm show 'in mm.ply'"


def test_models_lists_what_is_shipped(msm):
    code, said, _ = msm("models")
    assert code == 0 and "msm-tiny-rooms: 4.56 MB" in said and "voxel size 0.08 m, inputs color, normal" in said
    card = said.split("card: ")[1].splitlines()[0]
    assert "# msm-tiny-rooms" in Path(card).read_text(encoding="utf-8")


def test_convert_says_what_is_not_there(msm):
    code, _, errors = msm("convert", "--source", "released", "nothing.pth", "out.safetensors")
    assert code == 2 and len(errors) == 1 and "nothing.pth" in errors[0]


def test_probe_takes_a_packaged_config_by_name(msm, tmp_path):
    scene = make_scene(points=3000)
    scene["segment"] = (scene["coord"][:, 2] > 0.5).astype(int)
    save_scene(tmp_path / "labelled", scene)
    options = ("data.num_classes=2", "scene=labelled", "margin=0.1", "test.seeds=[0]", "test.points_per_scene=500")
    code, said, errors = msm("probe", "probe-one-scan", *options, "weight=teacher.safetensors", "save_path=judged")
    assert code == 0, errors
    assert "kNN" in said and json.loads((tmp_path / "judged" / "results.json").read_text())
    code, _, errors = msm("probe", "probe-one-skan")
    assert code == 2 and "did you mean 'probe-one-scan'" in errors[-1]


def test_help_lists_every_subcommand(msm):
    for arguments in ((), ("--help",)):
        code, said, errors = msm(*arguments)
        assert code == 0 and errors == [] and all(f"    {name} " in said for name in SUBCOMMANDS)
    assert "probe-one-scan" in msm("probe", "--help")[1]
    code, _, errors = msm("shew")
    assert code == 2 and len(errors) == 1 and "show" in errors[0]


def test_faults_of_ours_show_their_traceback(msm, monkeypatch):
    def fail(args):
        raise KeyError("ours")

    monkeypatch.setitem(SUBCOMMANDS, "models", (*SUBCOMMANDS["models"][:2], fail))
    with pytest.raises(KeyError):
        msm("models")


def test_an_extractor_prints_what_it_gives(msm):
    extractor = pointcept_msm.load("teacher.safetensors")
    text = repr(extractor)
    assert "teacher" in text and "voxel size 0.1 m" in text and "color, normal" in text
    assert all(f"{name} " in text and f"{c.start}:{c.stop}" in text for name, _, c in extractor.levels)
    assert extractor.levels[0]._fields == ("name", "voxel_size", "channels")
    assert {"extract", "levels", "voxel_size"} <= set(dir(extractor)) and {"load", "show"} <= set(dir(pointcept_msm))


def test_as_a_module_and_without_the_environment(tmp_path):
    """The same command by `python -m`; a Python without torch is told in one line how to get it."""
    here = dict(capture_output=True, text=True, cwd=ROOT)
    done = subprocess.run([sys.executable, "-m", "pointcept_msm", "inspect", "nothing"], **here)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "nothing does not exist" in done.stderr
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError('none', name='torch')")
    env = {"PYTHONPATH": f"{tmp_path}:.", "PATH": os.environ["PATH"]}
    for call in (["-m", "pointcept_msm"], ["tools/extract_features.py"], ["tools/plot.py"]):
        done = subprocess.run([sys.executable, *call], env=env, **here)
        assert done.returncode == 1 and done.stderr.count("\n") == 1 and ". tools/env.sh" in done.stderr, done.stderr
