"""CheckpointLoader: weights, or a whole run, into the trainer (Pointcept's name, arguments and key mapping).

Unlike Pointcept's it says what did not match, refuses a file of which nothing matches, and loads tensors only.
"""

import logging
from pathlib import Path

from pointcept_msm.embedded.hooks import HookBase
from pointcept_msm.embedded.registry import HOOKS
from pointcept_msm.files.state_match import list_names, match_state
from pointcept_msm.files.torch_files import find_state_dict, read_torch_file
from pointcept_msm.files.weights import load_checkpoint
from pointcept_msm.runtime import comm
from pointcept_msm.runtime.errors import UserError
from pointcept_msm.runtime.training_state import check_same_run

LOGGER = logging.getLogger("msm")


def read_last(path):
    """(checkpoint, the file it came from): the one at `path`, or the one before (`<stem>.prev.pth`) when that is torn.

    UserError, when neither is sound, says what else the run's folder holds.
    """
    path, previous = Path(path), Path(path).with_suffix(".prev.pth")
    try:
        return read_torch_file(path), path
    except UserError as error:
        reason = error
    if previous.is_file():
        LOGGER.warning(f"{reason}. Going on with the checkpoint before it, {previous.name}.")
        try:
            return read_torch_file(previous), previous
        except UserError as error:
            reason = error
    others = sorted(other.name for other in path.parent.glob("*.pth") if other not in (path, previous))
    way = f" with -w from {', '.join(others)} beside it" if others else ""
    raise UserError(f"cannot resume: {reason}, and no sound checkpoint lies before it; start a new run{way}.")


def rename_keys(state_dict, keywords="", replacement=None):
    """Pointcept's mapping: with `module.` in front of every name, the first `keywords` becomes `replacement`.

    Returns names without `module.`.
    """
    replacement = keywords if replacement is None else replacement
    named = {f"module.{key.removeprefix('module.')}": value for key, value in state_dict.items()}
    return {key.replace(keywords, replacement, 1).removeprefix("module."): value for key, value in named.items()}


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
    """Before training, load `cfg.weight` (.pth or .safetensors); with `cfg.resume`, the state of the run as well."""

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
