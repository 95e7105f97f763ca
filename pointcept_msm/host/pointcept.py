"""The Pointcept host: its registries and builders, and configs that carry this package into spawned workers.

Pointcept runs `custom_imports` in the parent process only; with several GPUs it spawns workers, which unpickle the
config. Pickling a config by `restore_config`, which lives here, makes a worker import this package first.
"""

import copyreg
import logging
import os

from pointcept.datasets.builder import DATASETS, build_dataset
from pointcept.datasets.defaults import DefaultDataset
from pointcept.datasets.transform import TRANSFORMS, Compose
from pointcept.engines.hooks.builder import HOOKS, build_hooks
from pointcept.engines.hooks.default import HookBase
from pointcept.engines.test import TESTERS
from pointcept.engines.train import TRAINERS
from pointcept.models.builder import MODELS, build_model
from pointcept.models.losses.builder import LOSSES
from pointcept.utils.config import Config
from pointcept.utils.logger import get_root_logger
from pointcept.utils.optimizer import OPTIMIZERS
from pointcept.utils.scheduler import SCHEDULERS


def restore_config(state):
    """Rebuild a config from its state; unpickling calls it, so importing this module registers our classes first."""
    config = Config.__new__(Config)
    config.__setstate__(state)
    return config


def reduce_config(config):
    """How a config is pickled (and copied): `restore_config` of its state."""
    return restore_config, (config.__getstate__(),)


copyreg.pickle(Config, reduce_config)

# What this package logs goes where Pointcept's own lines go: console and train.log, errors only off rank 0.
logging.getLogger("msm").parent = logging.getLogger("pointcept")


def open_test_log(save_path: str) -> None:
    """Log to <save_path>/test.log and the console, if no log is open yet."""
    get_root_logger(log_file=os.path.join(save_path, "test.log"), file_mode="w")


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
