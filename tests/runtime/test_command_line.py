"""What a tool says and its exit code: the user's mistakes in one sentence, ours with their traceback."""

import subprocess
import sys

import pytest

from pointcept_msm.runtime.command_line import build_run_parser, run_command
from pointcept_msm.runtime.errors import UserError
from tests import toy


def fail(error):
    def main(_):
        raise error

    return main


def test_a_mistake_is_one_sentence_with_its_traceback_for_those_who_ask(capsys, monkeypatch):
    assert run_command(fail(UserError("two\nlines of \udcff")), []) == 2
    assert capsys.readouterr().err == "error: two lines of \\udcff\n"
    assert run_command(fail(FileNotFoundError(2, "No such file", "x.ply")), []) == 1
    assert capsys.readouterr().err == "error: [Errno 2] No such file: 'x.ply'\n"
    monkeypatch.setenv("MSM_DEBUG", "1")
    assert run_command(fail(UserError("sentence")), []) == 2 and "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("error", [KeyError("x"), TypeError("x"), RuntimeError("x"), IndexError("x")])
def test_a_fault_of_ours_is_not_dressed_up(error):
    with pytest.raises(type(error)):
        run_command(fail(error), [])


def test_interrupted_and_piped_tools_end_quietly(capsys):
    assert run_command(fail(KeyboardInterrupt()), []) == 130 and capsys.readouterr().err == "stopped\n"
    assert run_command(lambda _: None, []) == 0 and run_command(lambda _: 7, []) == 7
    script = "import sys; from pointcept_msm.runtime.command_line import run_command\n"
    script += "sys.exit(run_command(lambda _: [print('x' * 99) for _ in range(99999)] and 0, []))"
    done = subprocess.run(f'{sys.executable} -c "{script}" | head -n 1', shell=True, cwd=toy.ROOT, capture_output=True)
    assert done.stderr == b"" and done.stdout == b"x" * 99 + b"\n"


@pytest.mark.parametrize(
    ("arguments", "said"), [(["--config", "x"], "--config-file"), (["--config-file", "x", "--num-gpu", "2"], "num-gpu")]
)
def test_a_wrong_flag_is_one_line_and_nothing_is_guessed(capsys, arguments, said):
    with pytest.raises(SystemExit) as stop:
        build_run_parser("a tool").parse_args(arguments)
    error = capsys.readouterr().err
    assert stop.value.code == 2 and error.count("\n") == 1 and said in error
