"""The embedded host under the same names as `host.pointcept`."""

import os
from copy import deepcopy

from pointcept_msm.embedded.config import Config
from pointcept_msm.embedded.datasets import DefaultDataset, build_dataset
from pointcept_msm.embedded.hooks import build_hooks
from pointcept_msm.embedded.hooks.base import HookBase
from pointcept_msm.embedded.logger import build_logger
from pointcept_msm.embedded.registry import (
    DATASETS,
    HOOKS,
    LOSSES,
    MODELS,
    OPTIMIZERS,
    SCHEDULERS,
    TESTERS,
    TRAINERS,
    TRANSFORMS,
)
from pointcept_msm.embedded.transforms import Compose


def build_model(cfg):
    """Build a model from a copy of its config, so that constructors may change theirs."""
    return MODELS.build(deepcopy(cfg))


def open_test_log(save_path: str) -> None:
    """Log to <save_path>/test.log and the console."""
    build_logger(os.path.join(save_path, "test.log"))


__all__ = [
    "DATASETS",
    "HOOKS",
    "LOSSES",
    "MODELS",
    "OPTIMIZERS",
    "SCHEDULERS",
    "TESTERS",
    "TRAINERS",
    "TRANSFORMS",
    "Compose",
    "Config",
    "DefaultDataset",
    "HookBase",
    "build_dataset",
    "build_hooks",
    "build_model",
    "open_test_log",
]
