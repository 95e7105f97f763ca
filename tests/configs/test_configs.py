"""Every config loads and builds what it names; pre-training configs run on miniature data."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

from pointcept_msm.datasets.inputs import count_channels
from pointcept_msm.host import DATASETS, HOOKS, TESTERS, TRAINERS, TRANSFORMS, build_dataset, build_model
from pointcept_msm.host.run_config import find_config, load_run_config
from pointcept_msm.host.runner import run_training, set_up
from pointcept_msm.runtime.errors import UserError
from tests.configs.documented_commands import CONFIG_FOLDER, CONFIGS, read_text

PRETRAIN = [path for path in CONFIGS if path.stem.startswith("pretrain-")]
OF_POINTCEPT = {"insseg-scannet", "sonata-with-probe", "sonata-with-probe-tiny", "spunet-with-probe"}
MINI_NETWORK = dict(
    enc_channels=(8, 16), enc_conv_depths=(1, 1), enc_attn_depths=(0, 1), enc_num_heads=(2, 2),
    dec_channels=(8, 16), dec_conv_depths=(1, 1), dec_attn_depths=(0, 1), dec_num_heads=(2, 2), window_size=64,
)  # fmt: skip


def write_scenes(root, folders, points=2500):
    rng = np.random.default_rng(0)
    for folder in folders:
        path = Path(root) / folder
        path.mkdir(parents=True)
        np.save(path / "coord.npy", rng.uniform(0, [3, 2, 1.5], (points, 3)).astype(np.float32))
        np.save(path / "color.npy", rng.integers(0, 256, (points, 3)).astype(np.uint8))
        np.save(path / "normal.npy", rng.normal(size=(points, 3)).astype(np.float32))
        for name, classes in (("segment20", 20), ("segment200", 200), ("segment", 12), ("instance", 9)):
            np.save(path / f"{name}.npy", rng.integers(-1, classes, points).astype(np.int16))


def loads_alone(path):
    """Whether a config needs no config of Pointcept's as its base; those that do are built in tests/host."""
    return path.stem not in OF_POINTCEPT


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_it_loads_in_silence_and_its_values_agree(path, caplog):
    if not loads_alone(path):
        base = path.parent / Config._get_base_files(str(path))[0]
        assert not base.exists() and base.resolve().parents[1].name == "configs"
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cfg = load_run_config(str(path))
    assert not caplog.records, caplog.text
    for split in cfg.data.values():
        for part in split.get("datasets", [split]) if isinstance(split, dict) and "type" in split else ():
            assert part["type"] in DATASETS or "pointcept" in path.parts
            assert all(transform["type"] in TRANSFORMS for transform in part.get("transform") or [])
    if "pointcept" not in path.parts:
        assert all(hook["type"] in HOOKS for hook in cfg.hooks)
        assert cfg.train["type"] in TRAINERS and cfg.test["type"] in TESTERS
    if "feat_keys" in cfg and "backbone" in cfg:
        assert count_channels(cfg.feat_keys) == cfg.backbone.in_channels
    assert cfg.epoch % cfg.eval_epoch == 0


def test_a_name_that_nothing_reads_is_heard(tmp_path, caplog):
    base = str(CONFIG_FOLDER / "pretrain-rooms-tiny.py")
    (tmp_path / "c.py").write_text(f"_base_ = [{base!r}]\nbatch_sise = 4\n")
    load_run_config(str(tmp_path / "c.py"))
    assert "batch_sise" in caplog.text


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_its_docstring_says_how_to_run_it(path):
    labels = [line.split(":")[0] for line in read_text(path).splitlines()]
    assert {"Command", "Hardware", "Measured" if path in PRETRAIN else "Expected"} <= set(labels)


def test_a_config_is_found_by_its_name():
    stems = [path.stem for path in CONFIGS]
    assert len(set(stems)) == len(stems), "two configs of one name"
    assert all(find_config(path.stem) == path for path in CONFIGS)


@pytest.mark.parametrize("path", PRETRAIN, ids=lambda path: path.stem)
def test_voxel_size_and_inputs_are_the_same_in_model_and_views(path):
    cfg = load_run_config(str(path))
    for data in cfg.data.train.get("datasets", [cfg.data.train]):
        views = data.transform[-1]
        assert views.type == "MSMViews" and views.grid_size == cfg.grid_size
        assert tuple(views.feat_keys) == tuple(cfg.feat_keys)
    coarsest = cfg.grid_size * 2 ** (len(cfg.model.backbone.get("enc_channels", range(5))) - 1)
    assert cfg.model.mask_patch <= coarsest + 1e-9, "patches larger than a coarsest voxel are an ablation"


def test_scannet_config_builds_every_component_on_scannet_format_folders(tmp_path):
    """The real config with the real network, given a folder of the format, makes a batch that the model accepts."""
    write_scenes(tmp_path / "scannet", ["train/scene0000_00", "train/scene0001_00"], points=500)
    options = [f"data_root={tmp_path / 'scannet'}", f"save_path={tmp_path / 'run'}", "num_worker=0", "batch_size=2"]
    cfg = set_up(load_run_config("pretrain-scannet", options), "config.py")
    trainer = TRAINERS.build(dict(type=cfg.train.type, cfg=cfg))
    batch = next(iter(trainer.train_loader))
    assert len(batch["offset"]) == 4 and len(batch["feat"]) == int(batch["offset"][-1])
    parameters = sum(p.numel() for p in trainer.model.student["backbone"].parameters())
    assert parameters == 67_610_272
    assert len(trainer.hooks) == len(cfg.hooks)
    decayed = {group["weight_decay"] for group in trainer.optimizer.param_groups}
    assert decayed == {0.0, 0.05}
    with torch.no_grad():
        assert torch.isfinite(trainer.model.eval()(batch)["loss"])


def test_without_scannet_one_sentence_says_where_to_get_it(tmp_path):
    cfg = load_run_config("pretrain-scannet", [f"data_root={tmp_path / 'nothing'}"])
    with pytest.raises(UserError) as error:
        build_dataset(cfg.data.train)
    message = str(error.value)
    assert "scan-net.org" in message and "preprocess" in message and "\n" not in message


@pytest.mark.parametrize("stem", ["pretrain-scenes", "pretrain-scannet", "pretrain-rooms-tiny"])
def test_pretraining_runs_from_folder_to_checkpoint(stem, tmp_path):
    """A few real steps with a mini network: files, metrics and exported networks are there."""
    write_scenes(tmp_path / "data", ["train/a", "train/b"])
    if "rooms" in stem:
        options = ["data.train.rooms=2", "data.train.points=3000", f"data_root={tmp_path / 'rooms'}"]
    else:
        options = [f"data_root={tmp_path / 'data'}"]
    options += [f"model.backbone.{key}={value}" for key, value in MINI_NETWORK.items()]
    options += [f"save_path={tmp_path / 'run'}", "num_worker=0", "batch_size=2", "epoch=3", "eval_epoch=3"]
    options += ["grid_size=0.16", "model.mask_patch=0.32", "enable_amp=false", "seed=1"]
    run_training(stem, options)
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3]
    wanted = {"epoch", "loss", "loss_level0", "loss_level1", "lr", "momentum", "mask_ratio", "scenes_per_second"}
    assert wanted <= set(lines[0]) and all(np.isfinite(line["loss"]) for line in lines)
    from pointcept_msm.files.weights import load_checkpoint

    for name in ("student", "teacher"):
        state, config, meta = load_checkpoint(tmp_path / "run" / f"{name}.safetensors")
        build_model(config).load_state_dict(state)
        assert meta["network"] == name and meta["grid_size"] == 0.16
    assert (tmp_path / "run" / "model" / "model_last.pth").is_file()
