"""Pointcept's own scripts, unmodified: train, kill, resume, probe, and load the result into DefaultSegmentorV2.

They run in a copy of the checkout, so that nothing is written into the real one.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pointcept_msm import host
from pointcept_msm.link import link_configs
from tests.host.miniature import GRID, HOOKS, NETWORK, NO_DECAY, write_scenes

REPOSITORY = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.pointcept, pytest.mark.slow]

COMMON = """
_base_ = ["../msm/_base_/runtime.py"]
scenes = dict(type="MSMScenesDataset", data_root="data/scenes")
optimizer = dict(type="AdamW", lr=0.01, weight_decay=0.05)
scheduler = dict(type="OneCycleLR", max_lr=0.01)
batch_size = 2
num_worker = 0
feat_keys = ("color", "normal")
"""
PRETRAIN = f"""{COMMON}
grid_size = {GRID}
epoch = 40
eval_epoch = 20
param_dicts = {NO_DECAY!r}
hooks = {HOOKS!r}
model = dict(type="MSM-v1m1", backbone={NETWORK!r}, mask_patch=0.2)
views = dict(type="MSMViews", grid_size={GRID}, max_voxels=900, feat_keys=feat_keys)
data = dict(train=dict(scenes, split="train", transform=[views]))
"""
PROBE = f"""{COMMON}
epoch = eval_epoch = 1
hooks = []
test = dict(type="MSMProbeTester", points_per_scene=100, test_points=200)
data = dict(num_classes=3, train=dict(scenes, split="train"), test=dict(scenes, split="val"))
"""
SEMSEG = f"""{COMMON}
epoch = eval_epoch = 2
evaluate = True
param_dicts = None
model = dict(
    type="DefaultSegmentorV2", num_classes=3, backbone_out_channels=24,
    backbone=dict({NETWORK!r}, output="hierarchical"),
    criteria=[dict(type="CrossEntropyLoss", loss_weight=1.0, ignore_index=-1)],
)
hooks = [
    dict(type="CheckpointLoader", keywords="module.student.backbone", replacement="module.backbone"),
    dict(type="InformationWriter"), dict(type="MSMSemSegEvaluator"), dict(type="MSMMetricsWriter"),
    dict(type="MSMCheckpointer"), dict(type="PreciseEvaluator"),
]
test = dict(type="MSMSemSegTester", verbose=True)
view = dict(type="MSMInput", grid_size={GRID}, feat_keys=feat_keys)
points = dict(type="GridSample", grid_size={GRID}, hash_type="fnv", mode="test", return_grid_coord=True)
collect = dict(type="Collect", keys=("coord", "grid_coord", "index"), feat_keys=feat_keys)
data = dict(
    num_classes=3, ignore_index=-1, names=["a", "b", "c"],
    train=dict(scenes, split="train", transform=[view]),
    val=dict(scenes, split="val", transform=[dict(view, random=False, keep_inverse=True)]),
    test=dict(
        scenes, split="val", transform=[dict(type="MSMNormalizeColor")], test_mode=True,
        test_cfg=dict(
            voxelize=points, crop=None, post_transform=[dict(type="ToTensor"), collect], aug_transform=[[]]
        ),
    ),
)
"""


@pytest.fixture(scope="module")
def checkout(pointcept_root, tmp_path_factory):
    """A copy of the clone with our configs linked, three tiny configs beside them, and scenes."""
    if host.HOST == "pointcept":
        pytest.skip("starts Pointcept itself")
    copy = tmp_path_factory.mktemp("checkout")
    for part in ("pointcept", "tools", "scripts", "configs"):
        shutil.copytree(pointcept_root / part, copy / part, ignore=shutil.ignore_patterns("msm", "__pycache__"))
    link_configs(copy, REPOSITORY / "configs" / "msm")
    (copy / "configs" / "micro").mkdir()
    for name, text in dict(pretrain=PRETRAIN, probe=PROBE, semseg=SEMSEG).items():
        (copy / "configs" / "micro" / f"{name}.py").write_text(text)
    write_scenes(copy / "data" / "scenes")
    return copy


@pytest.fixture(scope="module")
def scripts(checkout):
    """start(script, *flags) -> process. train.sh overwrites PYTHONPATH: a wrapper stands for an installed package."""
    shim, python = os.environ.get("POINTCEPT_CPU_SHIM", ""), checkout / "python"
    real = os.environ.get("POINTCEPT_PYTHON", sys.executable)
    python.write_text(f'#!/bin/sh\nexport PYTHONPATH="{shim}:{REPOSITORY}:$PYTHONPATH"\nexec "{real}" "$@"\n')
    python.chmod(0o755)
    drop = ("MSM_HOST", "POINTCEPT_ROOT", "PYTHONPATH")
    environment = {key: value for key, value in os.environ.items() if key not in drop} | {"OMP_NUM_THREADS": "1"}
    environment |= {"POINTCEPT_CPU": "1"} if shim else {}

    def start(script, *flags):
        command = ["sh", f"scripts/{script}.sh", "-p", str(python), "-d", "micro", "-g", "1", *flags]
        log = open(checkout / "log", "w+")  # noqa: SIM115  read by finish
        return subprocess.Popen(command, cwd=checkout, env=environment, stdout=log, stderr=log, start_new_session=True)

    return start


def finish(process, checkout) -> str:
    """Wait for success; returns what it printed."""
    code = process.wait(timeout=400)
    text = (checkout / "log").read_text()
    assert code == 0, text[-6000:]
    return text


def read_steps(run: Path) -> list:
    path = run / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.is_file() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


@pytest.fixture(scope="module")
def pretrained(checkout, scripts):
    """A run killed after its first checkpoints and resumed: (folder, steps it had when killed)."""
    run, process, last = checkout / "exp" / "micro" / "run", scripts("train", "-c", "pretrain", "-n", "run"), 0
    for _ in range(1200):
        last = len(read_steps(run))
        if last >= 7 or process.poll() is not None:
            break
        time.sleep(0.2)
    assert process.poll() is None and 7 <= last < 80, (checkout / "log").read_text()[-6000:]
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    finish(scripts("train", "-c", "pretrain", "-n", "run", "-r", "true"), checkout)
    return run, last


def test_a_killed_run_resumes_and_reaches_the_end(pretrained):
    run, _ = pretrained
    steps = read_steps(run)
    assert [line["step"] for line in steps] == list(range(1, 81))
    momentum = [line["momentum"] for line in steps]
    assert momentum == sorted(momentum) and momentum[-1] == pytest.approx(1.0)
    losses = [line["loss"] for line in steps]
    assert sum(losses[-8:]) < 0.9 * sum(losses[:8])
    assert "Resuming train at eval epoch" in (run / "train.log").read_text()
    assert (run / "student.safetensors").is_file()


def test_probe_of_the_run_through_test_sh(pretrained, checkout, scripts):
    run, _ = pretrained
    before = (run / "config.py").read_text()
    output = finish(scripts("test", "-c", "probe", "-n", "run", "-w", "model_last"), checkout)
    rows = json.loads((run / "results.json").read_text())["rows"]
    assert [(row["method"], row["network"]) for row in rows][:2] == [("MSM", "student"), ("MSM", "teacher")]
    assert all(0 < row["metrics"]["linear_mIoU"]["mean"] <= 100 for row in rows), rows
    assert "random initialisation" in output
    assert (run / "config.py").read_text() == before and "MSMProbeTester" in (run / "test_config.py").read_text()


def test_the_result_loads_into_default_segmentor_v2(pretrained, checkout, scripts):
    weight = "exp/micro/run/model/model_last.pth"
    output = finish(scripts("train", "-c", "semseg", "-n", "semseg", "-w", weight), checkout)
    assert "Missing keys: ['seg_head.weight', 'seg_head.bias']" in output
    assert output.count("Val result: mIoU/mAcc/allAcc") == 3  # two epochs, then the precise test
    run = checkout / "exp" / "micro" / "semseg"
    stamp = (run / "result" / "made_by.txt").read_text()
    again = finish(scripts("test", "-n", "semseg", "-w", "model_best"), checkout)
    assert "loaded pred and label" in again and (run / "result" / "made_by.txt").read_text() == stamp


def test_predictions_of_another_checkpoint_are_not_reused(pretrained, checkout, scripts):
    run = checkout / "exp" / "micro" / "semseg"
    import torch

    checkpoint = torch.load(run / "model" / "model_best.pth", weights_only=True)
    checkpoint["state_dict"] = {key: value * 0.5 for key, value in checkpoint["state_dict"].items()}
    torch.save(checkpoint, run / "model" / "other.pth")
    output = finish(scripts("test", "-n", "semseg", "-w", "other"), checkout)
    assert "loaded pred and label" not in output and "now in exp/micro/semseg/result-1" in output
    assert (run / "result-1").is_dir()
