"""Masked Scene Modeling (CVPR 2025): self-supervised learning on 3D scenes, as a Pointcept plugin or on its own.

Importing the package chooses the host (see `pointcept_msm.host`) and registers every class in it, in spawned processes
too. `pointcept_msm.load()` returns a feature extractor with the shipped weights, `load(name_or_path)` with others.
"""

import sys
from importlib import import_module

__version__ = "0.1.0"

REGISTERING_MODULES = ("pointcept_msm.models", "pointcept_msm.datasets", "pointcept_msm.engines")


def _register() -> None:
    """Import every subpackage that registers classes."""
    for name in REGISTERING_MODULES:
        import_module(name)


def load(*args, **kwargs):
    """Load a feature extractor by name or path; see `pointcept_msm.features.extractor.load`."""
    from pointcept_msm.features.extractor import load as load_extractor

    return load_extractor(*args, **kwargs)


def show(*args, **kwargs):
    """A picture (PIL image) of the features of a scene, or of several; see `pointcept_msm.pictures.show.show`."""
    from pointcept_msm.pictures.show import show as show_features

    return show_features(*args, **kwargs)


# `python -m pointcept_msm.link` may come before torch is installed, so it registers nothing.
if not (sys.argv[:1] == ["-m"] and f"{__name__}.link" in sys.orig_argv):
    _register()
