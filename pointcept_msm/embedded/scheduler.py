"""Learning-rate schedules with Pointcept's names and arguments; every one is told `total_steps` by the trainer."""

import math

from torch.optim import lr_scheduler

from pointcept_msm.embedded.registry import SCHEDULERS


def build_scheduler(cfg, optimizer):
    """Build `cfg.type` for the optimizer; `cfg.total_steps` counts optimizer steps."""
    return SCHEDULERS.build(dict(dict(cfg), optimizer=optimizer))


@SCHEDULERS.register_module()
class MultiStepLR(lr_scheduler.MultiStepLR):
    """Times `gamma` at each milestone, given as a share of `total_steps`."""

    def __init__(self, optimizer, milestones, total_steps, gamma=0.1, last_epoch=-1):
        super().__init__(optimizer, [int(share * total_steps) for share in milestones], gamma, last_epoch)


@SCHEDULERS.register_module()
class MultiStepWithWarmupLR(lr_scheduler.LambdaLR):
    """MultiStepLR after a linear warm-up from `warmup_scale` over `warmup_rate` of the steps."""

    def __init__(
        self, optimizer, milestones, total_steps, gamma=0.1, warmup_rate=0.05, warmup_scale=1e-6, last_epoch=-1
    ):
        warmup = warmup_rate * total_steps

        def factor(step):
            decay = gamma ** sum(step >= share * total_steps for share in milestones)
            ramp = 1 - (1 - step / warmup) * (1 - warmup_scale) if warmup and step <= warmup else 1.0
            return ramp * decay

        super().__init__(optimizer, factor, last_epoch)


@SCHEDULERS.register_module()
class PolyLR(lr_scheduler.LambdaLR):
    """(1 - step / (total + 1)) ** power."""

    def __init__(self, optimizer, total_steps, power=0.9, last_epoch=-1):
        super().__init__(optimizer, lambda step: (1 - step / (total_steps + 1)) ** power, last_epoch)


@SCHEDULERS.register_module()
class ExpLR(lr_scheduler.LambdaLR):
    """gamma ** (step / total)."""

    def __init__(self, optimizer, total_steps, gamma=0.9, last_epoch=-1):
        super().__init__(optimizer, lambda step: gamma ** (step / total_steps), last_epoch)


@SCHEDULERS.register_module()
class CosineAnnealingLR(lr_scheduler.CosineAnnealingLR):
    """Half a cosine from the base rate to `eta_min`."""

    def __init__(self, optimizer, total_steps, eta_min=0, last_epoch=-1):
        super().__init__(optimizer, total_steps, eta_min, last_epoch)


def settle_warmup(total_steps, pct_start=0.3, three_phase=False):
    """`pct_start` and `three_phase` for torch's OneCycleLR: a warm-up of less than one step is no warm-up.

    Such a run starts at `max_lr` and only comes down. Torch itself divides by zero when `pct_start * total_steps` is 1,
    and starts somewhere on the way down when it is less. ValueError: no share.
    """
    if isinstance(pct_start, bool) or not isinstance(pct_start, (int, float)) or not 0 <= pct_start <= 1:
        raise ValueError(f"OneCycleLR pct_start is {pct_start!r}: give the share of warm-up steps, from 0 to 1.")
    if pct_start * total_steps > 1:
        return dict(pct_start=float(pct_start), three_phase=three_phase)
    return dict(pct_start=(1 - 1e-9) / max(total_steps, 2), three_phase=False)  # the way down starts at step -1e-9


@SCHEDULERS.register_module()
class OneCycleLR(lr_scheduler.OneCycleLR):
    """Torch's OneCycleLR, for runs of any length; a list `max_lr` needs one entry a parameter group, 1 +
    len(param_dicts).

    Beyond torch's: see `settle_warmup`, and a run of one step takes it at `max_lr`.
    """

    def __init__(
        self,
        optimizer,
        max_lr,
        total_steps,
        pct_start=0.3,
        anneal_strategy="cos",
        cycle_momentum=True,
        base_momentum=0.85,
        max_momentum=0.95,
        div_factor=25.0,
        final_div_factor=1e4,
        three_phase=False,
        last_epoch=-1,
    ):
        super().__init__(
            optimizer,
            max_lr,
            total_steps=max(total_steps, 2),  # the last of them is taken at nearly nothing
            anneal_strategy=anneal_strategy,
            cycle_momentum=cycle_momentum,
            base_momentum=base_momentum,
            max_momentum=max_momentum,
            div_factor=div_factor,
            final_div_factor=final_div_factor,
            last_epoch=last_epoch,
            **settle_warmup(total_steps, pct_start, three_phase),
        )

    def get_lr(self):
        """The rates of the next step; after the last one they stay: the phase that torch would go on with may be of
        no length."""
        return self.get_last_lr() if self.last_epoch == self.total_steps else super().get_lr()


@SCHEDULERS.register_module()
class CosineScheduler:
    """A plain scalar schedule: linear warm-up, half a cosine from base to final, then a frozen tail.

    `get(i)` is the value at iteration i (the final value beyond the end); `step()` returns the next one.
    """

    def __init__(
        self, base_value, final_value, total_iters, start_value=0, warmup_iters=0, freeze_value=None, freeze_iters=0
    ):
        self.base_value, self.final_value, self.total_iters = base_value, final_value, total_iters
        self.start_value, self.warmup_iters, self.freeze_iters = start_value, warmup_iters, freeze_iters
        self.freeze_value = final_value if freeze_value is None else freeze_value
        self.iter = 0

    def get(self, it):
        if it >= self.total_iters:
            return self.final_value
        if it < self.warmup_iters:
            share = it / max(self.warmup_iters - 1, 1)
            return self.start_value + (self.base_value - self.start_value) * share
        if it >= self.total_iters - self.freeze_iters:
            return self.freeze_value
        length = self.total_iters - self.warmup_iters - self.freeze_iters
        phase = math.cos(math.pi * (it - self.warmup_iters) / length)
        return self.final_value + 0.5 * (self.base_value - self.final_value) * (1 + phase)

    def step(self):
        self.iter += 1
        return self.get(self.iter - 1)

    def reset(self):
        self.iter = 0

    def __getitem__(self, it):
        return self.get(it)
