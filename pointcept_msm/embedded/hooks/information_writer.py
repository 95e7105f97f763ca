"""InformationWriter: the scalars of a step into the log, tensorboard and the storage (Pointcept's names and tags)."""

from pointcept_msm.embedded.hooks.base import HookBase
from pointcept_msm.embedded.registry import HOOKS


@HOOKS.register_module()
class InformationWriter(HookBase):
    """Writes a line and the tensorboard scalars every `cfg.log_every` iterations, and the means of each epoch."""

    def __init__(self):
        self.curr_iter = 0
        self.output_keys = []

    def before_train(self):
        self.trainer.comm_info["iter_info"] = ""
        per_epoch = len(self.trainer.train_loader)
        self.curr_iter = self.trainer.start_epoch * per_epoch + getattr(self.trainer, "start_iter", 0)

    def before_step(self):
        self.curr_iter += 1
        trainer = self.trainer
        trainer.comm_info["iter_info"] = (
            f"Train: [{trainer.epoch + 1}/{trainer.max_epoch}]"
            f"[{trainer.comm_info['iter'] + 1}/{len(trainer.train_loader)}] "
        )

    def after_step(self):
        output = self.trainer.comm_info.get("model_output_dict", {})
        self.output_keys = list(output)
        for key, value in output.items():
            self.trainer.storage.put_scalar(key, value.detach())  # read (and so synchronised) only when written
        if self.curr_iter == 1 or self.curr_iter % self.trainer.cfg.get("log_every", 1) == 0:
            self.write_step()

    def write_step(self):
        values = {key: self.trainer.storage.history(key).val for key in self.output_keys}
        lr = self.trainer.optimizer.param_groups[0]["lr"]
        scalars = "".join(f"{key}: {value:.4f} " for key, value in values.items())
        line = f"{self.trainer.comm_info['iter_info']}{scalars}Lr: {lr:.3g}"
        self.trainer.logger.info(line, extra={"step_line": True})
        self.add_scalars("train_batch/", values, self.curr_iter)
        self.add_scalars("params/", {"lr": lr}, self.curr_iter)

    def after_epoch(self):
        means = {key: self.trainer.storage.history(key).avg for key in self.output_keys}
        if means:
            self.trainer.logger.info("Train result: " + " ".join(f"{k}: {v:.4f}" for k, v in means.items()))
        self.add_scalars("train/", means, self.trainer.epoch + 1)

    def add_scalars(self, tag, values, step):
        if self.trainer.writer is not None:
            for key, value in values.items():
                self.trainer.writer.add_scalar(tag + key, value, step)
