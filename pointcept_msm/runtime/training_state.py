"""Everything a run needs to go on as if it had never stopped, as plain values that `weights_only=True` can load."""

import random
from collections.abc import Mapping

import numpy as np
import torch

from pointcept_msm.runtime import comm


def to_plain(value):
    """Nested dicts, lists, tensors and numbers only: numpy values, counters and sets are converted."""
    if isinstance(value, Mapping):
        return {to_plain(key): to_plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, set)):
        return type(value)(map(to_plain, value)) if type(value) in (list, tuple) else [to_plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.astype(np.int64) if value.dtype.kind == "u" else value.copy())
    return value.item() if isinstance(value, np.generic) else value


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

    Keys are those of Pointcept's checkpoints plus "msm", which only the embedded trainer fills in.
    """
    scaler = getattr(trainer, "scaler", None)
    checkpoint = {
        "epoch": epoch,
        "state_dict": dict(trainer.model.state_dict()),
        "optimizer": trainer.optimizer.state_dict(),
        "scheduler": trainer.scheduler.state_dict(),
        "scaler": None if scaler is None else scaler.state_dict(),
        "best_metric_value": float(trainer.best_metric_value),
        "msm": capture_exact(trainer, epoch) if getattr(trainer, "resumes_exactly", False) else _capture_hooks(trainer),
    }
    return to_plain(checkpoint)


def capture_exact(trainer, epoch):
    """Position in the epoch, random states of every process, hook states and gradients waiting to be used."""
    return {
        "step": trainer.global_step,
        "iter": trainer.next_iter if epoch == trainer.epoch else 0,
        "skipped": trainer.skipped_steps,
        "total_steps": trainer.total_steps,
        "batch_size": trainer.cfg.batch_size,
        "gradient_accumulation_steps": trainer.cfg.gradient_accumulation_steps,
        "seed": trainer.cfg.seed,
        "items": len(trainer.train_loader.dataset),
        "skipped_in_row": trainer.skipped_in_row,
        "rng": comm.all_gather(read_rng()),
        **_capture_hooks(trainer),
        "waiting": trainer._gradient_accumulation_counter,
        "gradients": _waiting_gradients(trainer),
        "parts": comm.all_gather([[float(loss) for loss in trainer._losses], list(trainer._scenes)]),
    }


def _capture_hooks(trainer):
    states = [hook.state_dict() if hasattr(hook, "state_dict") else None for hook in trainer.hooks]
    return {"hooks": [[type(hook).__name__, state] for hook, state in zip(trainer.hooks, states)]}


def _waiting_gradients(trainer):
    """Gradients of an unfinished accumulation, by parameter name."""
    if not trainer._gradient_accumulation_counter:
        return {}
    return {name: p.grad for name, p in trainer.model.named_parameters() if p.grad is not None}


def check_position(trainer, checkpoint):
    """ValueError when the numbers that say where a checkpoint stands are no place in this run."""
    state = checkpoint.get("msm")
    if state is not None and not isinstance(state, Mapping):
        raise ValueError(f"cannot resume: the checkpoint's msm is {type(state).__name__}: give another checkpoint.")
    state = state or {}
    limits = {
        "epoch": (checkpoint.get("epoch"), trainer.max_epoch),
        "iter": (state.get("iter", 0), len(trainer.train_loader)),
        "step": (state.get("step", 0), trainer.total_steps),
        "skipped": (state.get("skipped", 0), float("inf")),
        "skipped_in_row": (state.get("skipped_in_row", 0), float("inf")),
        "waiting": (state.get("waiting", 0), trainer.cfg.gradient_accumulation_steps - 1),
    }
    for name, (value, most) in limits.items():
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
            raise ValueError(
                f"cannot resume: the checkpoint's {name} is {value!r}, this run has 0 to {most}; resume with the same "
                "options and data, or start a new run from its weights with -w."
            )
    best = checkpoint.get("best_metric_value")
    if not isinstance(best, (int, float)) or best != best:
        raise ValueError(
            f"cannot resume: the checkpoint's best_metric_value is {checkpoint.get('best_metric_value')!r}, no number: "
            "give another checkpoint."
        )


def check_same_run(trainer, state):
    """Refuse to resume a run whose length, order or batch was changed: it would go on as something else, unsaid."""
    here = {
        "total_steps": trainer.total_steps,
        "batch_size": trainer.cfg.batch_size,
        "gradient_accumulation_steps": trainer.cfg.gradient_accumulation_steps,
        "seed": trainer.cfg.seed,
        "items": len(trainer.train_loader.dataset),
    }
    for name, value in here.items():
        if state.get(name, value) != value:
            shown = "scenes an epoch (items)" if name == "items" else name
            raise ValueError(
                f"cannot resume: the checkpoint was made with {shown} {state[name]}, this run has {value}; "
                "resume with the same options and data, or start a new run from its weights with -w."
            )


def restore_hooks_and_rng(trainer, state):
    """Second half of a resume, after every hook's before_train: hook states, gradients, random states."""
    restore_hooks(trainer, state.get("hooks", []))
    parameters = dict(trainer.model.named_parameters())
    for name, gradient in state.get("gradients", {}).items():
        parameters[name].grad = gradient.to(parameters[name].device)
    trainer._gradient_accumulation_counter = state.get("waiting", 0)
    rng, parts = state.get("rng", []), state.get("parts", [])
    losses, scenes = parts[comm.get_rank()] if len(parts) == comm.get_world_size() else ([], [])
    trainer._losses, trainer._scenes = [torch.tensor(loss, device=trainer.device) for loss in losses], list(scenes)
    if len(rng) == comm.get_world_size():
        write_rng(rng[comm.get_rank()])
    else:
        trainer.logger.warning(
            f"the run is resumed by {comm.get_world_size()} processes, its checkpoint was made by {len(rng)}: "
            "random states start anew, so it goes on, but not to the bit as it would have."
        )


def restore_or_explain(trainer, state):
    """`restore_hooks_and_rng`; ValueError in one sentence when the state is not one of this run."""
    try:
        restore_hooks_and_rng(trainer, state)
    except Exception as error:  # a state of any form may lie in a file
        raise ValueError(
            f"cannot resume: the checkpoint's random, hook or gradient state is incomplete ({type(error).__name__}: "
            f"{error}); start a new run from its weights with -w."
        ) from error


def restore_hooks(trainer, states):
    """Give hooks their saved states back, matched by class name in order."""
    names = [type(hook).__name__ for hook in trainer.hooks]
    if names != [name for name, _ in states]:
        trainer.logger.warning("the hooks differ from the checkpoint's: those of the same name get their state back.")
    waiting = list(states)
    for hook in trainer.hooks:
        match = next((entry for entry in waiting if entry[0] == type(hook).__name__), None)
        if match is not None:
            waiting.remove(match)
            if match[1] is not None:
                hook.load_state_dict(match[1])
