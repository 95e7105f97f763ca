"""Memory that a step freed, back to the system: scenes differ in size, and glibc's allocator keeps ever more pieces of
freed memory that fit nothing, until a CPU run holds several times what a step needs (docs/results/robustness.md)."""

import ctypes
import functools
import sys

EVERY = 10  # steps


@functools.cache
def _find_trim():
    try:
        return ctypes.CDLL(None).malloc_trim if sys.platform.startswith("linux") else None
    except (AttributeError, OSError):  # another C library, such as musl
        return None


def release_freed_memory(step: int) -> bool:
    """Every `EVERY` steps give freed memory back; whether it was done. Nothing where the C library cannot."""
    trim = _find_trim()
    if trim is None or step % EVERY:
        return False
    trim(0)
    return True
