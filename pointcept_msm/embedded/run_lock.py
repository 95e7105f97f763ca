"""One process writes a run's folder at a time, also when a run that is thought dead is resumed."""

import os
import socket
from contextlib import contextmanager
from pathlib import Path

from pointcept_msm.runtime import comm

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None

NAME = ".lock"


@contextmanager
def lock_run(save_path):
    """Hold the lock of a run's folder on rank 0. Raises FileExistsError when another process holds it.

    It belongs to the process, not to its children, and ends with it however it ends.
    """
    if fcntl is None or not comm.is_main_process():
        yield
        return
    folder = Path(save_path)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / NAME, "a+") as file:
        _take(file, save_path)
        yield


def _take(file, save_path):
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        file.seek(0)
        owner = file.read(200).strip() or "another process"
        raise FileExistsError(
            f"{save_path} is being written by {owner}: wait for it, end it, or choose another name (-n)."
        ) from error
    except OSError:
        return  # a file system without locks
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    file.flush()
