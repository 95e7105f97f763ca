"""MSMMaskingHook: mask ratio and patch size over the run (Fig. 8; Sonata ramps both)."""

from pointcept_msm.host import HOOKS, HookBase, register

from .progress import run_progress, unwrap


def ramp(value, progress: float, warmup: float) -> float:
    """value: a number, or (start, end) raised linearly over the first `warmup` share of the run."""
    if not isinstance(value, (tuple, list)):
        return value
    start, end = value
    share = 1.0 if warmup <= 0 else min(progress / warmup, 1.0)
    return start + (end - start) * share


@register(HOOKS, "MSMMaskingHook")
class MSMMaskingHook(HookBase):
    """ratio, patch (metres): None leaves the model's own value; a number sets it; (start, end) is a ramp over the first
    `warmup` share of the run."""

    def __init__(self, ratio=None, patch=None, warmup: float = 0.05):
        for name, value in (("ratio", ratio), ("patch", patch)):
            if isinstance(value, (tuple, list)) and len(value) != 2:
                raise ValueError(f"MSMMaskingHook {name} is {value}; give None, a number, or (start, end).")
        self.ratio, self.patch, self.warmup = ratio, patch, warmup

    def before_step(self):
        """Set the coming step's values."""
        model, progress = unwrap(self.trainer.model), run_progress(self.trainer)
        if self.ratio is not None:
            model.mask_ratio = ramp(self.ratio, progress, self.warmup)
        if self.patch is not None:
            model.mask_patch = ramp(self.patch, progress, self.warmup)
