"""Where the processes of a run are placed."""

import os
import signal
import subprocess
import sys
import time

import pytest

from pointcept_msm.embedded.launch import launch, split_url, torchrun_command
from tests import toy


def test_one_process_runs_here():
    seen = []
    assert launch(seen.append, args=("x",)) == 0 and seen == ["x"]


def test_torchrun_command():
    command = torchrun_command(2, 3, 1, "tcp://first:123", ["train.py", "--options", "a=1"])
    assert command[1:4] == ["-m", "pointcept_msm.embedded.torchrun", "--nproc_per_node=2"]
    assert command[4:] == [
        "--nnodes=3", "--node_rank=1", "--master_addr=first", "--master_port=123", "train.py", "--options", "a=1"
    ]  # fmt: skip


def test_auto_is_a_free_port_here():
    host, port = split_url("auto", 1)
    assert host == "127.0.0.1" and 1024 < port < 65536


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, 2, 0, "auto"), "serves one machine"),
        ((1, 2, 0, "first"), "write tcp://<host>:<port>"),
        ((1, 2, 2, "tcp://a:1"), "machine rank 2 is outside 0..1"),
    ],
)
def test_impossible_places_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        torchrun_command(*arguments, ["train.py"])


def test_too_many_gpus_are_refused(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    with pytest.raises(ValueError, match="4 GPUs are asked for, this machine has 2"):
        torchrun_command(4, 1, 0, "auto", ["train.py"])


def start_two(folder, *options, stderr):
    command = [sys.executable, "tools/train.py", "--config-file", f"{folder}/toy.py", "--num-gpus", "2", "--options"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MSM_HOST": "embedded"}
    return subprocess.Popen(
        [*command, f"save_path={folder}/run", *options],
        cwd=toy.ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=stderr, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # these tests may run under nohup
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_stopped_run_of_two_processes_goes_on(tmp_path, number, code):
    """A signal to the launcher: both processes finish the step, rank 0 saves, the exit code says why. Before it, the
    same run is started a second time, which is refused in both of its processes without a traceback."""
    toy.write_config(tmp_path, epoch=4000, eval_epoch=2)
    last = tmp_path / "run/model/model_last.pth"
    with open(tmp_path / "errors", "w+") as errors:
        run = start_two(tmp_path, stderr=errors)
        while not last.exists() and run.poll() is None:
            time.sleep(0.1)
        second = start_two(tmp_path, "resume=true", stderr=subprocess.PIPE)
        said = second.communicate(timeout=120)[1]
        run.send_signal(number)
        assert run.wait(60) == code
    assert second.returncode == 2, said
    assert said.count("is being written by process") == 1 and "Traceback" not in said and "fault" not in said
    assert f"Stopped by {number.name}" in (tmp_path / "run/train.log").read_text()
    assert "Traceback" not in (tmp_path / "errors").read_text()
