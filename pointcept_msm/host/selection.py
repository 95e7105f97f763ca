"""Which host runs the package: Pointcept when it is importable, otherwise the embedded one; `MSM_HOST` forces one."""

import importlib.util
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from pointcept_msm.runtime.errors import UserError

LOGGER = logging.getLogger("msm")
ENGINES = Path("pointcept", "engines")  # what makes a folder called pointcept a Pointcept


def select_host(environ: Mapping[str, str] = os.environ) -> str:
    """The host's name, "pointcept" or "embedded"; puts POINTCEPT_ROOT first on sys.path when Pointcept may be used.

    UserError: an unknown MSM_HOST, a demanded Pointcept that cannot be found.
    """
    forced = environ.get("MSM_HOST", "").strip().lower()
    if forced not in ("", "pointcept", "embedded"):
        raise UserError(
            f"MSM_HOST is {forced!r}, allowed are 'pointcept' and 'embedded'; unset it to choose automatically"
        )
    if forced == "embedded":
        if "pointcept.engines.defaults" in sys.modules:
            raise UserError(
                "MSM_HOST=embedded, but Pointcept is running and imports this package; unset MSM_HOST to train in "
                "Pointcept, or use this package's own tools/train.py"
            )
        return forced
    add_pointcept_root(environ.get("POINTCEPT_ROOT", ""))
    if pointcept_is_present():
        return "pointcept"
    if forced == "pointcept":
        raise UserError(
            "MSM_HOST=pointcept, but no 'pointcept.engines' can be imported; set POINTCEPT_ROOT to a Pointcept clone, "
            "or use MSM_HOST=embedded"
        )
    return "embedded"


def add_pointcept_root(root: str) -> None:
    """Put the clone `root` first on sys.path; UserError when it is none, with the clone beside it if there is one."""
    if not root:
        return
    path = Path(root).resolve()
    if not (path / ENGINES).is_dir():
        near = [place for place in (path.parent, *sorted(path.glob("*"))) if (place / ENGINES).is_dir()]
        hint = f"did you mean {near[0]}?" if near else "set it to a Pointcept clone, or use MSM_HOST=embedded."
        raise UserError(f"POINTCEPT_ROOT is {root!r}, which has no folder {ENGINES}: {hint}")
    if str(path) not in sys.path[:1]:
        sys.path.insert(0, str(path))


def pointcept_is_present() -> bool:
    """Whether there is a `pointcept` with `engines` to import, without importing it: the name alone says nothing."""
    if "pointcept" in sys.modules:
        places = getattr(sys.modules["pointcept"], "__path__", ())
    else:
        spec = importlib.util.find_spec("pointcept")
        places = (spec and spec.submodule_search_locations) or ()
    return any(Path(place, "engines").is_dir() for place in places)


def broken_pointcept(error: BaseException) -> ImportError:
    """The error to raise when Pointcept is there and importing it raised `error`."""
    missing = getattr(error, "name", None)
    reason = f"it needs {missing!r} ({error})" if missing else f"its import raised {type(error).__name__}: {error}"
    return ImportError(
        f"Pointcept is present but cannot be imported: {reason}; install what is missing, or set MSM_HOST=embedded to "
        "run without Pointcept"
    )


def register(registry, name: str):
    """Class decorator: register under `name`. A module may be loaded twice: its classes then take their own places."""
    return registry.register_module(name, force=True)
