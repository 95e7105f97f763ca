"""MSMCheckpointer: checkpoints that survive kill -9, a full disk and a torn file, and from which a run goes on exactly.

In the embedded host a resumed run equals one that was never stopped. In the Pointcept host, whose loader position and
random states are out of reach, it saves after each epoch, as Pointcept's own saver does.
"""

import signal
import sys
import threading
from pathlib import Path

from pointcept_msm.atomic_file import copy_file
from pointcept_msm.embedded import comm
from pointcept_msm.embedded.hooks.checkpoint_loader import load_last_pth
from pointcept_msm.embedded.hooks.checkpoint_saver import save_pth, update_best
from pointcept_msm.embedded.training_state import capture, restore_hooks, to_plain
from pointcept_msm.engines.hooks.export import count_steps, export_networks
from pointcept_msm.host import HOOKS, HookBase, register
from pointcept_msm.host.run_files import keep_code, keep_train_config

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def rotate(folder, keep):
    """Before a new model_last.pth is put in place, give the present one its second name."""
    last = folder / "model_last.pth"
    if keep == 2 and last.exists():
        copy_file(last, folder / "model_last.prev.pth")


def describe_network(cfg):
    """What a probe needs beside the weights, so that it need not rely on the config.py beside them."""
    keys = ("grid_size", "feat_keys")
    config = to_plain(cfg.get("model") or {}).get("backbone") or {}
    return {"config": config, "meta": {key: to_plain(cfg.get(key)) for key in keys if cfg.get(key) is not None}}


@register(HOOKS, "MSMCheckpointer")
class MSMCheckpointer(HookBase):
    """Keeps model/model_last.pth, the one before it (`keep=2`) and model_best.pth; exports the networks at the end.

    `every_steps`: also save inside an epoch, every so many optimizer steps (embedded host). `save_freq`: also keep
    epoch_<n>.pth every so many epochs. SIGTERM and SIGINT finish the step, save and end the run (embedded host).
    """

    runs_last = True

    def __init__(self, save_freq=None, every_steps=None, keep=2, export=True):
        if keep not in (1, 2):
            raise ValueError(
                f"MSMCheckpointer keep is {keep}: choose 1 (the last checkpoint) or 2 (and the one before)."
            )
        self.save_freq, self.every_steps, self.keep, self.export = save_freq, every_steps, keep, export
        self.signal, self.saved_step, self.old_handlers = None, None, {}

    def before_train(self):
        self.exact = getattr(self.trainer, "resumes_exactly", False)
        self.folder = Path(self.trainer.cfg.save_path) / "model"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.saved_step = count_steps(self.trainer)
        if self.exact:
            self.catch_signals()
            return
        if self.every_steps:
            self.trainer.logger.info("MSMCheckpointer saves after each epoch: every_steps needs the embedded host")
        if comm.is_main_process():
            keep_train_config(self.folder.parent)
            keep_code(self.folder.parent)
        if self.trainer.cfg.resume and self.trainer.cfg.weight:
            state = load_last_pth(self.trainer.cfg.weight).get("msm") or {}
            restore_hooks(self.trainer, state.get("hooks", []))

    def after_step(self):
        if not self.exact:
            return
        stop = comm.any_process(self.signal is not None)
        step = count_steps(self.trainer)
        if stop or (self.every_steps and step % self.every_steps == 0 and step != self.saved_step):
            self.save(epoch=self.trainer.epoch)
        if stop:
            self.leave()

    def after_epoch(self):
        done = self.trainer.epoch + 1
        best = update_best(self.trainer)
        self.save(epoch=done)
        if comm.is_main_process():
            if best:
                copy_file(self.folder / "model_last.pth", self.folder / "model_best.pth")
            if self.save_freq and done % self.save_freq == 0:
                copy_file(self.folder / "model_last.pth", self.folder / f"epoch_{done}.pth")

    def after_train(self):
        self.release_signals()
        if self.export and comm.is_main_process():
            export_networks(self.trainer)

    def save(self, epoch):
        """Write the state of the run; `epoch` counts finished epochs. Every process calls it, rank 0 writes."""
        checkpoint = capture(self.trainer, epoch)
        checkpoint["msm"]["network"] = describe_network(self.trainer.cfg)
        self.saved_step = count_steps(self.trainer)
        if comm.is_main_process():
            rotate(self.folder, self.keep)
            save_pth(checkpoint, self.folder / "model_last.pth")
            file_only = {"file_only": True}
            self.trainer.logger.info(f"Saved model_last.pth at step {self.saved_step}", extra=file_only)

    def leave(self):
        """End the run after a signal, with the exit code a shell gives it."""
        number = self.signal or signal.SIGTERM
        self.release_signals()
        comm.synchronize()  # no process may end before rank 0 has written
        name = signal.Signals(number).name
        self.trainer.logger.info(f"Stopped by {name} after step {self.saved_step} and saved: go on with -r true")
        sys.exit(128 + number)

    def catch_signals(self):
        if threading.current_thread() is threading.main_thread():
            self.old_handlers = {number: signal.signal(number, self.note_signal) for number in SIGNALS}

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
