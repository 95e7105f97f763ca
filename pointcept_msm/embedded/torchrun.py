"""torchrun, without its traceback: every process of a run has already said in one sentence why it ended.

    python -m pointcept_msm.embedded.torchrun [torchrun's arguments] script [its arguments]

Ends with the process that started it, and its own processes end with it.
"""

import logging
import signal
import sys

from pointcept_msm.embedded.orphans import die_with_parent

EXPLAINED = (1, 2, 70)  # exit codes of `run_command`, and of Python after a traceback


def main(argv):
    """Run torchrun; returns the exit code of the process that failed first, 0 when none did."""
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    die_with_parent(signal.SIGTERM)
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    try:
        run.main(argv)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        return explain(rank, failure.exitcode)
    except SignalException as error:  # by now the processes have ended, each after its step
        return 128 + int(error.sigval)
    except (ValueError, OSError, RuntimeError) as error:  # the processes could not be started, or not meet
        print(f"error: the processes could not be started: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


def explain(rank, code):
    """The exit code to pass on (128 + signal for a signal); a process that could not speak any more is spoken for."""
    if code in EXPLAINED or code in (128 + signal.SIGTERM, 128 + signal.SIGINT, 128 + signal.SIGHUP):
        return code
    how = f"ended by signal {-code}" if code < 0 else f"ended with code {code}"
    hint = " (as when memory runs out)" if code == -signal.SIGKILL else ""
    print(f"error: process {rank} of the run was {how}{hint}: go on with -r true.", file=sys.stderr)
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
