"""Tensorboard events that a full disk interrupts for a while, but never the run."""

import logging
import threading
import time
from contextlib import suppress

LOGGER = logging.getLogger("msm")
PAUSE = 60.0  # seconds after a failure before another file is tried


def build_event_writer(folder):
    """An `EventWriter` in `folder`; None, with a warning, when tensorboard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        LOGGER.warning("tensorboard is not installed: this run writes no event files.")
        return None
    return EventWriter(lambda: SummaryWriter(str(folder)))


class EventWriter:
    """SummaryWriter's `add_*`, `flush` and `close`; after an OSError events are dropped, and a new file tried later."""

    def __init__(self, open_writer, pause=PAUSE):
        self.open_writer, self.pause, self.writer, self.retry_at = open_writer, pause, None, 0.0
        self._call("flush")

    def __getattr__(self, name):
        if not name.startswith("add_"):
            raise AttributeError(name)
        return lambda *args, **kwargs: self._call(name, *args, **kwargs)

    def flush(self):
        self._call("flush")

    def close(self):
        if self.writer is not None:
            self._call("close")
        self.writer, self.retry_at = None, float("inf")

    def _call(self, name, *args, **kwargs):
        if self.writer is None and time.monotonic() < self.retry_at:
            return
        try:
            if self.writer is None:
                silence_writer_threads()
                self.writer = self.open_writer()
            getattr(self.writer, name)(*args, **kwargs)
        except OSError as error:
            LOGGER.warning(f"tensorboard events are not written for now ({error}); the run goes on")
            self._drop()

    def _drop(self):
        """Leave the broken writer without waiting for what it cannot write."""
        writer, self.writer, self.retry_at = self.writer, None, time.monotonic() + self.pause
        with suppress(Exception):
            for file_writer in (writer.all_writers or {}).values():
                file_writer.event_writer._async_writer._closed = True


def silence_writer_threads():
    """Keep an OSError of tensorboard's own thread off the terminal: it reaches the caller a moment later anyway."""
    if threading.excepthook is not _hook:
        _hook.previous, threading.excepthook = threading.excepthook, _hook


def _hook(arguments):
    if not (isinstance(arguments.exc_value, OSError) and "AsyncWriter" in type(arguments.thread).__name__):
        _hook.previous(arguments)
