"""The embedded host's hooks, with Pointcept's names, arguments and tags: the base class, log lines, timing, loading."""

import logging
import time
from pathlib import Path

from pointcept_msm.embedded.registry import HOOKS
from pointcept_msm.files.state_match import list_names, match_state
from pointcept_msm.files.torch_files import find_state_dict, read_torch_file
from pointcept_msm.files.weights import load_checkpoint
from pointcept_msm.runtime import comm
from pointcept_msm.runtime.errors import UserError
from pointcept_msm.runtime.training_state import check_same_run

LOGGER = logging.getLogger("msm")


class HookBase:
    """Receives the trainer's events; `trainer` is a weak proxy that the trainer sets when it registers the hook.

    A hook with `state_dict()` / `load_state_dict(state)` is saved and restored by MSMCheckpointer.
    """

    trainer = None

    def before_train(self): ...

    def before_epoch(self): ...

    def before_step(self): ...

    def after_step(self): ...

    def after_epoch(self): ...

    def after_train(self): ...


@HOOKS.register_module()
class InformationWriter(HookBase):
    """A line and the tensorboard scalars of every `cfg.log_every`-th iteration."""

    def before_step(self):
        trainer = self.trainer
        trainer.comm_info["iter_info"] = (
            f"Train: [{trainer.epoch + 1}/{trainer.max_epoch}]"
            f"[{trainer.comm_info['iter'] + 1}/{len(trainer.train_loader)}] "
        )

    def after_step(self):
        trainer, info = self.trainer, self.trainer.comm_info
        count = trainer.epoch * len(trainer.train_loader) + info["iter"] + 1
        if count != 1 and count % trainer.cfg.log_every:
            return  # numbers are read, and so the device waited for, only when they are written
        values = {key: float(value) for key, value in info["model_output_dict"].items()}
        lr = trainer.optimizer.param_groups[0]["lr"]
        scalars = "".join(f"{key}: {value:.4f} " for key, value in values.items())
        trainer.logger.info(f"{info['iter_info']}{scalars}Lr: {lr:.3g}")
        if trainer.writer is not None:
            for key, value in [*((f"train_batch/{key}", value) for key, value in values.items()), ("params/lr", lr)]:
                trainer.writer.add_scalar(key, value, count)


@HOOKS.register_module()
class IterationTimer(HookBase):
    """Time for data, time of the step and time left, in the log line.

    `warmup_iter`: iterations at the start of each epoch that the averages leave out.
    """

    def __init__(self, warmup_iter=1):
        self.warmup_iter = warmup_iter
        self.last = time.perf_counter()
        self.data, self.times = 0.0, []  # this step's, and (data, whole step) of the steps that count

    def before_epoch(self):
        self.last = time.perf_counter()

    def before_step(self):
        self.data = time.perf_counter() - self.last

    def after_step(self):
        now, info = time.perf_counter(), self.trainer.comm_info
        step, self.last = now - self.last, now
        if info["iter"] <= self.warmup_iter:
            self.times = []
        self.times.append((self.data, step))
        data_mean, step_mean = (sum(column) / len(self.times) for column in zip(*self.times))
        done = self.trainer.epoch * len(self.trainer.train_loader) + info["iter"] + 1
        left = int((self.trainer.max_iter - done) * step_mean)
        clock = f"{left // 3600:02d}:{left % 3600 // 60:02d}:{left % 60:02d}"
        info["iter_info"] = info.get("iter_info", "") + (
            f"Data {self.data:.3f} ({data_mean:.3f}) Batch {step:.3f} ({step_mean:.3f}) Remain {clock} "
        )


def read_last(path):
    """(checkpoint, the file it came from): that at `path`, or the one before (`<stem>.prev.pth`) when that is torn."""
    path, previous = Path(path), Path(path).with_suffix(".prev.pth")
    try:
        return read_torch_file(path), path
    except UserError as error:
        if not previous.is_file():
            raise
        LOGGER.warning(f"{error}. Going on with the checkpoint before it, {previous.name}.")
    try:
        return read_torch_file(previous), previous
    except UserError as error:
        raise UserError(f"cannot resume: {error}, as is the one after it; start a new run (-w: weights).") from None


def rename_keys(state_dict, keywords="", replacement=None):
    """Pointcept's mapping: with `module.` in front of every name, the first `keywords` becomes `replacement`.

    Names come and go without `module.`.
    """
    replacement = keywords if replacement is None else replacement
    renamed = {key: f"module.{key}".replace(keywords, replacement, 1) for key in state_dict}
    return {renamed[key].removeprefix("module."): value for key, value in state_dict.items()}


def load_weights(model, state_dict, source, strict=False):
    """Load into a plain or DDP-wrapped model and log what did not match.

    UserError when nothing matches, when a shape differs, or, with `strict`, when any name is left over.
    """
    model = getattr(model, "module", model)
    way = "build the model with the checkpoint's sizes, or set CheckpointLoader's keywords and replacement"
    match = match_state(state_dict, model.state_dict(), source, () if strict else ("*",), next_step=way)
    LOGGER.info(f"Loaded {len(match.state)} of {len(match.state) + len(match.missing)} tensors")
    for text, names in (("Missing", match.missing), ("Unexpected", match.unknown)):
        if names:
            LOGGER.warning(f"{text} keys ({len(names)}): {list_names(names)}")
    model.load_state_dict(match.state, strict=False)


@HOOKS.register_module()
class CheckpointLoader(HookBase):
    """Before training, load `cfg.weight` (.pth or .safetensors); with `cfg.resume`, the state of the run as well.

    Unlike Pointcept's it says what did not match, refuses a file of which nothing matches, and loads tensors only.
    """

    def __init__(self, keywords="", replacement=None, strict=False):
        self.keywords, self.replacement, self.strict = keywords, replacement, strict

    def before_train(self):
        weight = self.trainer.cfg.weight
        if not weight:
            LOGGER.info("No weight to load: training starts from the initialisation")
            return
        LOGGER.info(f"Loading weight at: {weight}")
        if self.trainer.cfg.resume:
            self.resume(*read_last(weight))
            return
        exported = Path(weight).suffix == ".safetensors"
        state = load_checkpoint(weight)[0] if exported else find_state_dict(read_torch_file(weight), weight)
        load_weights(self.trainer.model, rename_keys(state, self.keywords, self.replacement), weight, self.strict)

    def resume(self, checkpoint, source):
        """Everything but what hooks and generators must get back after every hook has started."""
        trainer, state = self.trainer, checkpoint.get("msm")
        if not state or "rng" not in state:
            raise UserError(f"{source} is no checkpoint of this host's training: start a new run from it with -w.")
        check_same_run(trainer, state)
        load_weights(trainer.model, find_state_dict(checkpoint, source), source, strict=True)
        trainer.optimizer.load_state_dict(checkpoint["optimizer"])
        trainer.scheduler.load_state_dict(checkpoint["scheduler"])
        if trainer.scaler is not None and checkpoint["scaler"]:
            trainer.scaler.load_state_dict(checkpoint["scaler"])
        trainer.best_metric_value = checkpoint["best_metric_value"]
        trainer.start_epoch, trainer.start_iter = checkpoint["epoch"], state["iter"]
        trainer.global_step = state["step"]
        trainer.skipped_steps, trainer.skipped_in_row = state["skipped"], state["skipped_in_row"]
        trainer.resume_state, trainer.resumed_from = state, source
        LOGGER.info(
            f"Resuming at step {trainer.global_step}: epoch {trainer.start_epoch + 1}, iteration {trainer.start_iter} "
            f"(rank {comm.get_rank()})"
        )
