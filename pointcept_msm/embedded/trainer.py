"""The embedded host's DefaultTrainer: Pointcept's constructor order, attributes, configuration keys and life cycle.

Beyond it: it runs on a CPU, resumes exactly where it was, ends at `max_steps`, and leaves out a step whose loss or
gradient is not finite.
"""

import logging
import os
import weakref
from contextlib import nullcontext
from functools import partial

import torch
from torch.nn.parallel import DistributedDataParallel
from torch.utils.tensorboard import SummaryWriter

from pointcept_msm.embedded.loader import SceneError, build_train_loader, build_val_loader
from pointcept_msm.embedded.optimizer import build_optimizer
from pointcept_msm.embedded.registry import HOOKS, SCHEDULERS, TRAINERS, build_model
from pointcept_msm.runtime import comm
from pointcept_msm.runtime.environment import close_log, describe_environment, open_log
from pointcept_msm.runtime.errors import UserError
from pointcept_msm.runtime.training_state import format_config, restore_hooks_and_rng


@TRAINERS.register_module(["DefaultTrainer", "MSMTrainer"], force=True)  # a module may be loaded twice
class DefaultTrainer:
    """Trains `cfg.model` on `cfg.data.train` for `cfg.eval_epoch` trainer epochs, calling `cfg.hooks` on the way.

    `global_step` counts optimizer steps really taken, `next_iter` is the iteration to go on with in this epoch.
    """

    resumes_exactly = True

    def __init__(self, cfg):
        # oneDNN keeps a compiled product for every shape, and every scene has others: it must be told before its first.
        os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "0")
        self.cfg, self.device = cfg, torch.device("cpu")
        if torch.cuda.is_available():
            self.device = torch.device("cuda", torch.cuda.current_device())
        self.epoch, self.start_epoch, self.max_epoch = 0, 0, cfg.eval_epoch
        self.start_iter, self.next_iter, self.global_step = 0, 0, 0
        self.skipped_steps, self.skipped_in_row = 0, 0
        self.best_metric_value = -torch.inf
        self.comm_info, self.hooks, self.resume_state, self.resumed_from = {}, [], None, None
        self._gradient_accumulation_counter, self._scenes, self._losses = 0, [], []
        self.logger = open_log(os.path.join(cfg.save_path, "train.log"), append=bool(cfg.resume))
        self.logger.info(describe_environment())
        self.logger.info(f"Save path: {cfg.save_path}, seed {cfg.seed}, {comm.get_world_size()} process(es)")
        for change in cfg.get("resume_changes") or ():
            self.logger.warning(change)
        self.logger.info(f"Config:\n{format_config(cfg)}", extra={"file_only": True})
        half = getattr(torch, cfg.amp_dtype) if cfg.enable_amp and self.device.type == "cuda" else None
        self.autocast = partial(torch.autocast, "cuda", half) if half else nullcontext
        self.scaler = torch.amp.GradScaler() if half == torch.float16 else None
        self.model = self.build_model()
        self.writer = SummaryWriter(cfg.save_path) if comm.is_main_process() else None
        self.train_loader = self.build_train_loader()
        self.val_loader = self.build_val_loader()
        iterations, accumulate = len(self.train_loader) * self.max_epoch, cfg.gradient_accumulation_steps
        self.total_steps = min(iterations // accumulate, iterations if cfg.max_steps is None else cfg.max_steps)
        self.max_iter = iterations if cfg.max_steps is None else min(iterations, self.total_steps * accumulate)
        if self.total_steps < 1:
            raise UserError(
                f"no step would be taken: {iterations} iterations, gradient_accumulation_steps {accumulate}, max_steps "
                f"{cfg.max_steps}; give more data or epochs, or accumulate less."
            )
        self.optimizer = build_optimizer(cfg.optimizer, self.model, cfg.param_dicts)
        cfg.scheduler.total_steps = self.total_steps  # where Pointcept's hooks look for it
        self.scheduler = SCHEDULERS.build(dict(cfg.scheduler, optimizer=self.optimizer))
        self.register_hooks(cfg.hooks)

    def build_model(self):
        model = build_model(self.cfg.model).to(self.device)
        trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
        self.logger.info(f"Model: {trainable:,} trainable parameters on {self.device}")
        if comm.get_world_size() == 1:
            return model
        return DistributedDataParallel(
            model,
            device_ids=[self.device.index] if self.device.type == "cuda" else None,
            broadcast_buffers=False,
            find_unused_parameters=self.cfg.find_unused_parameters,
        )

    def build_train_loader(self):
        return build_train_loader(self.cfg)

    def build_val_loader(self):
        return build_val_loader(self.cfg)

    def register_hooks(self, cfg_list):
        for cfg in cfg_list:
            hook = HOOKS.build(dict(cfg))
            hook.trainer = weakref.proxy(self)  # a hook must not keep its trainer alive
            self.hooks.append(hook)
        wants = "resume is on" if self.cfg.resume else f"weight is {self.cfg.weight}" if self.cfg.weight else None
        if wants and not any(type(hook).__name__ == "CheckpointLoader" for hook in self.hooks):
            raise UserError(f"{wants}, but no hook loads it: add dict(type='CheckpointLoader') to hooks.")
        self.hooks.sort(key=lambda hook: getattr(hook, "runs_last", False))  # a checkpoint must see what the others did

    def train(self):
        """Run to the end, or to `max_steps`. An error is written to train.log with its traceback, then raised."""
        try:
            self.before_train()
            for epoch in range(self.start_epoch, self.max_epoch):
                if self.is_finished() and not (epoch == self.start_epoch and self.start_iter):
                    break
                self.run_epoch(epoch)
            comm.synchronize()
            self._call("after_train")
        except Exception:
            self.logger.exception("The run ended with an error", extra={"file_only": True})
            raise
        finally:
            self.close()

    def close(self):
        """End data workers, close writer and log; safe to call twice."""
        iterator = getattr(self.train_loader, "_iterator", None)
        if iterator is not None:  # left to the interpreter's end they would be killed, which torch takes for an error
            iterator._shutdown_workers()
        if self.writer is not None:
            self.writer.close()
        close_log()

    def is_finished(self):
        """Whether `max_steps` ended the run."""
        return self.cfg.max_steps is not None and self.global_step >= self.total_steps

    def before_train(self):
        self._call("before_train")
        if self.resume_state:
            restore_hooks_and_rng(self, self.resume_state)
        else:
            self.logger.info(f"Training for {self.total_steps} steps in {self.max_epoch} epoch(s)")

    def run_epoch(self, epoch):
        self.epoch = epoch
        self.next_iter = self.start_iter if self.epoch == self.start_epoch else 0
        self.train_loader.sampler.set_epoch(self.epoch, skip=self.next_iter * self.train_loader.batch_size)
        self.model.train()
        self._call("before_epoch")
        if not self.is_finished():
            self.run_steps()
        self._call("after_epoch")

    def run_steps(self):
        """The rest of the epoch's iterations."""
        try:
            for batch in self.train_loader:
                if isinstance(batch, SceneError):
                    raise batch
                self.comm_info.update(iter=self.next_iter, input_dict=batch)
                self._call("before_step")
                self.run_step()
                self.next_iter += 1
                self._call("after_step")
                if self.is_finished():
                    break
        except (RuntimeError, ConnectionError, EOFError) as error:  # whichever of torch's looks comes first
            if isinstance(error, RuntimeError) and "DataLoader worker" not in str(error):
                raise
            raise UserError(
                f"a data worker ended ({error}), as when memory runs out: lower num_worker, then go on with -r true; "
                "num_worker=0 shows an error of its own."
            ) from error

    def run_step(self):
        """One forward and backward pass, and the optimizer's step when enough gradients are accumulated."""
        batch = self.comm_info["input_dict"]
        for key, value in batch.items():
            if isinstance(value, torch.Tensor):
                batch[key] = value.to(self.device, non_blocking=True)
        if self._gradient_accumulation_counter == 0:
            self.optimizer.zero_grad()
        with self.autocast():
            output = self.model(batch)
        loss = output["loss"] / self.cfg.gradient_accumulation_steps
        (self.scaler.scale(loss) if self.scaler else loss).backward()
        self._losses.append(loss.detach())
        self._scenes.extend(map(str, batch.get("name", ())))
        self._gradient_accumulation_counter += 1
        if self._gradient_accumulation_counter >= self.cfg.gradient_accumulation_steps:
            self.take_step()
        # Without its graph: hooks hold the output until the next one, and the graph holds the step's index tables.
        self.comm_info["model_output_dict"] = {key: value.detach() for key, value in output.items()}

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
        what = "gradient" if finite_loss else "loss"
        scenes = ", ".join(name for names in comm.all_gather(self._scenes) for name in names)
        overflow = self.scaler and finite_loss  # now and then part of float16: the loss scale is lowered
        self.logger.log(
            logging.INFO if overflow else logging.WARNING,
            f"Skipped an optimizer step after step {self.global_step}: {what} is NaN or infinite "
            f"({self.skipped_in_row} in a row, {self.skipped_steps} in all); scenes: {scenes or 'unnamed'}",
        )
        if self.skipped_in_row > self.cfg.max_skipped:
            raise UserError(
                f"the {what} was NaN or infinite {self.skipped_in_row} times in a row (max_skipped is "
                f"{self.cfg.max_skipped}): lower the learning rate, set clip_grad, use amp_dtype='bfloat16', or check "
                "the scenes in train.log."
            )

    def _call(self, event):
        for hook in self.hooks:
            getattr(hook, event)()
