"""MSMTeacherHook: the teacher follows the student after every real optimiser step."""

import math

from pointcept_msm.host import HOOKS, HookBase, register

from .progress import total_optimizer_steps, unwrap


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
            raise ValueError(f"Teacher momentum {momentum} -> {final}; give 0 <= momentum <= final <= 1.")
        self.start, self.final = momentum, final

    def before_train(self):
        """Attach to the optimiser; the model must have been restored by now."""
        model = self.model = unwrap(self.trainer.model)
        total = total_optimizer_steps(self.trainer)
        model.momentum = cosine_momentum(int(model.train_step), total, self.start, self.final)

        def follow(optimizer, args, kwargs):
            model.update_teacher(cosine_momentum(int(model.train_step), total, self.start, self.final))
            model.train_step += 1

        self.handle = self.trainer.optimizer.register_step_post_hook(follow)

    def after_train(self):
        """Detach."""
        self.handle.remove()
