"""IterationTimer: data time, step time and time left, in the log line and the storage (Pointcept's names)."""

import time

from pointcept_msm.embedded.hooks.base import HookBase
from pointcept_msm.embedded.registry import HOOKS


@HOOKS.register_module()
class IterationTimer(HookBase):
    """`warmup_iter`: iterations at the start of each epoch that the averages leave out."""

    def __init__(self, warmup_iter=1):
        self.warmup_iter = warmup_iter
        self.last = time.perf_counter()

    def before_epoch(self):
        self.last = time.perf_counter()

    def before_step(self):
        self.trainer.storage.put_scalar("data_time", time.perf_counter() - self.last)

    def after_step(self):
        storage, info = self.trainer.storage, self.trainer.comm_info
        now = time.perf_counter()
        storage.put_scalar("batch_time", now - self.last)
        self.last = now
        if "iter_info" in info:
            info["iter_info"] += self.describe(storage)
        if info["iter"] <= self.warmup_iter:
            storage.history("data_time").reset()
            storage.history("batch_time").reset()

    def describe(self, storage):
        data, batch = storage.history("data_time"), storage.history("batch_time")
        per_epoch = len(self.trainer.train_loader)
        done = self.trainer.epoch * per_epoch + self.trainer.comm_info["iter"] + 1
        left = int((self.trainer.max_iter - done) * batch.avg)
        clock = f"{left // 3600:02d}:{left % 3600 // 60:02d}:{left % 60:02d}"
        return f"Data {data.val:.3f} ({data.avg:.3f}) Batch {batch.val:.3f} ({batch.avg:.3f}) Remain {clock} "
