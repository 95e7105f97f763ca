"""MSMCollapseMonitor: do the teacher's features still differ from place to place?"""

import logging

import torch

from pointcept_msm.host import HOOKS, HookBase, register

from .progress import unwrap

logger = logging.getLogger("msm")


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
    """Every `interval` iterations: `spread_level<l>` and `rank_level<l>` into the log and metrics.

    One warning sentence a level when the spread falls under `floor`, or the rank under `rank_floor` times its highest.
    """

    def __init__(self, interval: int = 50, floor: float = 0.3, rank_floor: float = 0.25):
        self.interval, self.floor, self.rank_floor = interval, floor, rank_floor
        self.count, self.best_rank, self.warned = 0, {}, set()

    def state_dict(self) -> dict:
        """What exact resume needs."""
        return dict(count=self.count, best_rank=dict(self.best_rank), warned=sorted(self.warned))

    def load_state_dict(self, state: dict):
        """Restore `state_dict`."""
        self.count, self.best_rank, self.warned = state["count"], dict(state["best_rank"]), set(state["warned"])

    def after_step(self):
        """Measure on the teacher features that the model kept from this step."""
        self.count += 1
        if self.count % self.interval:
            return
        for level, feat in enumerate(unwrap(self.trainer.model).observed):
            spread, rank = feature_spread(feat), effective_rank(feat)
            for name, value in ((f"spread_level{level}", spread), (f"rank_level{level}", rank)):
                self.trainer.comm_info["model_output_dict"][name] = torch.tensor(value)
            self._warn(level, spread, rank)

    def _warn(self, level, spread, rank):
        best = self.best_rank[str(level)] = max(rank, self.best_rank.get(str(level), 0.0))
        if level in self.warned or (spread >= self.floor and rank >= self.rank_floor * best):
            return
        self.warned.add(level)
        logger.warning(
            "Level %d may be collapsing: spread %.2f (floor %.2f), effective rank %.1f (highest so far %.1f); try "
            "target_norm='batch', a lower learning rate, or a teacher momentum nearer 1.",
            level, spread, self.floor, rank, best,
        )  # fmt: skip
