"""Configs of supervised training, fine-tuning and probing: values agree, and they run on miniature data."""

import json

import numpy as np
import pytest
import torch

from pointcept_msm.files.weights import load_checkpoint
from pointcept_msm.host import build_dataset, build_model
from pointcept_msm.host.run_config import load_run_config
from pointcept_msm.host.runner import run_testing, run_training
from pointcept_msm.rooms import ROOM_CLASSES, save_rooms
from tests.configs.documented_commands import CONFIGS
from tests.configs.test_configs import MINI_NETWORK, write_scenes

EMBEDDED = [path for path in CONFIGS if "pointcept" not in path.parts]
LABELLED = [path for path in EMBEDDED if path.stem.startswith(("supervised-", "finetune-", "probe-head-"))]
TESTED = [  # probe-one-scan reads one scene and no data_root: tests/datasets/test_halves.py
    path
    for path in EMBEDDED
    if path.stem.startswith("probe-") and path not in LABELLED and path.stem != "probe-one-scan"
]


@pytest.mark.parametrize("path", LABELLED, ids=lambda path: path.stem)
def test_values_agree(path):
    cfg = load_run_config(str(path))
    train, val = cfg.data.train.transform[-1], cfg.data.val.transform[-1]
    for view in (train, val):
        assert view.type == "MSMInput" and view.grid_size == cfg.grid_size
        assert tuple(view.feat_keys) == tuple(cfg.feat_keys)
    assert val.keep_inverse and not val.random and not train.get("keep_inverse")
    assert cfg.model.num_classes == cfg.data.num_classes
    assert "scenes" in path.stem or len(cfg.data.names) == cfg.data.num_classes
    assert cfg.model.criteria.ignore_index == cfg.data.ignore_index == -1
    assert cfg.evaluate and "MSMSemSegEvaluator" in [hook.type for hook in cfg.hooks]
    assert cfg.optimizer.lr == cfg.scheduler.max_lr
    assert bool(cfg.model.get("weight")) != path.stem.startswith("supervised-")


@pytest.mark.parametrize(
    "stem, rate, decay, epochs, batch, crop, warmup",
    [
        ("probe-head-scannet", 0.01, 0.01, 200, 8, 120000, 2),
        ("probe-head-scannet200", 0.01, 0.01, 200, 8, 120000, 2),
        ("probe-head-s3dis", 0.01, 0.01, 100, 8, 200000, 1),
        ("finetune-scannet", 0.001, 0.05, 200, 48, 120000, 2),
        ("finetune-scannet200", 0.001, 0.05, 200, 48, 120000, 2),
        ("finetune-s3dis", 0.001, 0.05, 500, 32, 100000, 20),
    ],
)
def test_tables_15_and_19(stem, rate, decay, epochs, batch, crop, warmup):
    cfg = load_run_config(stem)
    assert cfg.optimizer == dict(type="AdamW", lr=rate, betas=(0.9, 0.95), weight_decay=decay)
    assert (cfg.epoch, cfg.batch_size, cfg.data.train.transform[-1].max_voxels) == (epochs, batch, crop)
    assert cfg.scheduler.anneal_strategy == "cos" and cfg.scheduler.pct_start * epochs == pytest.approx(warmup)


def test_class_names_of_the_rooms():
    assert tuple(load_run_config("supervised-rooms-tiny").data.names) == ROOM_CLASSES


@pytest.mark.parametrize("path", LABELLED + TESTED, ids=lambda path: path.stem)
def test_data_sets_read_their_format(path, tmp_path):
    """A folder of each format goes through the config's own data section."""
    parts = ("train", "test") if path in TESTED else ("train", "val")
    options = [f"data_root={tmp_path}"]
    if "rooms" in path.stem:
        options += [f"data.{part}.{value}" for part in parts for value in ("rooms=1", "points=2000")]
    else:
        areas = [f"Area_{i}/office_1" for i in range(1, 7)]
        write_scenes(tmp_path, areas if "s3dis" in path.stem else ["train/a", "val/b"], points=400)
    cfg = load_run_config(str(path), options)
    for part in parts:
        dataset = build_dataset(cfg.data[part])
        scene = dataset.get_data(0)
        assert {"coord", "color", "normal", "segment"} <= set(scene)
        assert scene["segment"].max() < cfg.data.num_classes
        if path in LABELLED:
            item = dataset[0]
            assert len(item["segment"]) == len(item["feat"]) == int(item["offset"])
            assert ("inverse" in item) == (part == "val")


NETWORK = [f"model.backbone.{key}={value}" for key, value in MINI_NETWORK.items()]
SHORT = ["num_worker=0", "batch_size=2", "grid_size=0.16", "seed=1", "enable_amp=false", "epoch=2", "eval_epoch=2"]


def room_options(tmp_path, parts):
    rooms = [f"data.{part}.{value}" for part in parts for value in ("points=3000", f"rooms={1 + (part == 'train')}")]
    return [*SHORT, f"data_root={tmp_path / 'rooms'}", *rooms]


def read_lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def read_rows(folder):
    return json.loads((folder / "results.json").read_text())["rows"]


def test_from_supervised_training_to_fine_tuning_probing_and_the_tester(tmp_path):
    """The tiny configs with a mini network, one after the other, each taking what the one before has written."""
    mini = [*NETWORK, *room_options(tmp_path, ("train", "val"))]
    run_training("supervised-rooms-tiny", [*mini, f"save_path={tmp_path / 'sup'}"])
    exported = tmp_path / "sup" / "backbone.safetensors"
    state, config, meta = load_checkpoint(exported)
    build_model(config).load_state_dict(state)
    assert (meta["method"], meta["network"], meta["grid_size"]) == ("supervised", "backbone", 0.16)
    assert "Val result: mIoU" in (tmp_path / "sup" / "train.log").read_text()
    assert (tmp_path / "sup" / "model" / "model_best.pth").is_file()

    weight = f"model.weight={exported}"
    run_training("finetune-rooms-tiny", [*mini, weight, f"save_path={tmp_path / 'ft'}"])
    assert load_checkpoint(tmp_path / "ft" / "backbone.safetensors")[2]["method"] == "fine-tuned"

    run_training("probe-head-rooms-tiny", [*mini, weight, f"save_path={tmp_path / 'head'}"])
    assert not list((tmp_path / "head").glob("*.safetensors"))
    kept = torch.load(tmp_path / "head" / "model" / "model_last.pth", weights_only=True)["state_dict"]
    assert all(torch.equal(kept[f"backbone.{key}"], value) for key, value in state.items())
    assert kept["norm.seen"] == 2 and kept["head.weight"].shape == (22, 24)
    for run in ("sup", "ft", "head"):
        assert all(np.isfinite(line["loss"]) for line in read_lines(tmp_path / run))

    options = [f"weight={exported}", f"test.supervised={exported}", f"save_path={tmp_path / 'judged'}"]
    options += ["test.points_per_scene=300", "test.test_points=300", "test.probes=[knn]"]
    run_testing("probe-rooms-tiny", [*options, *room_options(tmp_path, ("train", "test"))])
    rows = read_rows(tmp_path / "judged")
    assert [row["method"] for row in rows] == ["supervised", "supervised", "random initialisation", "raw input"]
    assert rows[0]["metrics"] == rows[1]["metrics"]  # the same file in both places


def test_scenes_of_ones_own_from_a_folder_to_fine_tuned_weights_and_a_table(tmp_path):
    """As docs/custom_data.md says it, without a val folder, with a label that means unknown."""
    save_rooms(tmp_path / "rooms", "train", 3, points=3000)
    for path in (tmp_path / "rooms" / "train").glob("*/segment.npy"):
        segment = np.load(path)
        np.save(path, np.where(segment < 0, 255, segment))
    own = [f"data_root={tmp_path / 'rooms'}", "num_classes=22", "ignore_label=255", *SHORT]
    run_training("finetune-scenes", [*own, f"save_path={tmp_path / 'ft'}"])
    meta = load_checkpoint(tmp_path / "ft" / "backbone.safetensors")[2]
    assert (meta["method"], meta["grid_size"]) == ("fine-tuned", 0.16)
    assert load_checkpoint(tmp_path / "ft" / "backbone.safetensors")[1]["enc_channels"] == [32, 48, 64, 96]
    few = ["test.seeds=[0]", "test.points_per_scene=300", "test.test_points=300", "test.probes=[knn]"]
    run_testing("probe-scenes", [*own, *few, "weight=msm-tiny-rooms", f"save_path={tmp_path / 'judged'}"])
    assert [row["method"] for row in read_rows(tmp_path / "judged")] == ["MSM", "random initialisation", "raw input"]


def test_contrastive_config_runs_and_exports_a_student(tmp_path):
    options = [*NETWORK, *room_options(tmp_path, ("train",)), f"save_path={tmp_path / 'run'}"]
    run_training("contrastive-rooms-tiny", options)
    lines = read_lines(tmp_path / "run")
    assert [line["step"] for line in lines] == [1, 2] and all(np.isfinite(line["loss"]) for line in lines)
    state, config, meta = load_checkpoint(tmp_path / "run" / "student.safetensors")
    build_model(config).load_state_dict(state)
    assert (meta["method"], meta["network"]) == ("contrastive", "student")
    assert not (tmp_path / "run" / "teacher.safetensors").exists()


def test_contrastive_config_differs_from_pretraining_in_the_model_alone():
    ours, theirs = load_run_config("contrastive-rooms-tiny"), load_run_config("pretrain-rooms-tiny")
    for key in ("data", "epoch", "eval_epoch", "batch_size", "optimizer", "scheduler", "backbone", "clip_grad", "seed"):
        assert ours[key] == theirs[key], key
    assert ours.model.backbone == theirs.model.backbone
    hooks = {hook.type for hook in theirs.hooks} - {hook.type for hook in ours.hooks}
    assert hooks == {"MSMMaskingHook", "MSMTeacherHook", "MSMCollapseMonitor"}
