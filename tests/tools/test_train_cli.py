"""tools/train.py, train.sh and test.sh as a user meets them: mistakes end in one sentence, runs in a folder."""

import importlib.util
import os
import re
import subprocess
import sys

import pytest

from pointcept_msm.host import TESTERS, register
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
    ("options", "message"),
    [
        (["epocs=3"], "'epocs' is unknown.*'epoch'"),
        (["epoch=3"], "must be a multiple"),
        (["model.type=ToyModle"], "did you mean 'ToyModel'"),
        (["data.train.scenes=0"], "training set is empty"),
        (["batch_size=0"], "batch_size is 0, .*give a multiple"),
        (["weight=nowhere.pth"], "nowhere.pth does not exist"),
        (["batch_size=1", "gradient_accumulation_steps=99"], "no step would be taken"),
    ],
)
def test_mistakes_end_in_one_sentence(tmp_path, capsys, options, message):
    path = toy.write_config(tmp_path)
    code, error = call(capsys, "--config-file", path, "--options", *options, f"save_path={tmp_path}/run")
    assert code == 2 and error.count("\n") == 1 and "Traceback" not in error, error
    assert re.search(f"^error: .*{message}", error), error


def test_a_fault_of_ours_shows_its_traceback(tmp_path, capsys):
    path = toy.write_config(tmp_path, model=dict(type="ToyModel", dropout="a text"))
    with pytest.raises(TypeError):
        call(capsys, "--config-file", path, "--options", f"save_path={tmp_path}/run")


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
        ("train.sh", ["--config", "x"], "unknown flag '--config'; there are: -c config"),
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
