"""CheckpointLoader: weights, or a whole run, into the trainer (Pointcept's name, arguments and key mapping).

Unlike Pointcept's it says what did not match, refuses a file of which nothing matches, and loads tensors only.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

import torch

from pointcept_msm.embedded.hooks.base import HookBase
from pointcept_msm.embedded.registry import HOOKS
from pointcept_msm.files.torch_files import read_torch_file as load_pth
from pointcept_msm.files.weights import load_checkpoint
from pointcept_msm.runtime import comm
from pointcept_msm.runtime.training_state import check_position, check_same_run

SHOWN = 8  # names listed in a log line
RESUME_KEYS = ("state_dict", "optimizer", "scheduler", "scaler", "epoch", "best_metric_value")


def read_last_pth(path):
    """(checkpoint, the file it came from): `load_pth`, or the one before (`<stem>.prev.pth`) when that is torn."""
    path = Path(path)
    previous = path.with_suffix(".prev.pth")
    try:
        return load_pth(path), path
    except (ValueError, OSError) as error:
        if not previous.is_file():
            raise
        logging.getLogger("msm").warning(f"{error} Going on with the checkpoint before it, {previous.name}.")
    return load_pth(previous), previous


def read_resumed(weight):
    """`read_last_pth`; ValueError in one sentence that says what else the run's folder holds."""
    try:
        return read_last_pth(weight)
    except (ValueError, OSError) as error:
        names = (Path(weight).name, Path(weight).with_suffix(".prev.pth").name)
        others = sorted(path.name for path in Path(weight).parent.glob("*.pth") if path.name not in names)
        way = f"start a new run with -w from {', '.join(others)} beside it" if others else "start a new run"
        reason = str(error).split(": give ")[0]  # the way out of a file that was chosen is not that of a run's own
        raise ValueError(f"cannot resume: {reason}, and no sound one lies before it; {way}.") from error


def load_last_pth(path):
    """The checkpoint of `read_last_pth`."""
    return read_last_pth(path)[0]


def read_state_dict(checkpoint, path):
    """The tensors of a checkpoint by name, without DDP's prefix; ValueError when it has none."""
    state = checkpoint.get("state_dict", checkpoint)
    if not isinstance(state, Mapping) or not state or not all(isinstance(key, str) for key in state):
        raise ValueError(f"{path} has no state_dict with tensors by name: give a checkpoint of a training run.")
    return {key.removeprefix("module."): value for key, value in state.items()}


def rename_keys(state_dict, keywords="", replacement=None):
    """Pointcept's mapping: with `module.` in front of every name, the first `keywords` becomes `replacement`.

    Returns names without `module.`.
    """
    replacement = keywords if replacement is None else replacement
    renamed = {}
    for key, value in state_dict.items():
        key = key if key.startswith("module.") else f"module.{key}"
        renamed[key.replace(keywords, replacement, 1).removeprefix("module.")] = value
    return renamed


def find_broken(state_dict):
    """Sorted names of what is no tensor, or has values that are not finite."""
    return sorted(
        key
        for key, value in state_dict.items()
        if not isinstance(value, torch.Tensor) or (value.is_floating_point() and not bool(value.isfinite().all()))
    )


def load_weights(model, state_dict, strict=False):
    """Load into a plain or DDP-wrapped model and log the matched share, missing and unexpected names.

    Raises ValueError when nothing matches, when a shape differs, or, with `strict`, when any name is left over.
    """
    model = getattr(model, "module", model)
    own = model.state_dict()
    broken = find_broken(state_dict)
    if broken:
        raise ValueError(
            f"the checkpoint holds NaN, infinity or no numbers in {_shorten(broken, 2)}: give another one."
        )
    matched = own.keys() & state_dict.keys()
    missing, unexpected = sorted(own.keys() - matched), sorted(state_dict.keys() - matched)
    logger = logging.getLogger("msm")
    logger.info(f"Loaded {len(matched)} of {len(own)} tensors ({len(matched) / max(len(own), 1):.1%})")
    for text, names in (("Missing keys", missing), ("Unexpected keys", unexpected)):
        if names:
            logger.warning(f"{text} ({len(names)}): {_shorten(names)}")
    if not matched or (strict and (missing or unexpected)):
        raise ValueError(
            f"the checkpoint does not fit the model: {len(matched)} of {len(own)} tensors match, missing "
            f"{_shorten(missing, 2)}; unexpected {_shorten(unexpected, 2)}; set CheckpointLoader's keywords and "
            "replacement."
        )
    _check_shapes(own, state_dict, matched)
    model.load_state_dict(state_dict, strict=False)


def _check_shapes(own, state_dict, matched):
    wrong = [key for key in sorted(matched) if own[key].shape != state_dict[key].shape]
    if wrong:
        key = wrong[0]
        raise ValueError(
            f"the checkpoint does not fit the model: {len(wrong)} tensors differ in shape, such as {key} with "
            f"{tuple(state_dict[key].shape)} for {tuple(own[key].shape)}; build the model with the checkpoint's sizes."
        )


def _shorten(names, shown=SHOWN):
    return ", ".join(names[:shown]) + (", ..." if len(names) > shown else "") if names else "none"


@HOOKS.register_module()
class CheckpointLoader(HookBase):
    """Before training, load `cfg.weight` (.pth or .safetensors); with `cfg.resume`, the state of the run as well."""

    def __init__(self, keywords="", replacement=None, strict=False):
        self.keywords, self.replacement, self.strict = keywords, replacement, strict

    def before_train(self):
        weight = self.trainer.cfg.weight
        if weight in (None, "", "None"):
            self.trainer.logger.info("No weight to load: training starts from the initialisation")
            return
        previous = Path(weight).with_suffix(".prev.pth")
        if not Path(weight).is_file() and not (self.trainer.cfg.resume and previous.is_file()):
            raise FileNotFoundError(f"no checkpoint at {weight}: give an existing file as weight (-w), or none.")
        self.trainer.logger.info(f"Loading weight at: {weight}")
        if self.trainer.cfg.resume:
            checkpoint, self.trainer.resumed_from = read_resumed(weight)
            self.resume(checkpoint)
        else:
            self.load(weight)

    def load(self, weight):
        if Path(weight).suffix == ".safetensors":
            state_dict = load_checkpoint(weight)[0]
        else:
            state_dict = read_state_dict(load_pth(weight), weight)
        load_weights(self.trainer.model, rename_keys(state_dict, self.keywords, self.replacement), self.strict)

    def resume(self, checkpoint):
        trainer, state = self.trainer, checkpoint.get("msm") or {}
        lacking = [key for key in RESUME_KEYS if key not in checkpoint]
        if lacking:
            raise ValueError(
                f"{trainer.resumed_from} has no {', '.join(lacking)}, so no run can go on from it: it holds weights, "
                "which a new run takes with -w."
            )
        check_same_run(trainer, state if isinstance(state, Mapping) else {})
        check_position(trainer, checkpoint)
        load_weights(trainer.model, read_state_dict(checkpoint, trainer.resumed_from), strict=True)
        scaled = ("scaler",) if trainer.scaler is not None and checkpoint["scaler"] else ()
        for name in ("optimizer", "scheduler", *scaled):
            try:
                getattr(trainer, name).load_state_dict(checkpoint[name])
            except Exception as error:  # torch trusts a state to be one
                raise ValueError(
                    f"cannot resume: the {name} differs from the checkpoint's ({type(error).__name__}: {error}); "
                    "resume with the same options, or start a new run from its weights with -w."
                ) from error
        trainer.best_metric_value = checkpoint["best_metric_value"]
        trainer.start_epoch, trainer.start_iter = checkpoint["epoch"], state.get("iter", 0)
        per_epoch = len(trainer.train_loader) // trainer.cfg.gradient_accumulation_steps
        trainer.global_step = state.get("step", min(checkpoint["epoch"] * per_epoch, trainer.total_steps))
        trainer.skipped_steps = state.get("skipped", 0)
        trainer.skipped_in_row = state.get("skipped_in_row", 0)
        trainer.resume_state = state
        trainer.logger.info(
            f"Resuming at step {trainer.global_step}: epoch {trainer.start_epoch + 1}, iteration {trainer.start_iter} "
            f"(rank {comm.get_rank()})"
        )
