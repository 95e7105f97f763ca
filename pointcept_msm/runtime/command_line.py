"""What the scripts in tools/ share: arguments, and errors that end in one sentence instead of a traceback."""

import argparse
import difflib
import errno
import os
import sys
import traceback
from contextlib import suppress

USAGE_ERRORS = (KeyError, FileNotFoundError, FileExistsError)
EXPECTED_ERRORS = (ValueError, TypeError, OSError, ImportError, NotImplementedError, *USAGE_ERRORS)

HINTS = {
    errno.ENOENT: "check the path",
    errno.EEXIST: "something else stands there, choose another name",
    errno.ENOTDIR: "a part of the path is a file, choose another",
    errno.EACCES: "choose a place that you may use",
    errno.EPERM: "choose a place that you may use",
    errno.EROFS: "choose a place that can be written",
    errno.ENOSPC: "make room or choose another place",
    errno.EDQUOT: "make room or choose another place",
}
NO_MEMORY = ("not enough memory", "out of memory", "can't allocate memory")
UNFORESEEN = "a fault of this program"


class OneSentenceParser(argparse.ArgumentParser):
    """Names the nearest flag when one is unknown, and never guesses from its first letters."""

    def __init__(self, **kwargs):
        super().__init__(allow_abbrev=False, **kwargs)

    def parse_args(self, args=None, namespace=None):
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            flags = [flag for action in self._actions for flag in action.option_strings]
            near = difflib.get_close_matches(unknown[0].split("=")[0], flags, 1, 0.4)
            self.error(f"unknown argument {unknown[0]!r}; " + (f"did you mean {near[0]}?" if near else "see --help."))
        return parsed

    def error(self, message):
        self.exit(2, f"{self.prog}: {message}\n")


def build_run_parser(description):
    """Arguments of tools/train.py and tools/test.py, Pointcept's names."""
    parser = OneSentenceParser(description=description)
    parser.add_argument(
        "--config-file", required=True, metavar="FILE", help="a config file, or the name of one in configs/msm"
    )
    parser.add_argument("--num-gpus", type=int, default=1, help="processes on this machine: one a GPU, or on the CPU")
    parser.add_argument("--num-machines", type=int, default=1)
    parser.add_argument("--machine-rank", type=int, default=0, help="0 on the first machine")
    parser.add_argument("--dist-url", default="auto", help="tcp://host:port of the first machine")
    parser.add_argument("--options", nargs="+", default=[], metavar="KEY=VALUE", help="config entries to change")
    return parser


def describe_error(error):
    """The sentence of an error; KeyError's text without the quotes that python adds."""
    if is_out_of_memory(error):
        return "memory ran out: use smaller scenes (max_voxels), a smaller batch_size, fewer workers, or another device"
    if isinstance(error, OSError) and error.filename is not None and str(error).startswith("[Errno"):
        hint = HINTS.get(error.errno)
        return f"{error.filename}: {(error.strerror or type(error).__name__).lower()}" + (f"; {hint}." if hint else "")
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return " ".join(text.split()) or type(error).__name__


def is_out_of_memory(error):
    """Whether numpy, torch on a CPU or torch on a GPU found no memory (torch says it by the text of a RuntimeError)."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and any(words in str(error) for words in NO_MEMORY))
    )


def run_command(main, argv=None):
    """Call `main(argv)` and return the exit code.

    Its own; 1 for an error we explain; 2 when the call itself is wrong; 70 for an error that nobody foresaw, which is
    said to be ours. MSM_DEBUG=1 shows the traceback too.
    """
    try:
        return main(sys.argv[1:] if argv is None else argv) or 0
    except BrokenPipeError:  # whoever read our output has gone, as `head` does
        _leave_pipe()
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except Exception as error:
        return _report(error)


def _report(error):
    if os.environ.get("MSM_DEBUG") == "1":
        traceback.print_exception(type(error), error, error.__traceback__)
    if isinstance(error, EXPECTED_ERRORS) or is_out_of_memory(error):
        _say(f"error: {describe_error(error)}")
        return 2 if isinstance(error, USAGE_ERRORS) or type(error).__name__ == "UsageError" else 1
    _say(
        f"error: {UNFORESEEN}: {type(error).__name__}: {describe_error(error)}; {_place(error)}; please report it with "
        "what MSM_DEBUG=1 shows (a training run's train.log has it too)"
    )
    return 70  # EX_SOFTWARE


def _place(error):
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{os.path.basename(frame.filename)}, line {frame.lineno}"


def _say(sentence):
    """Print to standard error whatever the name of a file holds."""
    print(sentence.encode("utf-8", "backslashreplace").decode("utf-8"), file=sys.stderr)


def _leave_pipe():
    """Let the interpreter's last flush of standard output go nowhere instead of failing again."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
