"""The embedded host's transforms: Pointcept's names, arguments, behaviour and order of random draws.

A transform is a callable from sample dictionary to sample dictionary, on numpy arrays until `ToTensor`. All randomness
comes from the global generators of `random`, `numpy` and (once) `torch`, drawn in Pointcept's order, so that one seed
gives one batch in both hosts.
"""

from pointcept_msm.embedded.transforms import chromatic, color_jitter, elastic, geometry, sampling, structure
from pointcept_msm.embedded.transforms.compose import Compose

__all__ = ["Compose", "chromatic", "color_jitter", "elastic", "geometry", "sampling", "structure"]
