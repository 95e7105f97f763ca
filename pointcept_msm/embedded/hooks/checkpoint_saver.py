"""CheckpointSaver: a checkpoint each epoch with Pointcept's names; MSMCheckpointer does the same and more."""

from pathlib import Path

import torch

from pointcept_msm.embedded.hooks.base import HookBase
from pointcept_msm.embedded.registry import HOOKS
from pointcept_msm.files.atomic import copy_file, replace_file
from pointcept_msm.runtime import comm
from pointcept_msm.runtime.training_state import capture


def update_best(trainer):
    """Take over the evaluator's value when it is the best so far; returns whether it is."""
    value = trainer.comm_info.get("current_metric_value")
    if value is None or not float(value) > trainer.best_metric_value:
        return False
    trainer.best_metric_value = float(value)
    name = trainer.comm_info.get("current_metric_name", "metric")
    trainer.logger.info(f"Best validation {name} updated to: {float(value):.4f}")
    return True


def save_pth(checkpoint, path, before=None):
    """Write a checkpoint atomically; before: as in `replace_file`."""
    with replace_file(path, before=before) as file:
        torch.save(checkpoint, file)


@HOOKS.register_module()
class CheckpointSaver(HookBase):
    """Writes model/model_last.pth, model_best.pth, and epoch_<n>.pth every `save_freq` epochs; after evaluators."""

    def __init__(self, save_freq=None):
        self.save_freq = save_freq

    def after_epoch(self):
        best, done = update_best(self.trainer), self.trainer.epoch + 1
        checkpoint = capture(self.trainer, epoch=done)
        if not comm.is_main_process():
            return
        folder = Path(self.trainer.cfg.save_path) / "model"
        folder.mkdir(parents=True, exist_ok=True)
        save_pth(checkpoint, folder / "model_last.pth")
        if best:
            copy_file(folder / "model_last.pth", folder / "model_best.pth")
        if self.save_freq and done % self.save_freq == 0:
            copy_file(folder / "model_last.pth", folder / f"epoch_{done}.pth")
