"""Spoilt configs and options, run as `tools/train.py` would: a run that works, or one sentence and an exit code."""

import copy
import json
import logging
import math
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointcept_msm.host.runner import run_training
from pointcept_msm.runtime.command_line import run_command
from tests import toy
from tests.robustness.mutations import ODD_NUMBERS, quietly, time_limit

VALUES = [
    *ODD_NUMBERS[:4], 2, 3, 10**30, 0.5, 1e300, -1e300, None, True, False, "", "x", "a\nb", [], [1, 2], ["x"], {},
    {"a": 1}, {"type": "ToyModel"}, {"type": "Nothing"}, {"type": 3}, (), (0.4, 0.8),
]  # fmt: skip
TEXTS = ["nan", "inf", "1e999", "[", "(1,", "{'a':", "'", "10**9", "__import__('os')", "\udcff", "=", "none,none", "-"]


def list_places(node, path=()):
    """Paths of every entry of a nested config."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, (list, tuple)) else ()
    return [place for key, child in items for place in [(*path, key), *list_places(child, (*path, key))]]


PLACES = list_places({key: value for key, value in toy.BASE.items() if key != "custom_imports"})
PLACES = [place for place in PLACES if place[-1] != "scenes"]  # a toy set of 2**31 scenes really has that many


def spoil(place, kind, value):
    """BASE with the entry at `place` replaced, dropped, doubled under a misspelt name, or given a strange neighbour."""
    config = copy.deepcopy(toy.BASE)
    node = config
    for step in place[:-1]:
        node[step] = list(node[step]) if isinstance(node[step], tuple) else node[step]
        node = node[step]
    last = place[-1]
    if kind == "replace" or not isinstance(node, dict):
        node[last] = value
    elif kind == "drop":
        del node[last]
    elif kind == "misspell":
        node[f"{last}"[::-1]] = node.pop(last)
    else:
        node["unheard_of"] = value
    return config


def run(folder, capsys, config, options=()):
    """(exit code, standard error, the run's folder) of a run of two steps."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    path = folder / "toy.py"
    path.write_text("".join(f"{key} = {value!r}\n" for key, value in config.items()), errors="backslashreplace")
    capsys.readouterr()
    with time_limit():
        options = [f"save_path={folder}/run", "max_steps=2", *options]
        code = run_command(lambda _: run_training(str(path), options), [])
    return code, capsys.readouterr().err


def check(folder, capsys, code, error):
    if code == 0:
        path = folder / "run/metrics.jsonl"
        lines = map(json.loads, path.read_text().splitlines() if path.exists() else [])
        assert all(math.isfinite(line["loss"]) and math.isfinite(line["lr"]) for line in lines)
        return
    sentences = [line for line in error.splitlines() if line.startswith("error: ")]
    assert code in (1, 2), f"{code}: {error}"
    assert len(sentences) == 1 and len(sentences[0]) > 25 and "Traceback" not in error, error


@pytest.fixture(autouse=True)
def quiet_log(monkeypatch):
    yield
    logging.getLogger("msm").handlers.clear()


CASE = dict(
    place=st.sampled_from(PLACES), kind=st.sampled_from(["replace", "replace", "replace", "drop", "misspell", "add"]),
    value=st.sampled_from(VALUES),
)  # fmt: skip
OPTION = dict(place=st.sampled_from(PLACES), text=st.sampled_from([*TEXTS, *map(repr, VALUES)]), slip=st.integers(0, 6))


def check_config(tmp_path, capsys, place, kind, value):
    check(tmp_path / "a", capsys, *run(tmp_path / "a", capsys, spoil(place, kind, value)))


def check_option(tmp_path, capsys, place, text, slip):
    key = ".".join(map(str, place))
    if slip == 0:  # one letter left out: refused with the nearest valid key
        code, error = run(tmp_path / "a", capsys, toy.BASE, [f"{key[:2] + key[3:]}={text}"])
        assert code in (0, 2) or "must be" in error or code == 1, error
    else:
        code, error = run(tmp_path / "a", capsys, toy.BASE, [f"{key}={text}"])
    check(tmp_path / "a", capsys, code, error)


@quietly(20)
@given(**CASE)
def test_spoilt_configs(tmp_path, capsys, **how):
    check_config(tmp_path, capsys, **how)


@quietly(10)
@given(**OPTION)
def test_odd_options(tmp_path, capsys, **how):
    check_option(tmp_path, capsys, **how)


@pytest.mark.slow
@quietly(600)
@given(**CASE)
def test_many_spoilt_configs(tmp_path, capsys, **how):
    check_config(tmp_path, capsys, **how)


@pytest.mark.slow
@quietly(300)
@given(**OPTION)
def test_many_odd_options(tmp_path, capsys, **how):
    check_option(tmp_path, capsys, **how)
