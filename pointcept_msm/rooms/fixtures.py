"""Toilets, sinks and basins."""

import numpy as np

from pointcept_msm.rooms.furniture import Furniture, finish_furniture, pick
from pointcept_msm.rooms.palette import sample_material
from pointcept_msm.rooms.primitives import PartList, rotation


def build_toilet(rng: np.random.Generator) -> Furniture:
    """A toilet: foot, bowl, seat ring or closed lid, cistern with a lid."""
    body, parts = sample_material(rng, "ceramic"), PartList()
    width, height, length = rng.uniform(0.33, 0.42), rng.uniform(0.36, 0.47), rng.uniform(0.4, 0.52)
    parts.cylinder((0, 0.05, height * 0.4), (width * 0.6, length * 0.6, height * 0.8), body, taper=-0.15)
    parts.ellipsoid((0, 0, height * 0.78), (width, length, height * 0.42), body)
    parts.cylinder((0, 0, height), (width, length, 0.04), body)
    lid = rng.uniform(0.02, 0.04)
    if rng.random() < 0.5:
        parts.cylinder((0, 0, height + lid), (width * 0.97, length * 0.97, lid), sample_material(rng, "ceramic"))
    else:
        parts.cylinder((0, length * 0.42, height + 0.2), (width, 0.4, 0.025), body, rotation(pitch=np.pi / 2 - 0.15))
    tank, top = rng.uniform(0.15, 0.2), height + rng.uniform(0.24, 0.46)
    parts.box(
        (0, length / 2 + tank / 2 + 0.02, (top + height - 0.1) / 2), (width * 1.05, tank, top - height + 0.1), body
    )
    parts.box((0, length / 2 + tank / 2 + 0.02, top + 0.015), (width * 1.1, tank + 0.02, 0.03), body)
    return finish_furniture("toilet", parts)


def build_sink(rng: np.random.Generator, inset: bool = False) -> Furniture:
    """A wash basin on a pedestal or cupboard; `inset` is the bowl alone, to hang in a counter's hole (0.5 x 0.4 m)."""
    material, parts = sample_material(rng, pick(rng, ("ceramic", "metal"))), PartList()
    if inset:
        _add_bowl(parts, 0.47, 0.37, 0.01, 0.19, material)
        _add_tap(parts, rng, 0.14, 0.19)
        return finish_furniture("sink", parts)
    width, depth, height = rng.uniform(0.45, 0.7), rng.uniform(0.38, 0.5), rng.uniform(0.78, 0.88)
    if rng.random() < 0.5:
        parts.cylinder((0, depth * 0.15, height / 2 - 0.08), (0.22, 0.22, height - 0.16), material, taper=0.2)
    else:
        parts.box(
            (0, 0.02, height / 2 - 0.04), (width * 0.9, depth * 0.85, height - 0.24), sample_material(rng, "hard")
        )
        parts.box(
            (0, -depth * 0.42, height / 2 - 0.04), (width * 0.8, 0.015, height * 0.6), sample_material(rng, "hard")
        )
    _add_bowl(parts, width, depth, height - 0.16, 0.16, material)
    _add_tap(parts, rng, depth * 0.4, height)
    return finish_furniture("sink", parts)


def _add_bowl(parts, width, depth, floor, height, material):
    """Four sides and a bottom around a hollow."""
    edge, z = 0.035, floor + height / 2
    parts.box((0, 0, floor + 0.015), (width, depth, 0.03), material)
    for side in (-1, 1):
        parts.box((side * (width - edge) / 2, 0, z), (edge, depth, height), material)
    parts.box((0, -(depth - edge) / 2, z), (width, edge, height), material)
    parts.box((0, depth / 2 - edge, z), (width, edge * 2, height), material)


def _add_tap(parts, rng, y, z):
    metal, tall = sample_material(rng, "metal"), rng.uniform(0.12, 0.28)
    parts.cylinder((0, y, z + tall / 2), (0.035, 0.035, tall), metal)
    parts.cylinder((0, y - 0.07, z + tall), (0.03, 0.03, 0.16), metal, rotation(pitch=np.pi / 2))
