"""env.sh, demo.sh and run_tests.sh with a Python that only writes down what it is asked to do."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Knows `-m venv` (copies itself) and `-m pip install`. A call with the word FAIL fails, one with CUT is killed.
FAKE_PYTHON = """#!/bin/sh
here=$(dirname "$0")
echo "$*" >>"$LOG"
[ -n "$FAIL" ] && case "$*" in *"$FAIL"*) exit 1 ;; esac
[ -n "$CUT" ] && case "$*" in *"$CUT"*) kill -9 "$PPID"; exit 1 ;; esac
case "$*" in
    "-V") echo "Python 3.9.0" ;;
    "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    "-m virtualenv "*) exit 1 ;;
    *"import torch"*) cat "$here/torch" 2>/dev/null ;;
    *"pip install"*"torch=="*) echo "${*##*==}" >"$here/torch" ;;
esac
"""


class Sandbox:
    """A copy of the scripts and what they read, and a fake Python to call them with."""

    def __init__(self, folder: Path):
        self.root, self.log, self.python = folder / "repository", folder / "calls", folder / "python3"
        self.venv = self.root / ".venv"
        (self.root / "tools").mkdir(parents=True)
        (self.root / "pointcept_msm").mkdir()
        for name in (
            "setup.py",
            "tools/env.sh",
            "tools/demo.sh",
            "tools/run_tests.sh",
            "tools/run.sh",
            "tools/train.sh",
        ):
            shutil.copy(ROOT / name, self.root / name)
        self.python.write_text(FAKE_PYTHON)
        self.python.chmod(0o755)

    def run(self, command="sh tools/env.sh", **variables):
        """Exit status, what was said, and pip's arguments in one run."""
        self.log.write_text("")
        clean = {"PATH": "/usr/bin:/bin", "LOG": str(self.log), "MSM_PYTHON": str(self.python), "FAIL": "", "CUT": ""}
        done = subprocess.run(
            command, shell=True, cwd=self.root, env=clean | variables, capture_output=True, text=True, timeout=60
        )
        calls = [
            line.removeprefix("-m pip install -q ") for line in self.log.read_text().splitlines() if " pip " in line
        ]
        return done.returncode, done.stdout + done.stderr, calls


@pytest.fixture
def sandbox(tmp_path):
    return Sandbox(Path(os.path.realpath(tmp_path)))


def test_torch_comes_before_the_package(sandbox):
    status, _, calls = sandbox.run()
    assert status == 0
    assert calls == ["torch==2.13.0", f"-e {sandbox.root}[dev]"]


def test_second_call_uses_it_again(sandbox):
    sandbox.run()
    status, said, calls = sandbox.run('. tools/env.sh && command -v python && echo "$VIRTUAL_ENV"')
    assert (status, calls) == (0, [])
    assert said.split() == [str(sandbox.venv / "bin/python"), str(sandbox.venv)]


@pytest.mark.parametrize(
    "argument, status, sentence", [("--help", 0, "MSM_VENV"), ("x", 2, "takes no arguments, got 'x'")]
)
def test_help_and_arguments_make_nothing(sandbox, argument, status, sentence):
    got, said, calls = sandbox.run(f"sh tools/env.sh {argument}")
    assert (got, calls) == (status, []) and sentence in said
    assert not sandbox.venv.exists()


def test_changed_setup_installs_over_it_and_keeps_torch(sandbox):
    sandbox.run()
    (sandbox.venv / "mine").touch()
    with open(sandbox.root / "setup.py", "a") as file:
        file.write("# changed\n")
    assert sandbox.run()[2] == [f"-e {sandbox.root}[dev]"]
    assert (sandbox.venv / "mine").exists()


def test_half_made_is_made_anew(sandbox):
    assert sandbox.run(CUT="[dev]")[0] != 0
    (sandbox.venv / "rest").touch()
    status, said, calls = sandbox.run()
    assert (status, len(calls)) == (0, 2)
    assert "half-made" in said and not (sandbox.venv / "rest").exists()


def test_moved_repository_gets_a_new_one(sandbox):
    sandbox.run()
    sandbox.root = sandbox.root.rename(sandbox.root.with_name("elsewhere"))
    assert sandbox.run()[2] == ["torch==2.13.0", f"-e {sandbox.root}[dev]"]


def test_own_environment_is_kept(sandbox, tmp_path):
    own = tmp_path / "own"
    (own / "bin").mkdir(parents=True)
    shutil.copy(sandbox.python, own / "bin/python")
    (own / "bin/torch").write_text("2.5.1\n")
    assert sandbox.run(MSM_VENV=str(own))[2] == [f"-e {sandbox.root}[dev]"]
    assert sandbox.run(MSM_VENV=str(own))[2] == []
    sandbox.root = sandbox.root.rename(sandbox.root.with_name("elsewhere"))
    (own / "mine").touch()
    assert sandbox.run(MSM_VENV=str(own))[2] == [f"-e {sandbox.root}[dev]"]
    assert (own / "mine").exists()


def test_torch_can_be_chosen(sandbox):
    sandbox.run()
    calls = sandbox.run(MSM_TORCH_VERSION="2.6.0", MSM_TORCH_INDEX="file:///wheels")[2]
    assert calls == ["--index-url file:///wheels torch==2.6.0", f"-e {sandbox.root}[dev]"]


@pytest.mark.parametrize(
    "variables, sentence",
    [
        ({"MSM_PYTHON": "no-such-python"}, "no 'no-such-python' found"),
        ({"FAIL": "version_info"}, "is Python 3.9.0; Python >= 3.10 is needed"),
        ({"FAIL": "-m venv"}, "install python3-venv or virtualenv"),
        ({"FAIL": "torch=="}, "torch 2.13.0 could not be installed"),
        ({"FAIL": "[dev]"}, "the package could not be installed"),
        ({"MSM_VENV": "tools"}, "is no Python environment"),
    ],
)
def test_refusals(sandbox, variables, sentence):
    status, said, _ = sandbox.run(**variables)
    assert status == 1 and sentence in said
    status, said, _ = sandbox.run(". tools/env.sh || echo stopped", **variables)
    assert status == 0 and "stopped" in said
    assert (sandbox.root / "tools/env.sh").exists()


def test_wrong_folder_is_refused(sandbox):
    status, said, _ = sandbox.run("cd pointcept_msm && . ../tools/env.sh")
    assert status != 0 and "call it from the repository's root" in said


@pytest.fixture
def demo(sandbox):
    """A sandbox whose train.sh and visualize_pca.py are stand-ins."""
    (sandbox.root / "tools/train.sh").write_text('python train.sh "$@"\n')
    (sandbox.root / "tools/visualize_pca.py").touch()
    (sandbox.root / "data/rooms/val/b").mkdir(parents=True)
    (sandbox.root / "data/rooms/val/a").mkdir(parents=True)
    return sandbox


def steps_of(sandbox) -> list[str]:
    """What the last run asked Python to do, without the environment's own calls."""
    return [line for line in sandbox.log.read_text().splitlines() if line.startswith(("tools/", "train.sh"))]


def test_demo_runs_every_step(demo):
    run = "exp/msm/demo"
    status, said, _ = demo.run("sh tools/demo.sh")
    assert status == 0
    assert steps_of(demo) == [
        "tools/make_rooms.py --out data/rooms --train 64 --val 16",
        "train.sh -c configs/msm/pretrain-rooms-tiny.py -n demo",
        f"tools/test.py --config-file configs/msm/probe-rooms-tiny.py --options weight={run} save_path={run}/probe",
        f"tools/visualize_pca.py data/rooms/val/a --weights {run}/student.safetensors --out {run}/pictures",
    ]
    assert [line.split(":")[0] for line in said.splitlines() if " s, " in line] == [
        "== environment",
        "== rooms",
        "== pre-training",
        "== probe",
        "== picture",
    ]


@pytest.mark.parametrize("arguments", ["--nmae x", "exp/msm/x", "one two"])
def test_demo_refuses_what_is_no_name_before_it_does_anything(demo, arguments):
    status, said, calls = demo.run(f"sh tools/demo.sh {arguments}")
    assert (status, calls, said.count("\n")) == (2, [], 1) and "sh tools/demo.sh [run name]" in said
    assert not demo.venv.exists()


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_demo_says_what_it_does(demo, flag):
    status, said, calls = demo.run(f"sh tools/demo.sh {flag}")
    assert (status, calls) == (0, []) and "sh tools/demo.sh [run name]" in said and "#" not in said
    assert not demo.venv.exists()


def test_demo_uses_rooms_again_and_leaves_an_old_run(demo):
    for split, count in (("train", 64), ("val", 16)):
        for scene in range(count):
            folder = demo.root / f"data/rooms/{split}/room{scene:03d}"
            folder.mkdir(parents=True)
            (folder / "coord.npy").touch()
    (demo.root / "exp/msm/demo").mkdir(parents=True)
    status, said, _ = demo.run("cd / && sh $OLDPWD/tools/demo.sh")
    assert status == 0 and "holds a run already" in said
    train = steps_of(demo)[0]
    assert train.startswith("train.sh -c configs/msm/pretrain-rooms-tiny.py -n demo-2")


@pytest.mark.parametrize(
    "word, step, left", [("make_rooms", "rooms", 1), ("train.sh", "pre-training", 2), ("test.py", "probe", 3)]
)
def test_demo_stops_at_the_first_failure(demo, word, step, left):
    status, said, _ = demo.run("sh tools/demo.sh", FAIL=word)
    assert status == 1 and f'demo.sh: stopped at "{step}"' in said.splitlines()[-1]
    assert len(steps_of(demo)) == left


@pytest.mark.parametrize("fail, failed", [("", ""), ("format", "ruff format --check"), ("pytest", "pytest")])
def test_run_tests_runs_all_checks(sandbox, fail, failed):
    sandbox.run()
    (sandbox.venv / "bin/ruff").write_text('#!/bin/sh\necho "ruff $*" >>"$LOG"\n[ "$1" != "$FAIL" ]\n')
    (sandbox.venv / "bin/ruff").chmod(0o755)
    status, said, _ = sandbox.run("sh tools/run_tests.sh -m slow tests/a.py", FAIL=fail)
    assert sandbox.log.read_text().splitlines()[-3:] == [
        "ruff check .",
        "ruff format --check .",
        "-m pytest -q -m slow tests/a.py",
    ]
    assert (status, said) == ((1, f"run_tests.sh: failed: {failed}\n") if failed else (0, ""))


def test_data_is_found_where_the_caller_stands(sandbox, tmp_path):
    (tmp_path / "mine").mkdir()
    options = "data_root=mine data.val.data_root=/far 'note=a b' data_root=elsewhere"
    status, said, _ = sandbox.run(
        f"cd {tmp_path} && sh {sandbox.root}/tools/train.sh -c c.py -g 1 -p {sandbox.python} -- {options}"
    )
    assert status == 0, said
    expected = f"save_path=exp/msm/c data_root={tmp_path}/mine data.val.data_root=/far note=a b data_root=elsewhere"
    assert sandbox.log.read_text().splitlines()[-1].endswith(f"--options {expected}")
