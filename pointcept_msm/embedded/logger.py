"""The logger "msm": console and `train.log` on rank 0, errors only elsewhere; console lines leave a tqdm bar intact."""

import logging
import sys
from pathlib import Path

from tqdm import tqdm

from pointcept_msm.embedded import comm

FORMAT = "[%(asctime)s %(levelname)s] %(message)s"


class BarSafeHandler(logging.Handler):
    """Writes through tqdm; leaves out step lines on a terminal, where the bar shows them."""

    def emit(self, record):
        if getattr(record, "file_only", False) or (getattr(record, "step_line", False) and sys.stderr.isatty()):
            return
        tqdm.write(self.format(record), file=sys.stdout)
        sys.stdout.flush()


def build_logger(log_file=None, append=False):
    """Configure and return the logger; calling it again moves the log to the new file."""
    logger = close_logger()
    logger.propagate = False
    level = logging.INFO if comm.is_main_process() else logging.ERROR
    logger.setLevel(level)
    handlers = [BarSafeHandler()]
    if log_file is not None and comm.is_main_process():
        Path(log_file).parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(log_file, mode="a" if append else "w"))
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
