"""MSMCheckpointer: checkpoints that survive kill -9, a full disk and a torn file, and from which a run goes on exactly.

In the embedded host a resumed run equals one that was never stopped. In the Pointcept host, whose loader position and
random states are out of reach, it saves after each epoch, as Pointcept's own saver does.
"""

import errno
import signal
import sys
import threading
from pathlib import Path

from pointcept_msm.datasets.drop_inputs import find_fills, find_grid_size
from pointcept_msm.embedded.hooks.checkpoint_loader import load_last_pth
from pointcept_msm.embedded.hooks.checkpoint_saver import save_pth, update_best
from pointcept_msm.engines.hooks.export import count_steps, export_networks
from pointcept_msm.files.atomic import DiskError, copy_file, remove_leftovers
from pointcept_msm.host import HOOKS, HookBase, register
from pointcept_msm.host.run_files import keep_code, keep_train_config
from pointcept_msm.runtime import comm
from pointcept_msm.runtime.training_state import capture, restore_hooks, to_plain

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
LAST, PREVIOUS, BEST = "model_last.pth", "model_last.prev.pth", "model_best.pth"


def write_last(checkpoint, folder, keep, rotate=True):
    """Put a new model_last.pth in place; the one until now becomes the one before (`keep=2` and `rotate`).

    Both old files stay until the new one is whole. When the disk has no room for three, the one before is given up.
    """
    last, previous = folder / LAST, folder / PREVIOUS

    def keep_old():
        if keep == 2 and rotate and last.exists():
            copy_file(last, previous)

    try:
        save_pth(checkpoint, last, before=keep_old)
    except DiskError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        if not (full and rotate and last.exists() and previous.exists()):
            raise
        previous.unlink()
        save_pth(checkpoint, last, before=keep_old)


def describe_network(cfg):
    """What a probe needs beside the weights, so that it need not rely on the config.py beside them."""
    train = (cfg.get("data") or {}).get("train") or {}
    config = to_plain(cfg.get("model") or {}).get("backbone") or {}
    meta = {"grid_size": find_grid_size(train) or cfg.get("grid_size"), "feat_keys": to_plain(cfg.get("feat_keys"))}
    meta |= {"fill": find_fills(train) or None}
    return {"config": config, "meta": {key: value for key, value in meta.items() if value is not None}}


@register(HOOKS, "MSMCheckpointer")
class MSMCheckpointer(HookBase):
    """Keeps model/model_last.pth, the one before it (`keep=2`) and model_best.pth; exports the networks at the end.

    `every_steps`: also save inside an epoch, every so many optimizer steps (embedded host). `save_freq`: also keep
    epoch_<n>.pth every so many epochs. SIGTERM, SIGINT and SIGHUP finish the step, save and end the run (embedded
    host). A disk without room costs a checkpoint and a warning, and ends the run only if the last one finds none.
    """

    runs_last = True

    def __init__(self, save_freq=None, every_steps=None, keep=2, export=True):
        if keep not in (1, 2):
            raise ValueError(
                f"MSMCheckpointer keep is {keep}: choose 1 (the last checkpoint) or 2 (and the one before)."
            )
        for name, value in (("save_freq", save_freq), ("every_steps", every_steps)):
            if value is not None and (not isinstance(value, int) or value < 0):
                raise ValueError(f"MSMCheckpointer {name} is {value!r}: give a positive whole number, or None.")
        self.save_freq, self.every_steps, self.keep, self.export = save_freq, every_steps, keep, export
        self.signal, self.saved_step, self.old_handlers = None, None, {}
        self.rotates, self.failed, self.latest = True, False, {}

    def before_train(self):
        self.exact = getattr(self.trainer, "resumes_exactly", False)
        self.folder = Path(self.trainer.cfg.save_path) / "model"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.saved_step = count_steps(self.trainer)
        if self.exact:
            self.catch_signals()
            self.finish_last_save()
            return
        if self.every_steps:
            self.trainer.logger.info("MSMCheckpointer saves after each epoch: every_steps needs the embedded host")
        if comm.is_main_process():
            keep_train_config(self.folder.parent)
            keep_code(self.folder.parent)
        if self.trainer.cfg.resume and self.trainer.cfg.weight:
            state = load_last_pth(self.trainer.cfg.weight).get("msm") or {}
            restore_hooks(self.trainer, state.get("hooks", []))

    def finish_last_save(self):
        """Do what a killed run could not do any more after the checkpoint from which this one goes on."""
        source = getattr(self.trainer, "resumed_from", None)
        if not comm.is_main_process():
            return
        remove_leftovers(self.folder)
        if source is None or source.parent.resolve() != self.folder.resolve():
            return
        self.rotates = source.name != PREVIOUS  # a torn file must not push out the good one
        state = self.trainer.resume_state or {}
        if state.get("best") is not None:
            self.keep_copies(source, state["best"], self.trainer.start_epoch)

    def after_step(self):
        if not self.exact:
            return
        stop = comm.any_process(self.signal is not None)
        step = count_steps(self.trainer)
        if stop or (self.every_steps and step % self.every_steps == 0 and step != self.saved_step):
            self.save(epoch=self.trainer.epoch, must=stop)
        if stop:
            self.leave()

    def after_epoch(self):
        done = self.trainer.epoch + 1
        best = update_best(self.trainer)
        self.save(epoch=done, best=best)
        if comm.is_main_process() and not self.failed:
            self.keep_copies(self.folder / LAST, best, done)
        if self.exact and not self.is_over(done) and comm.any_process(self.signal is not None):
            self.leave()

    def is_over(self, done):
        """Whether nothing but the end is left, which then comes sooner than the next start would."""
        return done >= self.trainer.max_epoch or self.trainer.is_finished()

    def keep_copies(self, source, best, done):
        """model_best.pth and epoch_<n>.pth of a checkpoint made after `done` epochs."""
        names = [BEST] if best else []
        if self.save_freq and done and done % self.save_freq == 0:
            names.append(f"epoch_{done}.pth")
        for name in names:
            try:
                copy_file(source, self.folder / name)
            except OSError as error:
                self.trainer.logger.warning(f"{error} The run goes on without this copy.")

    def before_abort(self):
        """The data failed between two steps: save, so that nothing done so far is lost."""
        if self.exact:
            self.save(epoch=self.trainer.epoch)
            self.trainer.logger.info(f"Saved step {self.saved_step} before stopping: go on with -r true")

    def after_train(self):
        self.release_signals()
        if comm.any_process(self.failed):
            self.save(**self.latest, must=True)
        if self.export and comm.is_main_process():
            export_networks(self.trainer)

    def save(self, epoch, best=None, must=False):
        """Write the state of the run; `epoch` counts finished epochs. Every process calls it, rank 0 writes.

        best: whether an evaluation after this epoch was the best so far. DiskError only if the checkpoint `must` be.
        """
        checkpoint = capture(self.trainer, epoch)
        checkpoint["msm"]["best"] = best
        checkpoint["msm"]["network"] = describe_network(self.trainer.cfg)
        self.saved_step, self.latest = count_steps(self.trainer), dict(epoch=epoch, best=best)
        if not comm.is_main_process():
            return
        if self.exact and self.trainer.writer is not None:
            self.trainer.writer.flush()  # what comes before the checkpoint will not come again
        try:
            write_last(checkpoint, self.folder, self.keep, self.rotates)
        except DiskError as error:
            if must:
                raise
            self.failed = True
            self.trainer.logger.warning(f"{error} The run goes on and saves again later.")
            return
        self.rotates, self.failed = True, False
        self.trainer.logger.info(f"Saved model_last.pth at step {self.saved_step}", extra={"file_only": True})

    def leave(self):
        """End the run after a signal, with the exit code a shell gives it."""
        number = self.signal or signal.SIGTERM
        self.release_signals()
        comm.synchronize()  # no process may end before rank 0 has written
        name = signal.Signals(number).name
        self.trainer.logger.info(f"Stopped by {name} after step {self.saved_step} and saved: go on with -r true")
        sys.exit(128 + number)

    def catch_signals(self):
        if threading.current_thread() is not threading.main_thread():
            return
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
