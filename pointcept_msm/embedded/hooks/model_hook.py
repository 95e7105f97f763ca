"""ModelHook: forwards the training events to a model that is itself a hook (Pointcept's name and behaviour)."""

import weakref

from pointcept_msm.embedded.hooks.base import HookBase
from pointcept_msm.embedded.registry import HOOKS


@HOOKS.register_module()
class ModelHook(HookBase):
    """Must come after CheckpointLoader, so that the model's before_train sees the loaded weights."""

    def before_train(self):
        model = getattr(self.trainer.model, "module", self.trainer.model)
        self.model = weakref.proxy(model) if isinstance(model, HookBase) else HookBase()
        self.model.trainer = self.trainer
        self.model.before_train()

    def before_epoch(self):
        self.model.before_epoch()

    def before_step(self):
        self.model.before_step()

    def after_step(self):
        self.model.after_step()

    def after_epoch(self):
        self.model.after_epoch()

    def after_train(self):
        self.model.after_train()
