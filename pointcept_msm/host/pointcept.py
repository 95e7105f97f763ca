"""The Pointcept host: its registries and builders, configs that carry this package into spawned workers, and what
its trainer and tester need for ours.

Pointcept runs `custom_imports` in the parent process only; with several GPUs it spawns workers, which unpickle the
config. Pickling a config by `restore_config`, which lives here, makes a worker import this package first.
"""

import copyreg
import logging
import os
from functools import partial
from pathlib import Path

from pointcept.datasets.builder import DATASETS
from pointcept.datasets.builder import build_dataset as build_any_dataset
from pointcept.datasets.defaults import DefaultDataset
from pointcept.datasets.transform import TRANSFORMS, Compose
from pointcept.engines.defaults import worker_init_fn
from pointcept.engines.hooks.builder import HOOKS
from pointcept.engines.hooks.default import HookBase
from pointcept.engines.test import TESTERS, SemSegTester
from pointcept.engines.train import TRAINERS, Trainer
from pointcept.models.builder import MODELS, build_model
from pointcept.models.losses.builder import LOSSES
from pointcept.utils.config import Config
from pointcept.utils.logger import get_root_logger
from pointcept.utils.optimizer import OPTIMIZERS
from pointcept.utils.scheduler import SCHEDULERS

from pointcept_msm.embedded.datasets import no_scenes
from pointcept_msm.embedded.hooks import rename_keys
from pointcept_msm.embedded.loader import refuse_mixing
from pointcept_msm.embedded.optimizer import settle_warmup
from pointcept_msm.files.state_match import list_names
from pointcept_msm.files.torch_files import find_state_dict, read_torch_file
from pointcept_msm.files.weights import digest_tensors
from pointcept_msm.host.run_files import restore_train_config, set_aside_results
from pointcept_msm.host.selection import register
from pointcept_msm.runtime import comm
from pointcept_msm.runtime.environment import describe_environment, mix_seed, set_seed
from pointcept_msm.runtime.errors import UserError
from pointcept_msm.runtime.training_state import warn_unread


def restore_config(state):
    """Rebuild a config from its state; unpickling calls it, so importing this module registers our classes first."""
    config = Config.__new__(Config)
    config.__setstate__(state)
    return config


copyreg.pickle(Config, lambda config: (restore_config, (config.__getstate__(),)))

# What this package logs goes where Pointcept's own lines go: console and train.log, errors only off rank 0.
logging.getLogger("msm").parent = logging.getLogger("pointcept")


def open_test_log(save_path: str) -> None:
    """Log to <save_path>/test.log and the console, if no log is open yet."""
    get_root_logger(log_file=os.path.join(save_path, "test.log"), file_mode="w")


def build_dataset(cfg):
    """Pointcept's data set of a config; UserError when it, or one that it joins, has no scenes."""
    return refuse_empty(build_any_dataset(cfg))


def refuse_empty(dataset):
    """The data set. UserError when a split of it, or of one that it joins, has no scenes: Pointcept would go on with
    the others, or fail far from here. Data sets of this package look for themselves."""
    for part in getattr(dataset, "datasets", ()):
        refuse_empty(part)
    if hasattr(dataset, "data_root") and not type(dataset).__module__.startswith("pointcept_msm."):
        for split in [dataset.split] if isinstance(dataset.split, str) else dataset.split:
            path = Path(dataset.data_root, split)
            if not dataset.data_list or not (path.is_file() or any(path.glob("*"))):
                raise no_scenes(type(dataset).__name__, path)
    return dataset


def check_weight(cfg, expected, logger) -> None:
    """UserError: no hook loads the checkpoint `cfg.weight`, or nothing in it has a name that is expected. Pointcept
    would train from the initialisation, and say so in a list of all names."""
    loader = next((hook for hook in cfg.hooks if hook["type"] == "CheckpointLoader"), None)
    if loader is None:
        raise UserError(f"no hook loads the weight {cfg.weight}: add dict(type='CheckpointLoader') to hooks.")
    try:
        state = find_state_dict(read_torch_file(cfg.weight), cfg.weight)
    except UserError as error:  # Pointcept, which trusts it, may be able to read it
        logger.warning(f"its names are not compared with the model's: {error}")
        return
    given = rename_keys(state, loader.get("keywords", ""), loader.get("replacement"))
    if not {name.removeprefix("module.") for name in expected} & set(given):
        raise UserError(
            f"nothing in {cfg.weight} ({list_names(given)}) is for the model ({list_names(expected)}): give another "
            "checkpoint, or set keywords and replacement of CheckpointLoader."
        )


def seed_loader_worker(worker_id, num_workers, rank, seed):
    """Pointcept's seed of a loader worker in the first process; in the others one that no process shares."""
    if rank == 0:
        worker_init_fn(worker_id, num_workers, rank, seed)
    else:
        set_seed(mix_seed(seed, rank, worker_id))


@register(TRAINERS, "MSMTrainer")
class MSMTrainer(Trainer):
    """Pointcept's trainer for configs that also run in the embedded host.

    It refuses what Pointcept would silently ignore (`max_steps`, a weight or data that are not there) or mix up, gives
    each process random streams of its own and the loader worker that `persistent_workers` needs, and lets go of each
    step's graph once it is taken.
    """

    def __init__(self, cfg):
        if cfg.get("max_steps") is not None:
            raise UserError("max_steps is read in the embedded host only: set epoch, or MSM_HOST=embedded.")
        if cfg.weight and not cfg.resume and not (os.path.isfile(cfg.weight) and cfg.weight.endswith(".pth")):
            raise UserError(f"no checkpoint at {cfg.weight}: give an existing .pth as weight (-w), or none.")
        if any(str(part.get("type")).startswith("MSM") for part in (cfg.model, cfg.model.get("backbone") or {})):
            refuse_mixing(cfg.mix_prob)
        if comm.get_rank() > 0:  # Pointcept: seed + rank * workers, the same for all where there are no workers
            set_seed(cfg.seed, comm.get_rank())
        super().__init__(cfg)

    def build_model(self):
        """The first step of the constructor that has a log to write to."""
        self.logger.info(f"=> Host: pointcept; {describe_environment()}")
        warn_unread(self.cfg)
        model = super().build_model()
        if self.cfg.weight and not self.cfg.resume:
            check_weight(self.cfg, model.state_dict(), self.logger)
        return model

    def build_train_loader(self):
        """Pointcept's loader, with at least one worker."""
        if self.cfg.num_worker_per_gpu < 1:
            self.logger.info("=> num_worker gives this process no loader worker, Pointcept needs one: using 1")
            self.cfg.num_worker_per_gpu = 1
        try:
            loader = super().build_train_loader()
        except ValueError:  # torch's, for no scenes at all
            build_dataset(self.cfg.data.train)
            raise
        refuse_empty(loader.dataset)
        loader.worker_init_fn = partial(
            seed_loader_worker, num_workers=loader.num_workers, rank=comm.get_rank(), seed=self.cfg.seed
        )
        return loader

    def build_val_loader(self):
        """Pointcept's loader, of scenes that are there."""
        loader = super().build_val_loader()
        if loader is not None:
            refuse_empty(loader.dataset)
        return loader

    def build_scheduler(self):
        """Pointcept's, whose OneCycleLR fails when the warm-up is one step long, and starts late when it is less."""
        scheduler = self.cfg.scheduler
        if scheduler.type == "OneCycleLR":
            steps = len(self.train_loader) * self.cfg.eval_epoch // self.cfg.gradient_accumulation_steps
            scheduler.pct_start = settle_warmup(max(steps, 1), scheduler.get("pct_start", 0.3))
        return super().build_scheduler()

    def run_step(self):
        """Pointcept's step. Its output is kept until the next one: without the graph, which holds all index tables."""
        super().run_step()
        output = self.comm_info["model_output_dict"]
        self.comm_info["model_output_dict"] = {key: value.detach() for key, value in output.items()}


@register(TESTERS, "MSMSemSegTester")
class MSMSemSegTester(SemSegTester):
    """SemSegTester loads <save_path>/result/<scene>_pred.npy instead of running the network, whoever wrote it. Here
    they count only if the same weights and the same test data made them; others are moved to result-<n>."""

    def build_test_loader(self):
        """Pointcept's loader, of scenes that are there."""
        loader = super().build_test_loader()
        refuse_empty(loader.dataset)
        return loader

    def test(self):
        """Evaluate as SemSegTester does."""
        if comm.is_main_process():
            folder = Path(self.cfg.save_path)
            made_by = digest_tensors(self.model.state_dict(), [str(self.cfg.data.test), str(self.cfg.model)])
            moved = set_aside_results(folder, made_by)
            if moved:
                self.logger.info(f"Predictions of another network or another test were in result/; now in {moved}")
            restore_train_config(folder)
        comm.synchronize()
        return super().test()


__all__ = [
    "DATASETS", "HOOKS", "LOSSES", "MODELS", "OPTIMIZERS", "SCHEDULERS", "TESTERS", "TRAINERS", "TRANSFORMS",
    "Compose", "Config", "DefaultDataset", "HookBase", "build_dataset", "build_model", "open_test_log",
]  # fmt: skip
