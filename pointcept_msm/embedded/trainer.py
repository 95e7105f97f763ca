"""The embedded host's DefaultTrainer: Pointcept's constructor order, attributes, configuration keys and life cycle.

Beyond it: it runs on a CPU, resumes exactly where it was, ends at `max_steps`, and leaves out a step whose loss or
gradient is not finite.
"""

import copy
import logging
import os
import weakref
from contextlib import nullcontext, suppress

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from pointcept_msm.embedded.batches import read_batches
from pointcept_msm.embedded.event_writer import build_event_writer
from pointcept_msm.embedded.hooks import HookBase, build_hooks
from pointcept_msm.embedded.loader import SceneError, build_train_loader, build_val_loader, stop_workers
from pointcept_msm.embedded.logger import build_logger, close_logger
from pointcept_msm.embedded.optimizer import build_optimizer
from pointcept_msm.embedded.progress import ProgressBar
from pointcept_msm.embedded.registry import MODELS, TRAINERS
from pointcept_msm.embedded.scheduler import build_scheduler
from pointcept_msm.embedded.storage import EventStorage
from pointcept_msm.runtime import comm
from pointcept_msm.runtime.environment import describe_environment
from pointcept_msm.runtime.freed_memory import limit_kernel_cache, release_freed_memory
from pointcept_msm.runtime.training_state import restore_or_explain

AMP_DTYPE = {"float16": torch.float16, "bfloat16": torch.bfloat16}


@TRAINERS.register_module("DefaultTrainer")
class DefaultTrainer:
    """Trains `cfg.model` on `cfg.data.train` for `cfg.eval_epoch` trainer epochs, calling `cfg.hooks` on the way.

    `global_step` counts optimizer steps really taken, `next_iter` is the iteration to go on with in this epoch.
    """

    resumes_exactly = True

    def __init__(self, cfg):
        limit_kernel_cache()
        self.cfg = cfg
        self.device = comm.get_device()
        self.epoch, self.start_epoch, self.max_epoch = 0, 0, cfg.eval_epoch
        self.start_iter, self.next_iter, self.global_step = 0, 0, 0
        self.skipped_steps, self.skipped_in_row = 0, 0
        self.best_metric_value = -torch.inf
        self.comm_info, self.hooks, self.resume_state, self.resumed_from = {}, [], None, None
        self._gradient_accumulation_counter, self._scenes, self._losses = 0, [], []
        self.logger = build_logger(os.path.join(cfg.save_path, "train.log"), append=bool(cfg.resume))
        self.storage = EventStorage()
        with self._errors_logged():
            self._build()

    def _build(self):
        self.logger.info(describe_environment())
        self.logger.info(f"Save path: {self.cfg.save_path}, seed {self.cfg.seed}, {comm.get_world_size()} process(es)")
        for change in self.cfg.get("resume_changes") or ():
            self.logger.warning(change)
        self.logger.info(f"Config:\n{self.cfg.pretty_text}", extra={"file_only": True})
        self.autocast, scaled = self._choose_precision()
        self.model = self.build_model()
        self.writer = self.build_writer()
        self.train_loader = self.build_train_loader()
        self.val_loader = self.build_val_loader()
        self.max_iter = len(self.train_loader) * self.max_epoch
        self.total_steps = self._count_steps()
        if self.cfg.get("max_steps") is not None:
            self.max_iter = min(self.max_iter, self.total_steps * self.cfg.gradient_accumulation_steps)
        self.optimizer = self.build_optimizer()
        self.scheduler = self.build_scheduler()
        self.scaler = torch.amp.GradScaler(self.device.type) if scaled else None
        self.register_hooks(self.cfg.hooks)

    # ---- parts, each open to a subclass ----

    def build_model(self):
        model = MODELS.build(copy.deepcopy(self.cfg.model))
        if self.cfg.sync_bn and self.device.type == "cuda":
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        model = model.to(self.device)
        trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
        self.logger.info(f"Model: {trainable:,} trainable parameters on {self.device}")
        if comm.get_world_size() == 1:
            return model
        return DistributedDataParallel(
            model,
            device_ids=[comm.get_local_rank()] if self.device.type == "cuda" else None,
            broadcast_buffers=False,
            find_unused_parameters=self.cfg.find_unused_parameters,
        )

    def build_writer(self):
        if self.cfg.enable_wandb:
            self.logger.warning("enable_wandb is read in the Pointcept host only; see metrics.jsonl and tensorboard.")
        if not comm.is_main_process():
            return None
        return build_event_writer(self.cfg.save_path)

    def build_train_loader(self):
        return build_train_loader(self.cfg)

    def build_val_loader(self):
        return build_val_loader(self.cfg)

    def build_optimizer(self):
        return build_optimizer(self.cfg.optimizer, self.model, self.cfg.param_dicts)

    def build_scheduler(self):
        self.cfg.scheduler.total_steps = self.total_steps  # where Pointcept's hooks look for it
        return build_scheduler(self.cfg.scheduler, self.optimizer)

    def register_hooks(self, cfg_list):
        for hook in build_hooks(cfg_list):
            if not isinstance(hook, HookBase):
                raise TypeError(
                    f"hook {type(hook).__name__} is not a HookBase: derive it from pointcept_msm.host.HookBase."
                )
            hook.trainer = weakref.proxy(self)  # a hook must not keep its trainer alive
            self.hooks.append(hook)
        if self.cfg.resume and not any(type(hook).__name__ == "CheckpointLoader" for hook in self.hooks):
            raise ValueError(
                "resume is on, but no hook loads the checkpoint: add dict(type='CheckpointLoader') to hooks."
            )
        self.hooks.sort(key=lambda hook: getattr(hook, "runs_last", False))  # a checkpoint must see what the others did

    def _count_steps(self):
        steps = self.max_iter // self.cfg.gradient_accumulation_steps
        limit = self.cfg.get("max_steps")
        if limit is not None and limit < 1:
            raise ValueError(
                f"max_steps is {limit}: give a positive number of optimizer steps, or None for all epochs."
            )
        steps = steps if limit is None else min(steps, limit)
        if steps < 1:
            raise ValueError(
                f"the run has {self.max_iter} iterations, fewer than gradient_accumulation_steps "
                f"({self.cfg.gradient_accumulation_steps}): give more data or epochs, or accumulate less."
            )
        return steps

    def _choose_precision(self):
        """(autocast context factory, whether the loss is scaled); half precision on a CPU only when asked for."""
        if self.cfg.amp_dtype not in AMP_DTYPE:
            raise ValueError(f"amp_dtype is {self.cfg.amp_dtype!r}: choose from {', '.join(AMP_DTYPE)}.")
        on_gpu, half = self.device.type == "cuda", self.cfg.amp_dtype == "float16"
        if not self.cfg.enable_amp:
            return nullcontext, False
        if not on_gpu and (half or not self.cfg.get("amp_on_cpu", False)):
            self.logger.info("Training in float32: this is a CPU (bfloat16 there needs amp_on_cpu=True).")
            return nullcontext, False
        return lambda: torch.autocast(self.device.type, AMP_DTYPE[self.cfg.amp_dtype]), half

    # ---- the loop ----

    def train(self):
        """Run to the end, or to `max_steps`. An error is written to train.log with its traceback, then raised."""
        with self._errors_logged(), self.storage:
            self.before_train()
            done = self.start_epoch * len(self.train_loader) + self.start_iter
            self.bar = ProgressBar(self.max_iter, done, self.cfg.get("log_every", 1))
            for epoch in range(self.start_epoch, self.max_epoch):
                if self.is_finished() and not (epoch == self.start_epoch and self.start_iter):
                    break
                self.run_epoch(epoch)
            self.after_train()

    def is_finished(self):
        """Whether `max_steps` ended the run."""
        return self.cfg.get("max_steps") is not None and self.global_step >= self.total_steps

    def before_train(self):
        self._call("before_train")
        if self.resume_state:
            restore_or_explain(self, self.resume_state)
        if not self.start_epoch and not self.start_iter:
            self.logger.info(f"Training for {self.total_steps} steps in {self.max_epoch} epoch(s)")

    def run_epoch(self, epoch):
        self.epoch = epoch
        self.next_iter = self.start_iter if self.epoch == self.start_epoch else 0
        self.train_loader.sampler.set_epoch(self.epoch, skip=self.next_iter * self.train_loader.batch_size)
        self.model.train()
        self._call("before_epoch")
        if not self.is_finished():
            self.run_steps()
        self.after_epoch()

    def run_steps(self):
        """The rest of the epoch's iterations; when the data fails, what is done is saved before the error goes on."""
        self.data_iterator = read_batches(self)
        try:
            for iteration, batch in self.data_iterator:
                self.comm_info.update(iter=iteration, input_dict=batch)
                self._call("before_step")
                self.run_step()
                self.next_iter += 1
                self.bar.update(self.comm_info["model_output_dict"]["loss"])
                self._call("after_step")
                if self.is_finished():
                    break
        except SceneError as error:
            self.logger.error(f"{error}\n{error.details}", extra={"file_only": True})
            if comm.get_world_size() == 1:  # elsewhere the others are in the middle of a step
                for hook in self.hooks:
                    getattr(hook, "before_abort", lambda: None)()
            raise

    def run_step(self):
        """One forward and backward pass, and the optimizer's step when enough gradients are accumulated."""
        batch = self.comm_info["input_dict"]
        for key, value in batch.items():
            if isinstance(value, torch.Tensor):
                batch[key] = value.to(self.device, non_blocking=True)
        if self._gradient_accumulation_counter == 0:
            self.optimizer.zero_grad()
        output = self.run_model(batch)
        loss = output["loss"] / self.cfg.gradient_accumulation_steps
        (self.scaler.scale(loss) if self.scaler else loss).backward()
        self._losses.append(loss.detach())
        self._scenes.extend(_scene_names(batch))
        self._gradient_accumulation_counter += 1
        self.comm_info["step_taken"] = False
        if self._gradient_accumulation_counter >= self.cfg.gradient_accumulation_steps:
            self.take_step()
        if self.cfg.empty_cache:
            torch.cuda.empty_cache()
        if self.device.type == "cpu":
            release_freed_memory(self.next_iter)
        # Without its graph: hooks hold the output until the next one, and the graph holds the step's index tables.
        self.comm_info["model_output_dict"] = {key: value.detach() for key, value in output.items()}

    def run_model(self, batch):
        """The model's output; what it refuses is said with the names of the scenes."""
        try:
            with self.autocast():
                return self.model(batch)
        except ValueError as error:
            raise ValueError(f"{error} (scenes: {', '.join(_scene_names(batch)) or 'unnamed'})") from error

    def take_step(self):
        """Optimizer and schedule forward by one, unless the loss or the gradient is not finite."""
        if self.scaler:
            self.scaler.unscale_(self.optimizer)
        limit = self.cfg.clip_grad if self.cfg.clip_grad is not None else float("inf")
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), limit)
        finite_loss, finite_norm = self._are_finite(sum(self._losses), norm)
        if finite_loss and finite_norm:
            self.scaler.step(self.optimizer) if self.scaler else self.optimizer.step()
            self.scheduler.step()
            self.global_step += 1
            self.skipped_in_row = 0
            self.comm_info["step_taken"] = True
        else:
            self._skip_step(finite_loss)
        if self.scaler:
            self.scaler.update()
        self._gradient_accumulation_counter, self._scenes, self._losses = 0, [], []

    def _are_finite(self, *values):
        """Whether each is finite in every process: one read from the device for an optimizer step.

        The read cannot be saved: teacher and schedule must know whether the step counts.
        """
        broken = ~torch.stack([value.detach().float().reshape(()) for value in values]).isfinite()
        return [count == 0 for count in comm.reduce_sum_(broken.int()).tolist()]

    def _skip_step(self, finite_loss):
        self.skipped_steps += 1
        self.skipped_in_row += 1
        limit, what = self.cfg.get("max_skipped", 50), "gradient" if finite_loss else "loss"
        scenes = ", ".join(name for names in comm.all_gather(self._scenes) for name in names)
        overflow = self.scaler and finite_loss  # now and then part of float16: the loss scale is lowered
        self.logger.log(
            logging.INFO if overflow else logging.WARNING,
            f"Skipped an optimizer step after step {self.global_step}: {what} is NaN or infinite "
            f"({self.skipped_in_row} in a row, {self.skipped_steps} in all); scenes: {scenes or 'unnamed'}",
        )
        often = self.skipped_steps > limit and self.skipped_steps > self.global_step
        if self.skipped_in_row > limit or often:
            count = f"{self.skipped_in_row} times in a row" if self.skipped_in_row > limit else "in most steps"
            raise ValueError(
                f"the {what} was NaN or infinite {count} ({self.skipped_steps} in all, max_skipped is {limit}): "
                "lower the learning rate, set clip_grad, use amp_dtype='bfloat16', or check the scenes in train.log."
            )

    def after_epoch(self):
        self._call("after_epoch")
        self.storage.reset_histories()
        if self.cfg.empty_cache_per_epoch:
            torch.cuda.empty_cache()

    def after_train(self):
        comm.synchronize()
        self._call("after_train")
        self.close()

    def close(self):
        """Close workers, bar, writer and log; safe to call twice."""
        if hasattr(self, "train_loader"):
            stop_workers(self.train_loader)
        if getattr(self, "bar", None) is not None:
            self.bar.close()
        if getattr(self, "writer", None) is not None:
            self.writer.close()
        close_logger()

    def _call(self, event):
        for hook in self.hooks:
            getattr(hook, event)()

    def _errors_logged(self):
        return _ErrorsLogged(self)


class _ErrorsLogged:
    """Writes the traceback of an error to train.log only, and lets it go on to the caller."""

    def __init__(self, trainer):
        self.trainer = trainer

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if kind is None:
            return False
        if issubclass(kind, Exception):
            extra = {"file_only": True}
            self.trainer.logger.error("The run ended with an error", exc_info=(kind, error, traceback), extra=extra)
        with suppress(Exception):  # the first error is the one to report
            self.trainer.close()
        close_logger()
        return False


def _scene_names(batch):
    names = batch.get("name", [])
    return [names] if isinstance(names, str) else [str(name) for name in names]
