"""What the scripts in tools/ share: arguments, and what a user did wrong said in one sentence."""

import argparse
import os
import sys
import traceback
from contextlib import suppress

from pointcept_msm.runtime.errors import UserError

# Said in one sentence. The last two are what the machine or the installation refuses; their texts name it.
EXPLAINED = (UserError, OSError, ImportError)


class OneSentenceParser(argparse.ArgumentParser):
    """Says a mistake in one line, and never guesses a flag from its first letters."""

    def __init__(self, **kwargs):
        super().__init__(allow_abbrev=False, **kwargs)

    def error(self, message):
        self.exit(2, f"{self.prog}: {message}; see --help\n")


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


def run_command(main, argv=None):
    """Call `main(argv)` and return the exit code: its own, or that of an error that is explained in one sentence: 2 for
    what the user did wrong, as for a wrong argument, 1 for what the machine refuses.

    Any other error is a fault of ours and shows its traceback; MSM_DEBUG=1 shows it for the explained ones too.
    """
    try:
        return main(sys.argv[1:] if argv is None else argv) or 0
    except BrokenPipeError:  # whoever read our output has gone, as `head` does
        with suppress(OSError, ValueError):  # the interpreter's last flush goes nowhere instead of failing again
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except EXPLAINED as error:
        if os.environ.get("MSM_DEBUG") == "1":
            traceback.print_exc()
        print(f"error: {' '.join(str(error).split())}".encode("utf-8", "backslashreplace").decode(), file=sys.stderr)
        return 2 if isinstance(error, ValueError) else 1
