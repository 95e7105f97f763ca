"""What the scripts in tools/ share: arguments, and errors that end in one sentence instead of a traceback."""

import argparse
import difflib
import os
import sys
import traceback

USAGE_ERRORS = (KeyError, FileNotFoundError, FileExistsError)
EXPECTED_ERRORS = (ValueError, TypeError, OSError, ImportError, NotImplementedError, *USAGE_ERRORS)


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
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return " ".join(text.split()) or type(error).__name__


def run_command(main, argv=None):
    """Call `main(argv)` and return the exit code: its own, 1 for an error we explain, 2 when the call itself is wrong.

    MSM_DEBUG=1 shows the traceback too. Errors that nobody foresaw are raised.
    """
    try:
        return main(sys.argv[1:] if argv is None else argv) or 0
    except EXPECTED_ERRORS as error:
        if os.environ.get("MSM_DEBUG") == "1":
            traceback.print_exc()
        print(f"error: {describe_error(error)}", file=sys.stderr)
        return 2 if isinstance(error, USAGE_ERRORS) or type(error).__name__ == "UsageError" else 1
