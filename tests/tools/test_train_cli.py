"""tools/train.py, train.sh and test.sh as a user meets them: mistakes end in one sentence, runs in a folder."""

import importlib.util
import os
import re
import subprocess
import sys

import pytest

from pointcept_msm.host import MODELS, TESTERS, register
from pointcept_msm.runtime.command_line import run_command
from tests import toy


@register(TESTERS, "ToyTester")
class ToyTester:
    """Writes down what it was given."""

    def __init__(self, cfg, verbose=False):
        self.cfg, self.verbose = cfg, verbose

    def test(self):
        with open(f"{self.cfg.save_path}/result", "w") as file:
            file.write(f"{self.cfg.weight} {self.verbose}")


def load_tool(name):
    spec = importlib.util.spec_from_file_location(name, toy.ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


def call(capsys, *arguments, tool="train"):
    """Exit code and standard error of a tool, run in this process."""
    try:
        code = run_command(load_tool(tool), [str(argument) for argument in arguments])
    except SystemExit as stop:
        code = stop.code
    return code, capsys.readouterr().err


def test_a_run_and_its_second_call(tmp_path, capsys):
    path = toy.write_config(tmp_path)
    arguments = ("--config-file", path, "--options", f"save_path={tmp_path}/run", "max_steps=2", "model.dropout=0.5")
    assert call(capsys, *arguments)[0] == 0
    assert {"config.py", "train.log", "metrics.jsonl", "model", "student.safetensors"} <= set(
        os.listdir(tmp_path / "run")
    )
    assert "max_steps = 2" in (tmp_path / "run/config.py").read_text()
    code, error = call(capsys, *arguments)
    assert code == 2 and error.count("\n") == 1 and "holds a run already" in error
    assert call(capsys, *arguments, "resume=true")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--config-fil", "x"], 2, "unknown argument '--config-fil'|--config-file"),
        (["--config-file", "x", "--num-gpu", "2"], 2, "did you mean --num-gpus"),
        (["--config-file", "no-such-config-anywhere"], 2, "no config 'no-such-config-anywhere'"),
        (["--config-file", "TOY", "--options", "epocs=3"], 2, "'epocs' is unknown.*'epoch'"),
        (["--config-file", "TOY", "--options", "epoch"], 2, "not of the form key=value"),
        (["--config-file", "TOY", "--options", "epoch=3"], 1, "must be a multiple"),
        (["--config-file", "TOY", "--options", "model.type=ToyModle"], 2, "did you mean 'ToyModel'"),
        (["--config-file", "TOY", "--options", "data.train.scenes=0"], 1, "training set is empty"),
        (["--config-file", "TOY", "--options", "weight=nowhere.pth"], 2, "no checkpoint at nowhere"),
    ],
)
def test_mistakes_end_in_one_sentence(tmp_path, capsys, arguments, code, message):
    path = str(toy.write_config(tmp_path))
    arguments = [path if argument == "TOY" else argument for argument in arguments]
    if "--options" in arguments:
        arguments.append(f"save_path={tmp_path}/run")
    got, error = call(capsys, *arguments)
    assert got == code, error
    assert error.count("\n") == 1 and "Traceback" not in error
    assert re.search(message, error), error


class Unforeseen(toy.ToyModel):
    """Fails in its third forward pass as nobody foresaw; or finds no memory, in torch's words."""

    def __init__(self, backbone=None, text="a tensor\nhas the wrong\nshape", kind="RuntimeError"):
        super().__init__(backbone)
        self.passes, self.error = 0, {"RuntimeError": RuntimeError, "IndexError": IndexError}[kind](text)

    def forward(self, batch):
        self.passes += 1
        if self.passes == 3:
            raise self.error
        return super().forward(batch)


@pytest.mark.parametrize(
    ("model", "code", "message"),
    [
        (dict(), 70, "a fault of this program: RuntimeError: a tensor has the wrong shape; test_train_cli.py, line "),
        (dict(kind="IndexError"), 70, "a fault of this program: IndexError: a tensor has the wrong shape; test_train_"),
        (dict(text="CUDA out of memory. Tried"), 1, "memory ran out: use smaller scenes"),
    ],
)
def test_what_nobody_foresaw_is_one_sentence_and_exit_code_70(tmp_path, capsys, model, code, message):
    register(MODELS, "UnforeseenModel")(Unforeseen)
    path = toy.write_config(tmp_path, model=dict(type="UnforeseenModel", **model))
    got, error = call(capsys, "--config-file", path, "--options", f"save_path={tmp_path}/run")
    assert got == code and error.startswith(f"error: {message}") and error.count("\n") == 1, error
    assert ("please report it" in error) == (code == 70)
    log = (tmp_path / "run/train.log").read_text()
    assert "Traceback" in log and "in forward" in log, "what a report needs"


def test_interrupted_and_piped_tools_end_quietly(capsys):
    def interrupt(_):
        raise KeyboardInterrupt

    assert run_command(interrupt, []) == 130 and capsys.readouterr().err == "stopped\n"
    assert run_command(lambda _: None, []) == 0 and run_command(lambda _: 7, []) == 7
    script = "import sys; exec(open('pointcept_msm/runtime/command_line.py').read())\n"  # without torch: a blink
    script += "sys.exit(run_command(lambda _: [print('x' * 99) for _ in range(99999)] and 0, []))"
    done = subprocess.run(f'{sys.executable} -c "{script}" | head -n 1', shell=True, cwd=toy.ROOT, capture_output=True)
    assert done.stderr == b"" and done.stdout == b"x" * 99 + b"\n"


def test_the_traceback_is_there_for_those_who_ask(tmp_path, capsys, monkeypatch):
    arguments = ("--config-file", toy.write_config(tmp_path), "--options", "weight=nowhere.pth")
    monkeypatch.setenv("MSM_DEBUG", "1")
    _, error = call(capsys, *arguments, f"save_path={tmp_path}/run")
    assert "Traceback" in error
    assert "Traceback" in (tmp_path / "run/train.log").read_text()


def test_testing(tmp_path, capsys):
    path = toy.write_config(tmp_path, test=dict(type="ToyTester", verbose=True))
    folder = tmp_path / "run"
    code, error = call(capsys, "--config-file", path, "--options", "weight=W", f"save_path={folder}", tool="test")
    assert (code, error) == (0, "")
    assert (folder / "result").read_text() == "W True"
    assert (folder / "test_config.py").is_file() and not (folder / "config.py").exists()


def shell(script, *arguments, cwd=toy.ROOT, **variables):
    command = ["sh", str(toy.ROOT / "tools" / script), *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MSM_HOST": "embedded", **variables}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("script", "arguments", "message"),
    [
        ("train.sh", ["-x", "1"], "unknown flag '-x'; there are: -c config"),
        ("train.sh", ["--config", "x"], "did you mean -c?"),
        ("train.sh", ["--num-gpus", "2"], "did you mean -g?"),
        ("train.sh", ["-c", "x", "epoch=3"], "'epoch=3' stands before the --"),
        ("train.sh", ["-c"], "flag -c needs a value"),
        ("train.sh", ["-c", "x", "-g", "two"], "'two' is not a number"),
        ("train.sh", ["-c", "x", "-r", "yes"], "write -r true or -r false"),
        ("train.sh", ["-c", "x", "-p", "no-python"], "no Python at 'no-python'"),
        ("train.sh", [], "no config; give one with -c"),
        ("test.sh", ["-c", "x", "-r", "true"], "unknown flag '-r'"),
    ],
)
def test_the_shell_scripts_refuse_mistakes(script, arguments, message):
    done = shell(script, *arguments)
    assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize("script", ["train", "test"])
def test_the_shell_scripts_say_what_they_take(script, flag):
    done = shell(f"{script}.sh", flag)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"sh tools/{script}.sh -c configs/" in done.stdout and "#" not in done.stdout and "exec" not in done.stdout


def test_the_shell_script_hands_everything_on(tmp_path):
    """A Python that writes its arguments down, called from another folder."""
    fake = tmp_path / "python"
    fake.write_text('#!/bin/sh\nfor argument in "$@"; do echo "$argument"; done\n')
    fake.chmod(0o755)
    (tmp_path / "my config.py").write_text("")
    (tmp_path / "w.pth").write_text("")
    done = shell(
        "train.sh", "-c", "my config.py", "-g", "2", "-m", "3", "-w", "w.pth", "-r", "true", "-p", fake, "--",
        "model.x=(1, 2)", cwd=tmp_path, MASTER_ADDR="first", MASTER_PORT="99", MACHINE_RANK="1",
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        "tools/train.py", "--config-file", f"{tmp_path}/my config.py", "--num-gpus", "2", "--num-machines", "3",
        "--machine-rank", "1", "--dist-url", "tcp://first:99", "--options", "save_path=exp/msm/my config",
        "model.x=(1, 2)", "resume=true", f"weight={tmp_path}/w.pth",
    ]  # fmt: skip


def test_a_run_through_the_shell(tmp_path):
    """From another folder, for real, with a mistake that only Python finds."""
    toy.write_config(tmp_path)
    done = shell("train.sh", "-c", "toy.py", "-g", "1", "-p", sys.executable, "--", "modle.dropout=0", cwd=tmp_path)
    assert done.returncode == 2 and "did you mean 'model" in done.stderr and done.stderr.count("\n") == 1
