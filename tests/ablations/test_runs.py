"""The runner with commands that are only written down, and once in earnest on two rooms."""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from pointcept_msm.ablations import runs
from pointcept_msm.ablations.runs import Variant, do_runs, plan_runs, read_scores
from tests.tools.scene_tools import call
from tests.toy import ROOT

BASE, OTHER = Variant("base", "tiny"), Variant("other", "tiny", ("model.mask_ratio=0.1",))


def results(value):
    return json.dumps(dict(rows=[dict(metrics=dict(knn_mIoU=dict(mean=value), linear_mIoU=dict(mean=value)))]))


@pytest.fixture
def commands(monkeypatch):
    """Calls of the tools; training leaves its networks, a probe its results, one that trains with "FAIL" fails."""
    calls = []

    def run(command, env, stdout, stderr):
        tool, options = command[1].rpartition("/")[2], dict(x.split("=", 1) for x in command[5:])
        calls.append((tool, command[3], options, env.get("OMP_NUM_THREADS")))
        folder = runs.Path(options["save_path"])
        folder.mkdir(parents=True, exist_ok=True)
        if "FAIL" in options:
            stdout.write("INFO starting\nerror: it failed\n\n")
            return SimpleNamespace(returncode=1)
        if tool == "train.py":
            (folder / "student.safetensors").touch()
        else:
            (folder / "results.json").write_text(results(30 + len(calls)))
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", run)
    return calls


def test_trains_then_probes_and_does_nothing_twice(tmp_path, commands):
    plan = plan_runs([BASE, OTHER], [0, 1], "probe", tmp_path)
    assert [(run.variant.name, run.seed) for run in plan] == [("base", 0), ("other", 0), ("base", 1), ("other", 1)]
    assert do_runs(plan, report=lambda line: None) == []
    assert [(tool, config) for tool, config, _, _ in commands] == [("train.py", "tiny"), ("test.py", "probe")] * 4
    train, probe = commands[2][2], commands[3][2]
    folder = str(tmp_path / "other/seed0")
    assert train == {"model.mask_ratio": "0.1", "seed": "0", "save_path": folder}
    assert probe["weight"] == folder and probe["test.seeds"] == "[0]" and probe["test.networks"] == "[student]"
    assert read_scores(plan)["other"] == {
        seed: dict(knn_mIoU=value, linear_mIoU=value) for seed, value in ((0, 34), (1, 38))
    }
    assert do_runs(plan_runs([BASE, OTHER], [0, 1], "probe", tmp_path), report=lambda line: None) == []
    assert len(commands) == 8


def test_what_was_cut_short_goes_on(tmp_path, commands):
    folder = tmp_path / "base/seed0"
    (folder / "model").mkdir(parents=True)
    (folder / "model/model_last.pth").touch()
    plan = plan_runs([BASE], [0], "probe", tmp_path)
    do_runs(plan, report=lambda line: None)
    assert commands[0][2]["resume"] == "true"
    plan[0].results.unlink()
    do_runs(plan, report=lambda line: None)
    assert [call[0] for call in commands] == ["train.py", "test.py", "test.py"]


def test_a_failure_is_said_and_the_others_run(tmp_path, commands):
    said = []
    bad = Variant("bad", "tiny", ("FAIL=1",))
    plan = plan_runs([bad, BASE], [0], "probe", tmp_path)
    assert do_runs(plan, report=said.append) == ["bad, seed 0: error: it failed"]
    assert said[1] == "base, seed 0: knn_mIoU 33.0, linear_mIoU 33.0" and read_scores(plan)["bad"] == {}


def test_jobs_share_the_cores(tmp_path, commands, monkeypatch):
    monkeypatch.setattr(runs.os, "cpu_count", lambda: 8)
    do_runs(plan_runs([BASE, OTHER], [0], "probe", tmp_path), jobs=3, report=lambda line: None)
    assert {call[3] for call in commands} == {"2"} and len(commands) == 4


def test_another_request_in_the_same_folder_is_refused(tmp_path, commands):
    do_runs(plan_runs([OTHER], [0], "probe", tmp_path), report=lambda line: None)
    changed = OTHER._replace(options=("model.mask_ratio=0.2",))
    with pytest.raises(ValueError, match=r"options \['model.mask_ratio=0.1'\], not \['model.mask_ratio=0.2'\]"):
        plan_runs([changed], [0], "probe", tmp_path)
    with pytest.raises(ValueError, match="two variants are called 'other'"):
        plan_runs([OTHER, changed], [0], "probe", tmp_path)


@pytest.mark.parametrize(
    "arguments", [("no-such",), ("--base", "no-such"), ("--probe", "no-such"), ("--variant", "a", "no-such")]
)
def test_a_config_that_is_not_there_is_refused_before_training(tmp_path, capsys, arguments):
    code, _, errors = call(capsys, "ablations", "--out", tmp_path / "out", *arguments)
    assert code != 0 and len(errors) == 1 and "no-such" in errors[0]
    assert not (tmp_path / "out").exists()


PROBE = """
_base_ = [{base!r}]
data_root = {root!r}
test = dict(points_per_scene=100, test_points=100, max_iter=20)
data = dict(train=dict(rooms=2, data_root={root!r}), test=dict(rooms=1, data_root={root!r}))
"""


def test_in_earnest(tmp_path):
    """Two variants of one step each on two rooms: a table with both, and the base first."""
    probe, root = tmp_path / "probe.py", str(tmp_path / "rooms")
    probe.write_text(PROBE.format(base=str(ROOT / "configs/msm/probe-rooms-tiny.py"), root=root))
    command = [
        sys.executable,
        "tools/ablations.py",
        "ablation-no-mask-tiny",
        "--probe",
        probe,
        "--out",
        tmp_path / "out",
    ]
    options = ["max_steps=1", "data.train.rooms=2", f"data_root={root}", "data.train.transform.0.max_voxels=2000"]
    done = subprocess.run(
        [*map(str, command), "--options", *options], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "out/ablations.md").read_text().splitlines()
    assert [line.split("|")[1].strip() for line in lines] == [
        "variant",
        "---",
        "pretrain-rooms-tiny",
        "ablation-no-mask-tiny",
    ]
    assert lines[3].count("| 0 |") == 1 and "-" not in lines[3].split("|")[3]
