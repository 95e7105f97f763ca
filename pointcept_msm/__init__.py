"""Masked Scene Modeling (CVPR 2025): self-supervised learning on 3D scenes, as a Pointcept plugin or on its own.

Importing the package chooses the host (see `pointcept_msm.host`) and registers every class in it, in spawned processes
too. `pointcept_msm.load()` returns a feature extractor with the shipped weights, `load(name_or_path)` with others;
`pointcept_msm.show(scene)` a picture of its features.
"""

import sys
from pathlib import Path

__version__ = "0.1.0"


def _explain(error: ModuleNotFoundError) -> None:
    """One sentence in place of a traceback, where it is a command of ours that this Python lacks a module for."""
    root, program = Path(__file__).resolve().parents[1], Path(sys.argv[0])
    as_module = sys.argv[:1] == ["-m"] and __name__ in sys.orig_argv
    if as_module or program.stem == "msm" or program.resolve().parent == root / "tools":
        clone = (root / "tools" / "env.sh").is_file()
        how = f"`. tools/env.sh` in {root} makes one that has it" if clone else "install the package with pip"
        sys.exit(f"error: this Python ({sys.executable}) has no {error.name}: {how}")


# `python -m pointcept_msm.link` may come before torch is installed, so it registers nothing.
if not (sys.argv[:1] == ["-m"] and f"{__name__}.link" in sys.orig_argv):
    try:
        from pointcept_msm import datasets, engines, models  # noqa: F401  they register their classes
        from pointcept_msm.features.extractor import load  # noqa: F401
        from pointcept_msm.pictures.show import show  # noqa: F401
    except ModuleNotFoundError as error:
        _explain(error)
        raise
