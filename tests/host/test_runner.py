"""How many processes a run gets, where they are started, and one process writing a run's folder at a time."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from pointcept_msm.host import runner
from pointcept_msm.host.runner import fit_processes, lock_run, run_training, torchrun_command
from pointcept_msm.runtime.command_line import run_command
from pointcept_msm.runtime.errors import UserError
from tests import toy
from tests.engines.test_checkpointer import assert_same_run, train


@pytest.mark.parametrize(
    ("batch_size", "gpus", "machines", "processes", "said"),
    [
        (12, 8, 1, 6, "batch_size 12 on 8 GPUs: using 6, 2 scenes each; 2 stay idle; batch_size=16 would use all.\n"),
        (12, 4, 1, 4, ""),
        (12, 1, 1, 1, ""),
        (4, 8, 1, 4, "batch_size 4 on 8 GPUs: using 4, 1 scenes each; 4 stay idle; batch_size=8 would use all.\n"),
        (12, 4, 2, 3, "on 2 machines of 4 GPUs: using 6, 2 scenes each; 2 stay idle"),
        (7, 3, 1, 1, "using 1, 7 scenes each; 2 stay idle; batch_size=9"),
    ],
)
def test_the_most_processes_that_share_the_batch_are_used_and_it_is_said(
    capsys, batch_size, gpus, machines, processes, said
):
    assert fit_processes(batch_size, gpus, machines) == processes
    assert said in capsys.readouterr().out and (said or not capsys.readouterr().out)


def test_pointcept_is_launched_with_as_many_through_our_tools(tmp_path, monkeypatch, capsys):
    """Its launcher refuses a batch that the processes do not share evenly."""
    started = []
    monkeypatch.setattr(runner, "HOST", "pointcept")
    monkeypatch.setattr(runner, "pointcept_launch", lambda *args, **kwargs: started.append(args), raising=False)
    run_training(toy.write_config(tmp_path), [f"save_path={tmp_path}/run"], num_gpus=3)
    assert started == [(runner.train_worker, 2, 1, 0, "auto")] and "using 2, 1 scenes each" in capsys.readouterr().out


def test_machines_that_cannot_share_the_batch_are_refused():
    with pytest.raises(UserError, match="12, which 5 machines of 8 GPUs cannot share: give batch_size=15"):
        fit_processes(12, 8, 5)


def test_torchrun_command():
    assert torchrun_command(2, 1, 0, "auto", ["train.py", "a=1"])[1:] == [
        "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone", "train.py", "a=1"
    ]  # fmt: skip
    assert torchrun_command(2, 3, 1, "tcp://first:123", ["train.py"])[3:] == [
        "--nproc-per-node=2", "--nnodes=3", "--node-rank=1", "--master-addr=first", "--master-port=123", "train.py"
    ]  # fmt: skip
    with pytest.raises(UserError, match="write tcp://<first machine>:<port>"):
        torchrun_command(2, 3, 1, "auto", ["train.py"])


def test_too_many_gpus_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    with pytest.raises(UserError, match="-g is 4, this machine has 2 GPUs"):
        run_training(toy.write_config(tmp_path), [f"save_path={tmp_path}/run"], num_gpus=4)


def start_group(folder, *options, gpus=2, **pipes):
    command = [sys.executable, "tools/train.py", "--config-file", f"{folder}/toy.py", "--num-gpus", str(gpus)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MSM_HOST": "embedded"}
    options = ("--options", f"save_path={folder}/run", *options)
    return subprocess.Popen([*command, *options], cwd=toy.ROOT, env=environment, text=True, **pipes)


def test_processes_that_fit_no_batch_are_left_out_and_two_equal_one(tmp_path):
    """Three are asked for, the batch of 2 takes two: the same losses and weights as one process."""
    still = dict(type="ToyModel", dropout=0.0)
    for name in ("two", "one"):
        (tmp_path / name).mkdir()
    toy.write_config(tmp_path / "two", model=still, max_steps=6)
    run = start_group(tmp_path / "two", gpus=3, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = run.communicate(timeout=120)[0]
    assert run.returncode == 0, said[-3000:]
    assert "batch_size 2 on 3 GPUs: using 2, 1 scenes each; 1 stay idle" in said
    trainer = toy.build_trainer(tmp_path / "one", model=still, max_steps=6)
    trainer.train()
    two = torch.load(tmp_path / "two/run/model/model_last.pth", weights_only=True)
    streams = [rng["torch"] for rng in two["msm"]["rng"]]
    assert len(streams) == 2 and not torch.equal(*streams), "dropout and masks must not be the same on both"
    for name, value in trainer.model.state_dict().items():
        torch.testing.assert_close(two["state_dict"][f"module.{name}"], value, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_run_of_two_processes_has_saved(tmp_path, number):
    """A signal to torchrun: both processes finish the step and rank 0 saves. Before it, the same run is started a
    second time, which is refused."""
    toy.write_config(tmp_path, epoch=4000, eval_epoch=2)
    last = tmp_path / "run/model/model_last.pth"
    run = start_group(
        tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # these tests may run under nohup
    )  # fmt: skip
    while not last.exists() and run.poll() is None:
        time.sleep(0.1)
    second = start_group(tmp_path, "resume=true", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = second.communicate(timeout=120)[1]
    run.send_signal(number)
    assert run.wait(60) != 0 and second.returncode != 0
    assert "is being written by another process" in said
    assert f"Stopped by {number.name}" in (tmp_path / "run/train.log").read_text()


def start(target, *args):
    child = multiprocessing.get_context("fork").Process(target=target, args=args)
    child.start()
    return child


def wait_for(path, timeout=30):
    deadline = time.monotonic() + timeout
    while not path.exists():
        assert time.monotonic() < deadline, f"no {path}"
        time.sleep(0.02)


def hold(folder):
    """Hold the lock until killed; a child process lives on after it for a while, as a data worker does."""
    with lock_run(folder):
        if os.fork() == 0:
            time.sleep(4)
            os._exit(0)
        (folder / "held").touch()
        time.sleep(60)


def test_a_lock_is_kept_by_its_process_and_goes_with_it(tmp_path, monkeypatch):
    holder = start(hold, tmp_path)
    wait_for(tmp_path / "held")
    monkeypatch.setattr(runner, "LOCK_SECONDS", 0.5)
    with (
        pytest.raises(UserError, match=r"is being written by another process: .*choose another name"),
        lock_run(tmp_path),
    ):
        pass
    holder.kill()
    holder.join()
    monkeypatch.setattr(runner, "LOCK_SECONDS", 7)
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
def test_a_second_run_in_the_same_folder_is_refused_and_changes_nothing(tmp_path, capsys, monkeypatch, option):
    """The first stands still at its second step; whichever way the second starts, it ends in one sentence."""
    monkeypatch.setattr(runner, "LOCK_SECONDS", 0.5)
    for name in ("whole", "twice"):
        (tmp_path / name).mkdir()
    folder = tmp_path / "twice"
    toy.write_config(folder)
    first = start(train_and_stop, folder)
    try:
        deadline = time.monotonic() + 60
        while os.waitpid(first.pid, os.WNOHANG | os.WUNTRACED)[0] == 0:
            assert time.monotonic() < deadline, "the run never came to its second step"
            time.sleep(0.05)
        before = list_files(folder)
        assert call_train(folder, option) == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert "is being written by another process" in error
        assert list_files(folder) == before
    finally:
        os.kill(first.pid, signal.SIGCONT)
    assert os.waitstatus_to_exitcode(os.waitpid(first.pid, 0)[1]) == 0
    train(tmp_path / "whole")
    assert_same_run(folder, tmp_path / "whole")


def test_a_refused_run_in_pointcept_leaves_the_config_alone(tmp_path, monkeypatch):
    """There the config is written before the training takes the lock."""
    monkeypatch.setattr(runner, "pointcept_launch", lambda *args, **kwargs: pytest.fail("launched"), raising=False)
    monkeypatch.setattr(runner, "HOST", "pointcept")
    monkeypatch.setattr(runner, "LOCK_SECONDS", 0.5)
    folder = tmp_path / "run"
    holder = start(hold, folder)
    wait_for(folder / "held")
    (folder / "config.py").write_text("the first run's")
    try:
        with pytest.raises(UserError, match="is being written by another process"):
            run_training(toy.write_config(tmp_path), [f"save_path={folder}"])
    finally:
        holder.kill()
        holder.join()
    assert (folder / "config.py").read_text() == "the first run's"
