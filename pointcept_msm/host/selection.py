"""Which host runs the package: Pointcept when it is importable, otherwise the embedded one; `MSM_HOST` forces one."""

import importlib.util
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path

LOGGER = logging.getLogger("msm")
HOSTS = ("pointcept", "embedded")


def select_host(environ: Mapping[str, str] = os.environ) -> str:
    """The host's name, "pointcept" or "embedded"; puts POINTCEPT_ROOT first on sys.path when Pointcept may be used.

    Raises ValueError for an unknown MSM_HOST, ImportError when a demanded Pointcept cannot be found.
    """
    forced = environ.get("MSM_HOST", "").strip().lower()
    if forced not in ("", *HOSTS):
        raise ValueError(
            f"MSM_HOST is {forced!r}, allowed are 'pointcept' and 'embedded'; unset it to choose automatically"
        )
    if forced == "embedded":
        if "pointcept.engines.defaults" in sys.modules:
            raise ValueError(
                "MSM_HOST=embedded, but Pointcept is running and imports this package; unset MSM_HOST to train in "
                "Pointcept, or use this package's own tools/train.py"
            )
        return forced
    add_pointcept_root(environ.get("POINTCEPT_ROOT", ""))
    if pointcept_is_present():
        return "pointcept"
    if forced == "pointcept":
        raise ImportError(
            "MSM_HOST=pointcept, but no 'pointcept' can be imported; set POINTCEPT_ROOT to a Pointcept clone, or "
            "use MSM_HOST=embedded"
        )
    return "embedded"


def add_pointcept_root(root: str) -> None:
    """Put the clone `root` first on sys.path; raises ImportError when there is no Pointcept in it."""
    if not root:
        return
    path = Path(root).resolve()
    if not (path / "pointcept").is_dir():
        raise ImportError(
            f"POINTCEPT_ROOT is {root!r}, which has no folder 'pointcept'; set it to a Pointcept clone, or use "
            "MSM_HOST=embedded"
        )
    if str(path) not in sys.path[:1]:
        sys.path.insert(0, str(path))


def pointcept_is_present() -> bool:
    """Whether `import pointcept` finds something, without importing it."""
    return "pointcept" in sys.modules or importlib.util.find_spec("pointcept") is not None


def broken_pointcept(error: BaseException) -> ImportError:
    """The error to raise when Pointcept is there and importing it raised `error`."""
    missing = getattr(error, "name", None)
    reason = f"it needs {missing!r} ({error})" if missing else f"its import raised {type(error).__name__}: {error}"
    return ImportError(
        f"Pointcept is present but cannot be imported: {reason}; install what is missing, or set MSM_HOST=embedded to "
        "run without Pointcept"
    )
