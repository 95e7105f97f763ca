"""MSMCheckpointer: checkpoints that survive kill -9, a full disk and a torn file, and from which a run goes on exactly.

In the embedded host a resumed run equals one that was never stopped. In the Pointcept host, whose loader position and
random states are out of reach, it saves after each epoch, as Pointcept's own saver does.
"""

import os
import signal
import sys
from pathlib import Path

import torch

from pointcept_msm.engines.export import count_steps, describe_network, export_networks
from pointcept_msm.files.atomic import copy_file, remove_leftovers, replace_file
from pointcept_msm.host import HOOKS, HookBase, register
from pointcept_msm.host.run_files import keep_train_config
from pointcept_msm.runtime import comm
from pointcept_msm.runtime.training_state import capture

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
NEW, LAST, PREVIOUS, BEST = "model_new.pth", "model_last.pth", "model_last.prev.pth", "model_best.pth"


def write_last(checkpoint, folder: Path, copies=()) -> None:
    """Put a new model_last.pth in place; the one until now becomes model_last.prev.pth. copies: further names for it.

    Killed at any moment, it leaves the last checkpoint or the new one, whole. OSError in one sentence: disk full.
    """
    with replace_file(folder / NEW) as file:
        torch.save(checkpoint, file)
    for name in copies:  # before the step counts as saved: a run that repeats it makes them again
        copy_file(folder / NEW, folder / name)
    if (folder / LAST).exists():
        copy_file(folder / LAST, folder / PREVIOUS)
    os.replace(folder / NEW, folder / LAST)


@register(HOOKS, "MSMCheckpointer")
class MSMCheckpointer(HookBase):
    """Keeps model/model_last.pth, the one before it and model_best.pth; exports the networks at the end.

    `every_steps`: also save inside an epoch, every so many optimizer steps (embedded host). SIGTERM, SIGINT and SIGHUP
    finish the step, save and end the run (embedded host). A disk without room costs a checkpoint and a warning, and
    ends the run only if the last one finds none.
    """

    runs_last = True

    def __init__(self, every_steps=None):
        self.every_steps = every_steps
        self.signal, self.saved_step, self.old_handlers = None, None, {}

    def before_train(self):
        trainer = self.trainer
        self.exact = getattr(trainer, "resumes_exactly", False)
        self.folder = Path(trainer.cfg.save_path) / "model"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.saved_step = count_steps(trainer)
        if comm.is_main_process():
            remove_leftovers(self.folder)
        if self.exact:
            self.catch_signals()
            source = getattr(trainer, "resumed_from", None)
            if comm.is_main_process() and source and source.resolve() == (self.folder / PREVIOUS).resolve():
                copy_file(source, self.folder / LAST)  # the torn one must not push out the good one
            return
        if self.every_steps:
            trainer.logger.info("MSMCheckpointer saves after each epoch: every_steps needs the embedded host")
        if comm.is_main_process():
            keep_train_config(self.folder.parent)

    def after_step(self):
        if not self.exact:
            return
        stop = any(comm.all_gather(self.signal))
        step = count_steps(self.trainer)
        if stop or (self.every_steps and step % self.every_steps == 0 and step != self.saved_step):
            self.save(epoch=self.trainer.epoch, must=stop)
        if stop:
            self.leave()

    def after_epoch(self):
        done = self.trainer.epoch + 1
        over = done >= self.trainer.max_epoch or getattr(self.trainer, "is_finished", bool)()
        self.save(epoch=done, copies=[BEST] if self.update_best() else [], must=over)
        if self.exact and not over and any(comm.all_gather(self.signal)):
            self.leave()

    def update_best(self) -> bool:
        """Take over the evaluator's value when it is the best so far; returns whether it is."""
        trainer = self.trainer
        value = trainer.comm_info.get("current_metric_value")
        if value is None or not float(value) > trainer.best_metric_value:
            return False
        trainer.best_metric_value = float(value)
        name = trainer.comm_info.get("current_metric_name", "metric")
        trainer.logger.info(f"Best validation {name} updated to: {float(value):.4f}")
        return True

    def after_train(self):
        self.release_signals()
        if comm.is_main_process():
            export_networks(self.trainer)

    def save(self, epoch, copies=(), must=False):
        """Write the state of the run; `epoch` counts finished epochs. Every process calls it, rank 0 writes.

        copies: further names. OSError only if the checkpoint `must` be.
        """
        checkpoint = capture(self.trainer, epoch)
        checkpoint["msm"]["network"] = describe_network(self.trainer.cfg, self.trainer.model)
        self.saved_step = count_steps(self.trainer)
        if not comm.is_main_process():
            return
        if self.exact and self.trainer.writer is not None:
            self.trainer.writer.flush()  # what comes before the checkpoint will not come again
        try:
            write_last(checkpoint, self.folder, copies)
        except OSError as error:
            if must:
                raise
            self.trainer.logger.warning(f"{error} The run goes on and saves again later.")
            return
        self.trainer.logger.info(f"Saved model_last.pth at step {self.saved_step}", extra={"file_only": True})

    def leave(self):
        """End the run after a signal, with the exit code a shell gives it."""
        number = self.signal or signal.SIGTERM
        if self.old_handlers:  # torch's handler would raise when the interpreter's exit ends the data workers
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self.release_signals()
        comm.synchronize()  # no process may end before rank 0 has written
        name = signal.Signals(number).name
        self.trainer.logger.info(f"Stopped by {name} after step {self.saved_step} and saved: go on with -r true")
        sys.exit(128 + number)

    def catch_signals(self):
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup sets SIGHUP
                self.old_handlers[number] = signal.signal(number, self.note_signal)

    def release_signals(self):
        for number, handler in self.old_handlers.items():
            signal.signal(number, handler)
        self.old_handlers = {}

    def note_signal(self, number, frame):
        """First signal: stop after this step. Second: stop now."""
        if self.signal is not None:
            self.release_signals()
            signal.raise_signal(number)
            return
        self.signal = number
        sys.stderr.write("\nFinishing the step and saving; once more to stop at once.\n")
