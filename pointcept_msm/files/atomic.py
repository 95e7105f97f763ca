"""Replace a file in one step: a reader, or a run killed at any moment, sees the old content or the new one."""

import errno
import os
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path


def remove_leftovers(folder):
    """Remove what killed processes left of half-written files; for a folder that nobody else is writing to."""
    for path in Path(folder).glob(".*.tmp"):
        with suppress(OSError):
            path.unlink()


@contextmanager
def replace_file(path, mode="wb"):
    """Yield a file that becomes `path` when the block ends well; otherwise `path` keeps what it had.

    Raises OSError with one sentence when the disk is full or the folder cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, mode) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except (OSError, RuntimeError) as error:
        # torch.save answers a failed write with a RuntimeError of its own while it closes the archive
        cause = error if isinstance(error, OSError) else error.__context__
        if not isinstance(cause, OSError):
            raise
        raise OSError(_explain(path, cause)) from error  # without a number, so that it prints as its sentence alone
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def copy_file(source, target):
    """Give `source` a second name without a moment at which `target` is missing; `source` is never edited in place."""
    temporary = Path(target).with_name(f".{Path(target).name}.{os.getpid()}.tmp")
    try:
        temporary.unlink(missing_ok=True)  # of a killed process that had our number
        os.link(source, temporary)  # no copy of the bytes where the file system has links
    except OSError:
        with replace_file(target) as file, open(source, "rb") as old:
            shutil.copyfileobj(old, file)
        return
    os.replace(temporary, target)
    _sync_folder(Path(target).parent)


def _explain(path, error):
    reason = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"}.get(
        error.errno, str(error.strerror or error).rstrip(".").lower()
    )
    kept = "the file of before is intact" if path.exists() else "nothing was left there"
    return f"cannot write {path}: {reason} ({kept}); make room or choose another folder."


def _sync_folder(folder):
    """Make a rename durable; some file systems do not allow it and do not need it."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
