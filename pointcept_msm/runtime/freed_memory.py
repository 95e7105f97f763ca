"""Memory that a step has done with, back to the system: scenes differ in size, so that on a CPU the allocator keeps
ever more pieces of freed memory that fit nothing, and oneDNN ever more compiled products (docs/results/robustness.md).
"""

import ctypes
import functools
import os
import sys

EVERY = 50  # steps


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


def limit_kernel_cache() -> None:
    """Let oneDNN keep no compiled products: every scene has other shapes, so none is used twice, and up to 1,024 stay.

    To be called before the process's first product; a capacity that the environment states is kept.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "0")
