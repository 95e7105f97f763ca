"""Every command that a config's docstring, README or docs show: its config is there, takes its options, fits `-g`."""

import ast
import importlib
import re

import pytest

from pointcept_msm.host.run_config import load_run_config
from tests.configs.documented_commands import CONFIGS, PAGES, ROOT, find_commands, loose_options, read_text, take_apart
from tests.configs.test_configs import loads_alone

FLAGS = {"-c", "-n", "-g", "-m", "-w", "-r", "-p", "-d", "--options", "--config-file", "--num-machines"}
FLAGS |= {"--machine-rank", "--dist-url", "--base", "--seeds", "--out", "--probe", "--jobs", "--table", "arguments"}


def faults_of(command):
    """What would stop this command, in words."""
    if not command.config.is_file():
        return [f"no config {command.config.relative_to(ROOT)}"]
    faults = [f"unknown flag {flag}" for flag in command.flags.keys() - FLAGS]
    if "scripts/" in command.script and command.options:
        faults.append("Pointcept's scripts take no options; its tools/train.py does")
    if loads_alone(command.config):
        try:
            cfg = load_run_config(str(command.config), command.options)
        except ValueError as error:
            return [*faults, str(error)]
        gpus = int((command.flags.get("-g") or ["1"])[0])
        if "train" in command.script and cfg.batch_size % gpus:
            faults.append(f"{cfg.batch_size} scenes do not divide among {gpus} GPUs")
    return faults


@pytest.mark.parametrize("path", [*CONFIGS, *PAGES], ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_are_right(path):
    text = read_text(path)
    commands = find_commands(text)
    assert [fault for command in commands for fault in faults_of(command)] == []
    if path.suffix == ".py":
        assert path in [command.config for command in commands], "the docstring shows no command with this config"
        for options in loose_options(text) if loads_alone(path) else ():
            load_run_config(str(path), options)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_paths_on_a_page_exist(path):
    text = read_text(path).replace("configs/msm/NAME.py", "")
    names = re.findall(r"\b((?:tests|tools|pointcept_msm|configs)/[\w./-]+\w)", text)
    inside = re.findall(r"`((?:models|datasets|engines|probing|features|files|host|runtime)/[\w./]+\.py)`", text)
    wanted = {*names, *(f"pointcept_msm/{name}" for name in inside)}
    assert [name for name in sorted(wanted) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_python_on_a_page_imports_what_is_there(path):
    for block in re.findall(r"```python\n(.*?)```", read_text(path), re.DOTALL):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module)
                assert all(hasattr(module, alias.name) for alias in node.names), ast.unparse(node)


@pytest.mark.parametrize(
    "line, words",
    [
        ("sh tools/train.sh -c configs/msm/pretrain-scannet.py -g 8", "12 scenes do not divide among 8 GPUs"),
        ("sh tools/train.sh -c configs/msm/no-such.py", "no config"),
        ("sh tools/train.sh -c configs/msm/pretrain-scannet.py -- model.mask_ration=0.5", "mask_ratio"),
        ("sh tools/train.sh -c configs/msm/pretrain-scannet.py --gpus 4", "unknown flag --gpus"),
        ("sh scripts/train.sh -d msm -c pretrain-scannet -- seed=1", "take no options"),
    ],
)
def test_the_check_finds_faults(line, words):
    assert words in " ".join(faults_of(take_apart(line)))
