"""The logger "msm": console and `train.log` on rank 0, errors only elsewhere; console lines leave a tqdm bar intact.

A line that cannot be written (full disk, closed terminal, a name in no encoding) never ends a run.
"""

import logging
import sys
from contextlib import suppress
from pathlib import Path

from tqdm import tqdm

from pointcept_msm.runtime import comm

FORMAT = "[%(asctime)s %(levelname)s] %(message)s"


class BarSafeHandler(logging.Handler):
    """Writes through tqdm; leaves out step lines on a terminal, where the bar shows them."""

    def emit(self, record):
        if getattr(record, "file_only", False) or (getattr(record, "step_line", False) and sys.stderr.isatty()):
            return
        with suppress(OSError, ValueError):  # the terminal, or the pipe, was closed
            text, encoding = self.format(record), getattr(sys.stdout, "encoding", None) or "utf-8"
            tqdm.write(text.encode(encoding, "backslashreplace").decode(encoding), file=sys.stdout)
            sys.stdout.flush()


class DiskSafeHandler(logging.FileHandler):
    """A log file; what a full disk refuses is kept and written later, and said once on standard error."""

    def __init__(self, path, mode):
        super().__init__(path, mode=mode, encoding="utf-8", errors="backslashreplace")
        self.failing = False

    def emit(self, record):
        super().emit(record)
        if self.failing and self.stream is not None:
            with suppress(OSError):
                self.stream.flush()
                self.failing = False

    def handleError(self, record):
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self.failing:
            self.failing = True
            with suppress(OSError):
                sys.stderr.write(f"{self.baseFilename} cannot be written for now ({error}); the run goes on\n")

    def close(self):
        with suppress(OSError):  # on a disk that is still full: close the file, lose the last lines
            super().close()


def build_logger(log_file=None, append=False):
    """Configure and return the logger; calling it again moves the log to the new file."""
    logger = close_logger()
    logger.propagate = False
    level = logging.INFO if comm.is_main_process() else logging.ERROR
    logger.setLevel(level)
    handlers = [BarSafeHandler()]
    if log_file is not None and comm.is_main_process():
        Path(log_file).parent.mkdir(parents=True, exist_ok=True)
        handlers.append(DiskSafeHandler(log_file, mode="a" if append else "w"))
    for handler in handlers:
        handler.setFormatter(logging.Formatter(FORMAT, "%Y-%m-%d %H:%M:%S"))
        logger.addHandler(handler)
    return logger


def close_logger():
    """Drop this module's handlers and hand the logger back to whoever configures logging."""
    logger = logging.getLogger("msm")
    for handler in list(logger.handlers):
        if isinstance(handler, (BarSafeHandler, logging.FileHandler)):
            logger.removeHandler(handler)
            handler.close()
    logger.propagate = True
    logger.setLevel(logging.NOTSET)
    return logger
