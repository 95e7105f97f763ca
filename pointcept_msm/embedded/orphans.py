"""Processes that end with the one that started them, so that a killed run leaves nothing behind that still writes."""

import ctypes
import os
import signal
import sys
from contextlib import suppress

PR_SET_PDEATHSIG = 1  # <sys/prctl.h>


def die_with_parent(number=signal.SIGTERM, parent=None):
    """Ask the kernel to send this process `number` when its parent ends (on Linux only).

    parent: its process id, where it is known: it may be gone before we asked.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if parent is not None and os.getppid() != parent:
        os.kill(os.getpid(), number)
