"""Everything a run needs to go on as if it had never stopped, as plain values that `weights_only=True` can load; and
the keys of its config."""

import difflib
import logging
import random
from collections.abc import Mapping
from pprint import pformat

import numpy as np
import torch

from pointcept_msm.runtime import comm
from pointcept_msm.runtime.errors import UserError

LOGGER = logging.getLogger("msm")
# What a config may leave out: Pointcept's default runtime, wandb off, and the keys of this package.
DEFAULTS = dict(
    weight=None,
    resume=False,
    evaluate=True,
    seed=None,
    num_worker=16,
    batch_size=16,
    gradient_accumulation_steps=1,
    batch_size_val=None,
    batch_size_test=None,
    epoch=100,
    eval_epoch=100,
    clip_grad=None,
    enable_amp=False,
    amp_dtype="float16",
    find_unused_parameters=False,
    mix_prob=0,
    param_dicts=None,
    max_steps=None,  # optimizer steps after which the run ends early; also the length of the schedule
    max_skipped=50,  # steps in a row with a NaN or infinite loss or gradient before the run gives up
    log_every=10,  # iterations between two lines of the log
    train=dict(type="MSMTrainer"),
    test=dict(type="MSMProbeTester"),
    hooks=[
        dict(type="CheckpointLoader"),
        dict(type="IterationTimer", warmup_iter=2),
        dict(type="InformationWriter"),
        dict(type="MSMCheckpointer"),
    ],
)


def warn_unread(config) -> None:
    """Say which keys at the top of a config are no key of a run, but nearly: others may be a user's own variables."""
    known = {*DEFAULTS, "model", "data", "optimizer", "scheduler", "save_path"}
    for key in set(config) - known:
        for near in difflib.get_close_matches(key, known, 1, 0.8):
            LOGGER.warning("the config has %r, which nothing reads; did you mean %r?", key, near)


def to_plain(value):
    """Nested dicts, lists, tensors and numbers only: numpy values, counters and sets are converted."""
    if isinstance(value, Mapping):
        return {to_plain(key): to_plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, set)):
        return type(value)(map(to_plain, value)) if type(value) in (list, tuple) else [to_plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.astype(np.int64) if value.dtype.kind == "u" else value.copy())
    return value.item() if isinstance(value, np.generic) else value


def format_config(cfg) -> str:
    """The config as a Python file that reads back as the same one (mmengine's own text takes yapf two seconds)."""
    entries = to_plain(cfg._cfg_dict).items()
    return "".join(f"{key} = {pformat(value, width=100, sort_dicts=False)}\n" for key, value in entries)


def read_rng():
    """States of the generators of this process: python, numpy, torch and its GPU."""
    kind, words, position, has_gauss, gauss = np.random.get_state()
    state = {
        "python": to_plain(random.getstate()),
        "numpy": [kind, torch.from_numpy(words.astype(np.int64)), position, has_gauss, gauss],
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def write_rng(state):
    """Undo of `read_rng`."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    kind, words, *rest = state["numpy"]
    np.random.set_state((kind, words.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"].cpu())
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].cpu())


def capture(trainer, epoch):
    """The checkpoint of a trainer; `epoch` counts finished epochs. Every process must call it, rank 0 uses the result.

    Keys are those of Pointcept's checkpoints plus "msm": from the embedded trainer, its place.
    """
    scaler = getattr(trainer, "scaler", None)
    checkpoint = {
        "epoch": epoch,
        "state_dict": dict(trainer.model.state_dict()),
        "optimizer": trainer.optimizer.state_dict(),
        "scheduler": trainer.scheduler.state_dict(),
        "scaler": None if scaler is None else scaler.state_dict(),
        "best_metric_value": float(trainer.best_metric_value),
        "msm": capture_place(trainer, epoch) if getattr(trainer, "resumes_exactly", False) else {},
    }
    return to_plain(checkpoint)


def capture_place(trainer, epoch):
    """Place in the epoch, what must be the same on resume, states of hooks and of all processes' generators, gradients
    that wait."""
    states = [hook.state_dict() if hasattr(hook, "state_dict") else None for hook in trainer.hooks]
    waiting = trainer._gradient_accumulation_counter
    named = trainer.model.named_parameters() if waiting else ()
    return {
        "step": trainer.global_step,
        "iter": trainer.next_iter if epoch == trainer.epoch else 0,
        "skipped": trainer.skipped_steps,
        "skipped_in_row": trainer.skipped_in_row,
        **describe_length(trainer),
        "hooks": [[type(hook).__name__, state] for hook, state in zip(trainer.hooks, states)],
        "rng": comm.all_gather(read_rng()),
        "waiting": waiting,
        "gradients": {name: p.grad for name, p in named if p.grad is not None},
    }


def describe_length(trainer):
    """What decides the length, order and batches of a run."""
    return {
        "total_steps": trainer.total_steps,
        "batch_size": trainer.cfg.batch_size,
        "gradient_accumulation_steps": trainer.cfg.gradient_accumulation_steps,
        "seed": trainer.cfg.seed,
        "scenes_an_epoch": len(trainer.train_loader.dataset),
    }


def check_same_run(trainer, state):
    """UserError when a run is resumed with another length, order or batch: it would go on as something else, unsaid."""
    for name, value in describe_length(trainer).items():
        if state.get(name, value) != value:
            raise UserError(
                f"cannot resume: the checkpoint was made with {name} {state[name]}, this run has {value}; "
                "resume with the same options and data, or start a new run from its weights with -w."
            )


def restore_hooks_and_rng(trainer, state):
    """Second half of a resume, after every hook's before_train: hook states, by class name in order, gradients that
    wait, random states."""
    waiting = list(state["hooks"])
    if [type(hook).__name__ for hook in trainer.hooks] != [name for name, _ in waiting]:
        trainer.logger.warning("the hooks differ from the checkpoint's: those of the same name get their state back.")
    for hook in trainer.hooks:
        match = next((entry for entry in waiting if entry[0] == type(hook).__name__), None)
        if match is not None:
            waiting.remove(match)
            if match[1] is not None:
                hook.load_state_dict(match[1])
    parameters = dict(trainer.model.named_parameters())
    for name, gradient in state["gradients"].items():
        parameters[name].grad = gradient.to(parameters[name].device)
    trainer._gradient_accumulation_counter = state["waiting"]
    rng = state["rng"]
    if len(rng) == comm.get_world_size():
        write_rng(rng[comm.get_rank()])
    else:
        trainer.logger.warning(
            f"the run is resumed by {comm.get_world_size()} processes, its checkpoint was made by {len(rng)}: "
            "random states start anew, so it goes on, but not to the bit as it would have."
        )
