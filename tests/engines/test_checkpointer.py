"""MSMCheckpointer: a run that is killed, stopped, or loses a file goes on as if nothing had happened."""

import errno
import json
import logging
import multiprocessing
import os
import resource
import signal
from pathlib import Path

import pytest
import torch

from pointcept_msm.engines import checkpointer
from pointcept_msm.engines.checkpointer import MSMCheckpointer, write_last
from pointcept_msm.runtime.errors import UserError
from tests import toy
from tests.robustness.msm_run import TIMES, find_differences, read

LAST = Path("run/model/model_last.pth")


def run_and_crash(folder, epoch, iteration, number, options=(), hang_up=signal.SIG_DFL):
    """Train in a forked process that gets a signal after that iteration; returns its exit code."""

    def crash():
        os.setsid()
        signal.signal(signal.SIGHUP, hang_up)  # nohup ignores it, and a shell SIGINT in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.environ["TOY_CRASH"] = f"{epoch},{iteration},{int(number)}"
        train(folder, options)

    folder.mkdir(exist_ok=True)
    child = multiprocessing.get_context("fork").Process(target=crash)
    child.start()
    child.join(60)
    return child.exitcode


def train(folder, options=(), **changes):
    trainer = toy.build_trainer(folder, options, **changes)
    trainer.train()
    return trainer


def resume(folder, options=(), **changes):
    return train(folder, ["resume=true", *options], **changes)


def read_metrics(folder):
    """Lines of metrics.jsonl and of evaluations.jsonl, without the clock's and memory's."""
    texts = [(folder / "run" / f"{name}.jsonl").read_text() for name in ("metrics", "evaluations")]
    lines = [[json.loads(line) for line in text.splitlines()] for text in texts]
    return [[{k: v for k, v in line.items() if k not in TIMES} for line in part] for part in lines]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing disturbs."""
    folder = tmp_path_factory.mktemp("whole")
    train(folder)
    return folder


def assert_same_run(folder, whole):
    assert find_differences(read(folder / LAST), read(whole / LAST)) == []
    assert read_metrics(folder) == read_metrics(whole)


@pytest.mark.parametrize("moment", [(0, 4), (1, 3)])
def test_kill_and_resume_equals_no_kill(tmp_path, whole, moment):
    """Killed two steps after the last save, in the first epoch or the second; workers are added on the way back."""
    assert run_and_crash(tmp_path, *moment, signal.SIGKILL) == -signal.SIGKILL
    saved = read(tmp_path / LAST)["msm"]
    assert saved["step"] < moment[0] * 8 + moment[1] + 1 and saved["iter"] > 0
    resume(tmp_path, ["num_worker=1"])
    assert_same_run(tmp_path, whole)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_polite_signal_saves_and_the_run_goes_on(tmp_path, whole, number, code):
    assert run_and_crash(tmp_path, 1, 1, number) == code
    assert read(tmp_path / LAST)["msm"]["step"] == 10, "the step it was in is finished and saved"
    assert f"Stopped by {number.name} after step 10" in (tmp_path / "run/train.log").read_text()
    resume(tmp_path)
    assert_same_run(tmp_path, whole)


def test_a_run_under_nohup_survives_the_terminal(tmp_path, whole):
    assert run_and_crash(tmp_path, 1, 1, signal.SIGHUP, hang_up=signal.SIG_IGN) == 0
    assert_same_run(tmp_path, whole)


def test_a_signal_to_the_whole_group_spares_the_workers(tmp_path, whole):
    """As job schedulers send it: the data loader's workers get it too."""
    assert run_and_crash(tmp_path, 1, 1, -signal.SIGTERM, ["num_worker=2"]) == 143
    resume(tmp_path, ["num_worker=0"])
    assert_same_run(tmp_path, whole)


def test_resume_in_the_middle_of_an_accumulation(tmp_path):
    options = ["gradient_accumulation_steps=3"]
    (tmp_path / "whole").mkdir()
    train(tmp_path / "whole", options)
    assert run_and_crash(tmp_path / "cut", 0, 3, signal.SIGTERM, options) == 143
    saved = read(tmp_path / "cut" / LAST)["msm"]
    assert saved["waiting"] == 1 and saved["gradients"]
    resume(tmp_path / "cut")
    assert find_differences(read(tmp_path / "cut" / LAST), read(tmp_path / "whole" / LAST)) == []
    (cut, _), (whole, _) = read_metrics(tmp_path / "cut"), read_metrics(tmp_path / "whole")
    assert [line for line in cut if line["step"] != 2] == [line for line in whole if line["step"] != 2]


def test_a_torn_file_falls_back_to_the_one_before(tmp_path, whole):
    assert run_and_crash(tmp_path, 1, 3, signal.SIGKILL) == -signal.SIGKILL
    last = tmp_path / LAST
    before = read(last.with_suffix(".prev.pth"))["msm"]["step"]
    assert before < read(last)["msm"]["step"]
    torn = last.read_bytes()[:2000]
    last.unlink()
    last.write_bytes(torn)
    resume(tmp_path)
    log = (tmp_path / "run/train.log").read_text()
    assert "WARNING" in log and "model_last.prev.pth" in log and f"Resuming at step {before}:" in log
    assert_same_run(tmp_path, whole)


def test_a_run_whose_checkpoints_are_all_torn_is_refused(tmp_path):
    train(tmp_path, ["max_steps=3"])
    for name in ("model_last.pth", "model_last.prev.pth"):
        path = (tmp_path / LAST).with_name(name)
        whole = path.read_bytes()
        path.unlink()  # it may share its bytes with model_best.pth
        path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"model_last\.prev\.pth is damaged"):
        resume(tmp_path)


def test_a_full_disk_leaves_the_old_file_intact(tmp_path):
    """The kernel refuses to let a file grow beyond a limit, in the middle of the write."""
    path = tmp_path / "model_last.pth"
    write_last({"weight": torch.ones(10)}, tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OSError, match=r"cannot write .*model_new\.pth") as caught:
            write_last({"weight": torch.ones(1_000_000)}, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "file too large" in str(caught.value) and "\n" not in str(caught.value)
    assert torch.equal(read(path)["weight"], torch.ones(10))
    assert [p.name for p in tmp_path.iterdir()] == ["model_last.pth"], "no half-written file is left"


def test_no_space_is_said_in_plain_words(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="the disk is full"):
        write_last({}, tmp_path)


def test_events_are_on_the_disk_before_the_checkpoint_they_lead_to(tmp_path):
    class Writer:
        """Notes whether there was a checkpoint when it was told to write."""

        def __init__(self):
            self.seen = []

        def flush(self):
            self.seen.append((tmp_path / LAST).exists())

        def add_scalar(self, *_):
            pass

        close = add_scalar

    trainer = toy.build_trainer(tmp_path, ["max_steps=4"])
    trainer.writer = Writer()
    trainer.train()
    assert trainer.writer.seen == [False, True], "at the third step, and at the end"


def test_contents_and_companions(whole):
    state, folder = read(whole / LAST), (whole / LAST).parent
    assert state.keys() == {"epoch", "state_dict", "optimizer", "scheduler", "scaler", "best_metric_value", "msm"}
    assert (state["epoch"], state["msm"]["step"], state["msm"]["iter"]) == (2, 16, 0)
    assert ["ToyTeacherHook", {"ticks": 16}] in state["msm"]["hooks"]
    assert {p.name for p in folder.iterdir()} == {"model_last.pth", "model_last.prev.pth", "model_best.pth"}
    assert read(folder / "model_last.prev.pth")["msm"]["step"] == 15
    assert read(folder / "model_best.pth")["best_metric_value"] == state["best_metric_value"]


def test_the_best_is_kept(tmp_path):
    class FallingMetric(toy.HookBase):
        def after_epoch(self):
            info, values = self.trainer.comm_info, (0.5, 0.2)
            info.update(current_metric_value=values[self.trainer.epoch], current_metric_name="toy")

    trainer = toy.build_trainer(tmp_path, hooks=[dict(type="MSMCheckpointer")])
    hook = FallingMetric()
    hook.trainer = trainer
    trainer.hooks.insert(0, hook)
    trainer.train()
    folder = (tmp_path / LAST).parent
    names = {"model_last.pth", "model_last.prev.pth", "model_best.pth"}
    assert {p.name for p in folder.iterdir()} == names
    assert read(folder / "model_best.pth")["epoch"] == 1 and read(folder / "model_last.pth")["epoch"] == 2


def test_resuming_a_finished_run_changes_nothing(tmp_path):
    train(tmp_path, ["max_steps=5"])
    before = read(tmp_path / LAST)
    assert resume(tmp_path).global_step == 5
    assert find_differences(read(tmp_path / LAST), before) == []


def test_a_changed_length_is_refused(tmp_path):
    train(tmp_path, ["max_steps=5"])
    with pytest.raises(ValueError, match="made with total_steps 5, this run has 6"):
        resume(tmp_path, ["max_steps=6"])


def test_resume_before_the_first_checkpoint_starts_over(tmp_path):
    assert run_and_crash(tmp_path, 0, 1, signal.SIGKILL) == -signal.SIGKILL
    assert resume(tmp_path, ["max_steps=2"]).global_step == 2


def test_a_model_without_student_is_not_exported(tmp_path, caplog):
    trainer = toy.build_trainer(tmp_path)
    del trainer.model.student, trainer.model.teacher
    with caplog.at_level(logging.INFO, logger="msm"):
        hook = MSMCheckpointer()
        hook.trainer = trainer
        hook.after_train()
    assert "Nothing to export" in (tmp_path / "run/train.log").read_text()
    trainer.close()


def test_in_the_pointcept_host_it_saves_epochs_only(tmp_path):
    """A trainer with what Pointcept's has, and nothing more."""

    class Bare:
        pass

    whole_trainer = toy.build_trainer(tmp_path)
    bare = Bare()
    for name in ("cfg", "logger", "model", "optimizer", "scheduler", "scaler", "comm_info", "hooks", "epoch",
                 "max_epoch", "best_metric_value"):  # fmt: skip
        setattr(bare, name, getattr(whole_trainer, name))
    bare.comm_info["model_output_dict"] = dict(loss=torch.tensor(1.0))
    handlers = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    hook = MSMCheckpointer(every_steps=1)
    hook.trainer = bare
    hook.before_train()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == handlers
    hook.after_step()
    assert not (tmp_path / LAST).exists()
    hook.after_epoch()
    hook.after_train()
    state = read(tmp_path / LAST)
    assert state["epoch"] == 1 and state["scaler"] is None and "rng" not in state["msm"]
    assert (tmp_path / "run/teacher.safetensors").is_file()
    whole_trainer.close()


@pytest.mark.parametrize("calls", range(4))
def test_killed_between_any_two_file_operations_a_whole_checkpoint_is_left(tmp_path, monkeypatch, calls):
    """Of the four renames and links that put a checkpoint in place, only so many happen."""
    write_last({"step": 1}, tmp_path)
    write_last({"step": 2}, tmp_path, ["model_best.pth"])

    class Killed(BaseException):
        pass

    done = []

    def count(function):
        def counted(*arguments):
            if len(done) == calls:
                raise Killed
            done.append(function)
            return function(*arguments)

        return counted

    monkeypatch.setattr(checkpointer, "copy_file", count(checkpointer.copy_file))
    monkeypatch.setattr(checkpointer.os, "replace", count(os.replace))
    with pytest.raises(Killed):
        write_last({"step": 3}, tmp_path, ["model_best.pth"])
    assert read(tmp_path / "model_last.pth")["step"] == 2 and read(tmp_path / "model_last.prev.pth")["step"] in (1, 2)
    assert read(tmp_path / "model_best.pth")["step"] in (2, 3)
    monkeypatch.undo()
    write_last({"step": 3}, tmp_path, ["model_best.pth"])
    steps = {path.name: read(path)["step"] for path in tmp_path.iterdir() if path.suffix == ".pth"}
    assert steps == {"model_last.pth": 3, "model_last.prev.pth": 2, "model_best.pth": 3}
