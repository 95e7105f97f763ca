"""A file that grows by whole lines: a full disk leaves no half line, and what it refuses is written later."""

import logging
import os

LOGGER = logging.getLogger("msm")


class LineFile:
    """Append lines to `path`. An OSError is logged once; the lines wait in memory until the disk takes them."""

    def __init__(self, path, append=False):
        self.path, self.waiting, self.failing = str(path), [], False
        self.handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | (0 if append else os.O_TRUNC), 0o666)

    def write(self, line):
        """Write `line` and a line end, after the lines that still wait."""
        self.waiting.append(line + "\n")
        end = os.lseek(self.handle, 0, os.SEEK_END)
        try:
            self._write_all("".join(self.waiting).encode("utf-8", "backslashreplace"))
        except OSError as error:
            os.ftruncate(self.handle, end)
            if not self.failing:
                LOGGER.warning(f"{self.path} cannot be written for now ({error}); the run goes on, its lines wait")
            self.failing = True
            return
        self.waiting, self.failing = [], False

    def _write_all(self, data):
        while data:
            data = data[os.write(self.handle, data) :]

    def close(self):
        """Close the file; safe to call twice."""
        handle, self.handle = self.handle, None
        if handle is None:
            return
        if self.waiting:
            LOGGER.warning(f"{self.path}: the last {len(self.waiting)} lines found no room and are lost")
        os.close(handle)
