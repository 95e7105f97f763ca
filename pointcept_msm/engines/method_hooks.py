"""Hooks of the method: the teacher follows the student, the mask's schedule, a watch on collapse.

What they read of a trainer, both hosts' trainers have.
"""

import logging
import math

import torch

from pointcept_msm.host import HOOKS, HookBase, register
from pointcept_msm.models.hunet_v1m1 import MSMHUNet
from pointcept_msm.models.layers.conv_backends import check_same_backend
from pointcept_msm.runtime import comm
from pointcept_msm.runtime.errors import UserError

LOGGER = logging.getLogger("msm")


def unwrap(model):
    """The model inside DistributedDataParallel, or the model itself."""
    return model.module if hasattr(model, "module") else model


def find_model(hook, attribute: str):
    """The trainer's model. UserError: it lacks the attribute that the hook works on."""
    model = unwrap(hook.trainer.model)
    if not hasattr(model, attribute):
        raise UserError(
            f"{type(hook).__name__} works on a model with `{attribute}`, such as MSM-v1m1; {type(model).__name__} has "
            "none: take the hook out of the config"
        )
    return model


def cosine_momentum(step: int, total: int, start: float, end: float) -> float:
    """Momentum of update number `step` of 0 ... total - 1: from start to end on half a cosine (BYOL, DINO)."""
    progress = min(step / max(total - 1, 1), 1.0)
    return end - (end - start) * (math.cos(math.pi * progress) + 1) / 2


@register(HOOKS, "MSMTeacherHook")
class MSMTeacherHook(HookBase):
    """momentum -> final over the run. Rides on the optimiser's own post-step hook, so that accumulated micro-steps and
    steps that the AMP scaler or a NaN guard skipped do not count. The count lives in the model (`train_step`)."""

    def __init__(self, momentum: float = 0.996, final: float = 1.0):
        if not 0 <= momentum <= final <= 1:
            raise UserError(f"Teacher momentum {momentum} -> {final}; give 0 <= momentum <= final <= 1.")
        self.start, self.final = momentum, final

    def before_train(self):
        """Attach to the optimiser; the model must have been restored by now."""
        model = find_model(self, "update_teacher")
        if comm.get_world_size() > 1 and any(isinstance(module, MSMHUNet) for module in model.modules()):
            check_same_backend(next(model.parameters()).device)
        total = self.trainer.cfg.scheduler.total_steps  # both hosts put it there
        model.momentum = cosine_momentum(int(model.train_step), total, self.start, self.final)

        def follow(optimizer, args, kwargs):
            model.update_teacher(cosine_momentum(int(model.train_step), total, self.start, self.final))
            model.train_step += 1

        self.handle = self.trainer.optimizer.register_step_post_hook(follow)

    def after_train(self):
        self.handle.remove()


def ramp(value, progress: float, warmup: float) -> float:
    """value: a number, or (start, end) raised linearly over the first `warmup` share of the run."""
    if not isinstance(value, (tuple, list)):
        return value
    start, end = value
    share = 1.0 if warmup <= 0 else min(progress / warmup, 1.0)
    return start + (end - start) * share


@register(HOOKS, "MSMMaskingHook")
class MSMMaskingHook(HookBase):
    """Mask ratio and patch size (metres) over the run (Fig. 8; Sonata ramps both). None leaves the model's own value; a
    number sets it; (start, end) is a ramp over the first `warmup` share of the run."""

    def __init__(self, ratio=None, patch=None, warmup: float = 0.05):
        self.ratio, self.patch, self.warmup = ratio, patch, warmup

    def before_train(self):
        self.model = find_model(self, "mask_ratio")

    def before_step(self):
        progress = min(self.trainer.scheduler.last_epoch / self.trainer.cfg.scheduler.total_steps, 1.0)
        if self.ratio is not None:
            self.model.mask_ratio = ramp(self.ratio, progress, self.warmup)
        if self.patch is not None:
            self.model.mask_patch = ramp(self.patch, progress, self.warmup)


def feature_spread(feat: torch.Tensor) -> float:
    """Mean over channels of the standard deviation of L2-normalised feat (V, C), times sqrt(C).

    0: all voxels have the same direction; 1: directions are isotropic.
    """
    unit = torch.nn.functional.normalize(feat.float(), dim=1)
    return float(unit.std(0).mean() * feat.shape[1] ** 0.5)


def effective_rank(feat: torch.Tensor) -> float:
    """exp of the entropy of the normalised singular values of centred feat (V, C): 1 ... C (Roy and Vetterli 2007)."""
    centred = feat.double() - feat.double().mean(0)
    values = torch.linalg.svdvals(centred.T @ centred / len(feat)).clamp(min=0).sqrt()
    share = values / values.sum().clamp(min=1e-12)
    return float(torch.exp(-(share * share.clamp(min=1e-12).log()).sum()))


@register(HOOKS, "MSMCollapseMonitor")
class MSMCollapseMonitor(HookBase):
    """Do the teacher's features still differ from place to place? Every `interval` iterations `spread_level<l>` and
    `rank_level<l>` go into the log and metrics.

    One warning sentence a level when the spread falls under `floor`, or the rank under `rank_floor` times its highest.
    """

    def __init__(self, interval: int = 50, floor: float = 0.3, rank_floor: float = 0.25):
        self.interval, self.floor, self.rank_floor = interval, floor, rank_floor
        self.count, self.best_rank, self.warned = 0, {}, set()

    def state_dict(self) -> dict:
        return dict(count=self.count, best_rank=dict(self.best_rank), warned=sorted(self.warned))

    def load_state_dict(self, state: dict):
        self.count, self.best_rank, self.warned = state["count"], dict(state["best_rank"]), set(state["warned"])

    def before_train(self):
        self.model = find_model(self, "observed")

    def after_step(self):
        self.count += 1
        if self.count % self.interval:
            return
        for level, feat in enumerate(self.model.observed):
            spread, rank = feature_spread(feat), effective_rank(feat)
            for name, value in ((f"spread_level{level}", spread), (f"rank_level{level}", rank)):
                self.trainer.comm_info["model_output_dict"][name] = torch.tensor(value)
            self._warn(level, spread, rank)

    def _warn(self, level, spread, rank):
        best = self.best_rank[str(level)] = max(rank, self.best_rank.get(str(level), 0.0))
        if level in self.warned or (spread >= self.floor and rank >= self.rank_floor * best):
            return
        self.warned.add(level)
        LOGGER.warning(
            f"Level {level} may be collapsing: spread {spread:.2f} (floor {self.floor:.2f}), effective rank {rank:.1f} "
            f"(highest so far {best:.1f}); try target_norm='batch', a lower learning rate or a momentum nearer 1."
        )
