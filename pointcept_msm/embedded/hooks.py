"""The embedded host's hooks, with Pointcept's names, arguments and tags: the base class, log lines, timing."""

import time

from pointcept_msm.embedded.registry import HOOKS


class HookBase:
    """Receives the trainer's events; `trainer` is a weak proxy that the trainer sets when it registers the hook.

    A hook with `state_dict()` / `load_state_dict(state)` is saved and restored by MSMCheckpointer.
    """

    trainer = None

    def before_train(self): ...

    def before_epoch(self): ...

    def before_step(self): ...

    def after_step(self): ...

    def after_epoch(self): ...

    def after_train(self): ...


@HOOKS.register_module()
class InformationWriter(HookBase):
    """A line and the tensorboard scalars of every `cfg.log_every`-th iteration."""

    def __init__(self):
        self.count = 0

    def before_train(self):
        self.trainer.comm_info["iter_info"] = ""
        self.count = self.trainer.start_epoch * len(self.trainer.train_loader) + self.trainer.start_iter

    def before_step(self):
        self.count += 1
        trainer = self.trainer
        trainer.comm_info["iter_info"] = (
            f"Train: [{trainer.epoch + 1}/{trainer.max_epoch}]"
            f"[{trainer.comm_info['iter'] + 1}/{len(trainer.train_loader)}] "
        )

    def after_step(self):
        if self.count != 1 and self.count % self.trainer.cfg.log_every:
            return  # numbers are read, and so the device waited for, only when they are written
        values = {key: float(value) for key, value in self.trainer.comm_info["model_output_dict"].items()}
        lr = self.trainer.optimizer.param_groups[0]["lr"]
        scalars = "".join(f"{key}: {value:.4f} " for key, value in values.items())
        self.trainer.logger.info(f"{self.trainer.comm_info['iter_info']}{scalars}Lr: {lr:.3g}")
        if self.trainer.writer is not None:
            for key, value in [*((f"train_batch/{key}", value) for key, value in values.items()), ("params/lr", lr)]:
                self.trainer.writer.add_scalar(key, value, self.count)


@HOOKS.register_module()
class IterationTimer(HookBase):
    """Time for data, time of the step and time left, in the log line.

    `warmup_iter`: iterations at the start of each epoch that the averages leave out.
    """

    def __init__(self, warmup_iter=1):
        self.warmup_iter = warmup_iter
        self.last = time.perf_counter()
        self.data, self.times = 0.0, []  # this step's, and (data, whole step) of the steps that count

    def before_epoch(self):
        self.last = time.perf_counter()

    def before_step(self):
        self.data = time.perf_counter() - self.last

    def after_step(self):
        now, info = time.perf_counter(), self.trainer.comm_info
        step, self.last = now - self.last, now
        if info["iter"] <= self.warmup_iter:
            self.times = []
        self.times.append((self.data, step))
        data_mean, step_mean = (sum(column) / len(self.times) for column in zip(*self.times))
        done = self.trainer.epoch * len(self.trainer.train_loader) + info["iter"] + 1
        left = int((self.trainer.max_iter - done) * step_mean)
        clock = f"{left // 3600:02d}:{left % 3600 // 60:02d}:{left % 60:02d}"
        info["iter_info"] = info.get("iter_info", "") + (
            f"Data {self.data:.3f} ({data_mean:.3f}) Batch {step:.3f} ({step_mean:.3f}) Remain {clock} "
        )
