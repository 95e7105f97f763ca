"""One process writes a run's folder at a time; a lock ends with its process, however that ends."""

import multiprocessing
import os
import signal
import sys
import time
import types

import pytest

from pointcept_msm.embedded.run_lock import lock_run
from pointcept_msm.host import runner
from pointcept_msm.host.runner import run_training
from pointcept_msm.runtime.command_line import run_command
from tests import toy
from tests.engines.hooks.test_checkpointer import assert_same_run, train


def start(target, *args):
    child = multiprocessing.get_context("fork").Process(target=target, args=args)
    child.start()
    return child


def wait_for(path, timeout=30):
    deadline = time.monotonic() + timeout
    while not path.exists():
        assert time.monotonic() < deadline, f"no {path}"
        time.sleep(0.02)


def hold(folder, heir=False):
    """Hold the lock until killed; with `heir`, a child process lives on after it."""
    with lock_run(folder):
        if heir and os.fork() == 0:
            (folder / "heir").write_text(str(os.getpid()))
            time.sleep(60)
            os._exit(0)
        (folder / "held").touch()
        time.sleep(60)


def wait_until_stopped(pid, timeout=60):
    """Return when the process has stopped itself."""
    deadline = time.monotonic() + timeout
    while os.waitpid(pid, os.WNOHANG | os.WUNTRACED)[0] == 0:
        assert time.monotonic() < deadline, "the run never came to its second step"
        time.sleep(0.05)


@pytest.mark.parametrize("heir", [False, True])
def test_a_lock_is_kept_by_its_process_and_goes_with_it(tmp_path, heir):
    """Also when a data worker (`heir`) outlives the run that was killed."""
    holder = start(hold, tmp_path, heir)
    wait_for(tmp_path / "held")
    try:
        expected = rf"is being written by process {holder.pid} on \S+: .*choose another name"
        with pytest.raises(FileExistsError, match=expected), lock_run(tmp_path):
            pass
        assert f"process {holder.pid} " in (tmp_path / ".lock").read_text(), "a refused run leaves the name there"
        holder.kill()
        holder.join()
        with lock_run(tmp_path):
            assert (tmp_path / ".lock").read_text().startswith(f"process {os.getpid()} on ")
    finally:
        holder.kill()
        if heir:
            os.kill(int((tmp_path / "heir").read_text()), signal.SIGKILL)
    with lock_run(tmp_path):
        pass


def call_train(folder, *options):
    return run_command(lambda _: run_training(f"{folder}/toy.py", [f"save_path={folder}/run", *options]), [])


def train_and_stop(folder):
    os.environ["TOY_CRASH"] = f"0,1,{int(signal.SIGSTOP)}"
    os._exit(call_train(folder))


def list_files(folder):
    return {path: path.read_bytes() for path in sorted((folder / "run").rglob("*")) if path.is_file()}


@pytest.mark.parametrize("option", ["resume=false", "resume=true"])
def test_a_second_run_in_the_same_folder_is_refused_and_changes_nothing(tmp_path, capsys, option):
    """The first stands still at its second step; whichever way the second starts, it ends in one sentence."""
    for name in ("whole", "twice"):
        (tmp_path / name).mkdir()
    folder = tmp_path / "twice"
    toy.write_config(folder)
    first = start(train_and_stop, folder)
    try:
        wait_until_stopped(first.pid)
        before = list_files(folder)
        assert call_train(folder, option) == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert f"is being written by process {first.pid}" in error and "Traceback" not in error
        assert list_files(folder) == before
    finally:
        os.kill(first.pid, signal.SIGCONT)
    assert os.waitstatus_to_exitcode(os.waitpid(first.pid, 0)[1]) == 0
    train(tmp_path / "whole")
    assert_same_run(folder, tmp_path / "whole")


def test_a_refused_run_in_pointcept_leaves_the_config_alone(tmp_path, monkeypatch):
    """There the config is written before the training takes the lock."""
    launches = types.ModuleType("pointcept.engines.launch")
    launches.launch = lambda *args, **kwargs: pytest.fail("launched")
    monkeypatch.setitem(sys.modules, "pointcept.engines.launch", launches)
    monkeypatch.setattr(runner, "HOST", "pointcept")
    folder = tmp_path / "run"
    holder = start(hold, folder)
    wait_for(folder / "held")
    (folder / "config.py").write_text("the first run's")
    try:
        with pytest.raises(FileExistsError, match="is being written by process"):
            run_training(toy.write_config(tmp_path), [f"save_path={folder}"])
    finally:
        holder.kill()
        holder.join()
    assert (folder / "config.py").read_text() == "the first run's"
