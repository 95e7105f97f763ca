"""The embedded host: what runs the package where there is no Pointcept, under the same names as `host.pointcept`."""

import os

from mmengine.config import Config

from pointcept_msm.embedded import colors as colors  # both register transforms
from pointcept_msm.embedded import geometry as geometry
from pointcept_msm.embedded import trainer as trainer
from pointcept_msm.embedded.datasets import DefaultDataset
from pointcept_msm.embedded.hooks import HookBase
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
    Compose,
    build_dataset,
    build_model,
)
from pointcept_msm.runtime.environment import open_log


def open_test_log(save_path: str) -> None:
    """Log to <save_path>/test.log and the console."""
    open_log(os.path.join(save_path, "test.log"))


__all__ = [
    "DATASETS", "HOOKS", "LOSSES", "MODELS", "OPTIMIZERS", "SCHEDULERS", "TESTERS", "TRAINERS", "TRANSFORMS",
    "Compose", "Config", "DefaultDataset", "HookBase", "build_dataset", "build_model", "open_test_log",
]  # fmt: skip
