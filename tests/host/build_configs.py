"""Builds what each config of a folder names, in Pointcept, data paths aside: build_configs.py FOLDER SAVE_PATH"""

import gc
import importlib.util
import sys
from pathlib import Path

from pointcept.datasets.builder import DATASETS
from pointcept.datasets.transform import Compose
from pointcept.engines.hooks.builder import build_hooks
from pointcept.engines.test import TESTERS
from pointcept.engines.train import TRAINERS
from pointcept.models.builder import build_model
from pointcept.utils.config import Config
from pointcept.utils.optimizer import build_optimizer
from pointcept.utils.scheduler import build_scheduler

REQUIRED = ("save_path", "seed", "epoch", "eval_epoch", "batch_size", "num_worker", "enable_wandb", "train", "test")
models: dict = {}  # networks are large: each is built once


def check_dataset(cfg) -> None:
    """The class, and each transform of it; a concatenation's parts."""
    assert cfg.type in DATASETS.module_dict, f"no dataset {cfg.type}"
    for part in cfg.get("datasets", []):
        check_dataset(part)
    Compose(cfg.get("transform") or [])
    for step in ("post_transform", "aug_transform"):
        for transform in (cfg.get("test_cfg") or {}).get(step) or []:
            Compose(transform if isinstance(transform, list) else [transform])


def check_training(cfg) -> None:
    """Model, optimiser with its groups, schedule and hooks."""
    if cfg.model.get("backbone"):
        cfg.model.pop("weight", None)  # a file of another run
    if importlib.util.find_spec("flash_attn") is None and "enable_flash" in (cfg.model.get("backbone") or {}):
        cfg.model.backbone.enable_flash = False  # a library that only a GPU has
    key = repr(sorted(cfg.model.items(), key=str))
    if key not in models:
        models.clear()
        gc.collect()
        models[key] = build_model(cfg.model)
    cfg.scheduler.total_steps = 1000
    optimizer = build_optimizer(cfg.optimizer, models[key], cfg.param_dicts)
    build_scheduler(cfg.scheduler, optimizer)
    if cfg.model.type == "MSM-v1m1":
        decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
        flat = [name for name, p in models[key].named_parameters() if p.requires_grad and p.ndim == 1 and decay[id(p)]]
        assert not flat, f"decayed though one-dimensional: {flat[:5]}"


def check_config(path: Path, save_path: str) -> None:
    """Everything that can be built without data."""
    cfg = Config.fromfile(str(path))
    assert not [key for key in REQUIRED if key not in cfg] and cfg.enable_wandb is False
    assert cfg.epoch % cfg.eval_epoch == 0
    assert cfg.train.type in TRAINERS.module_dict and cfg.test.type in TESTERS.module_dict
    for part in cfg.data.values():
        if isinstance(part, dict) and "type" in part:
            check_dataset(part)
    build_hooks(cfg.hooks)
    if "model" in cfg:
        check_training(cfg)
    cfg.dump(f"{save_path}/{path.stem}.py")
    Config.fromfile(f"{save_path}/{path.stem}.py")


if __name__ == "__main__":
    files = sorted(path for path in Path(sys.argv[1]).rglob("*.py") if "_base_" not in path.parts)
    for file in files:
        try:
            check_config(file, sys.argv[2])
        except Exception as error:
            raise SystemExit(f"{file}: {type(error).__name__}: {error}") from error
        print("built", file.relative_to(sys.argv[1]), flush=True)
    print(f"{len(files)} configs")
