"""Lamps, monitors, plants, curtains, pictures and clutter."""

import numpy as np

from pointcept_msm.rooms.furniture import Furniture, finish_furniture, pick
from pointcept_msm.rooms.palette import sample_material, vary_material
from pointcept_msm.rooms.primitives import PartList, rotation


def build_lamp(rng: np.random.Generator, style: str | None = None) -> Furniture:
    """A floor, desk or hanging lamp: foot or rose, stem, shade."""
    style = style or pick(rng, ("floor", "desk"))
    metal, shade = sample_material(rng, "metal"), sample_material(rng, pick(rng, ("soft", "wall", "hard")))
    height = {"floor": rng.uniform(1.3, 1.75), "desk": rng.uniform(0.32, 0.6), "hanging": rng.uniform(0.5, 0.9)}[style]
    width = rng.uniform(0.26, 0.46) * (0.7 if style == "desk" else 1.0)
    tall, parts = rng.uniform(0.55, 0.8) * width, PartList()
    foot = 0.12 if style == "hanging" else width * rng.uniform(0.55, 0.8)
    parts.cylinder((0, 0, height - 0.015 if style == "hanging" else 0.015), (foot, foot, 0.03), metal)
    low, high = (tall, height) if style == "hanging" else (0, height - tall / 2)
    parts.cylinder((0, 0, (low + high) / 2), (0.025, 0.025, high - low), metal)
    z = tall / 2 if style == "hanging" else height - tall / 2
    if rng.random() < 0.3:
        parts.ellipsoid((0, 0, z), (width, width, tall), shade)
    else:
        parts.cylinder((0, 0, z), (width, width, tall), shade, taper=rng.uniform(0.05, 0.6))
    return finish_furniture("lamp", parts)


def build_monitor(rng: np.random.Generator, style: str | None = None) -> Furniture:
    """A screen in a frame on a stand, as a desk monitor, a television, a laptop, or flat for the wall."""
    style = style or pick(rng, ("desk", "desk", "laptop"))
    frame, screen, parts = (
        sample_material(rng, pick(rng, ("screen", "metal", "hard"))),
        sample_material(rng, "screen"),
        PartList(),
    )
    if style == "laptop":
        width = rng.uniform(0.3, 0.38)
        parts.box((0, -0.11, 0.01), (width, 0.23, 0.02), frame)
        tilt = rotation(pitch=-rng.uniform(0.15, 0.4))
        parts.box((0, 0.05, 0.12), (width, 0.012, 0.22), frame, tilt)
        parts.box((0, 0.042, 0.122), (width * 0.93, 0.012, 0.195), screen, tilt)
        return finish_furniture("monitor", parts)
    width = rng.uniform(0.45, 0.68) if style == "desk" else rng.uniform(0.8, 1.3)
    height, lift = width * rng.uniform(0.55, 0.64), 0.0 if style == "wall" else rng.uniform(0.06, 0.14)
    parts.box((0, 0, lift + height / 2), (width, 0.035, height), frame)
    parts.box((0, -0.016, lift + height / 2), (width * 0.95, 0.012, height * 0.91), screen)
    if style == "wall":
        parts.box((0, 0.03, height / 2), (width * 0.4, 0.03, height * 0.4), frame)
    else:
        parts.box((0, 0.02, lift / 2 + 0.05), (0.07, 0.03, lift + 0.1), frame)
        parts.box((0, 0.02, 0.01), (width * 0.45, 0.2, 0.02), frame)
    return finish_furniture("monitor", parts)


def build_plant(rng: np.random.Generator, height: float | None = None) -> Furniture:
    """A pot with soil, stems and leaves."""
    height = rng.uniform(0.5, 1.5) if height is None else height
    pot, leaf, parts = height * rng.uniform(0.24, 0.34), sample_material(rng, "leaf"), PartList()
    width = pot * rng.uniform(0.85, 1.2)
    parts.cylinder((0, 0, pot / 2), (width, width, pot), sample_material(rng, "any"), taper=-rng.uniform(0, 0.3))
    parts.cylinder((0, 0, pot), (width * 0.9, width * 0.9, 0.02), sample_material(rng, "hard"))
    reach = min(height * rng.uniform(0.22, 0.34), 0.42)
    for _ in range(int(rng.integers(12, 26))):
        angle, lift, out = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 1.0), rng.uniform(0.2, 0.9)
        center = (out * reach * np.cos(angle), out * reach * np.sin(angle), pot + lift * (height - pot) * 0.9)
        turn = rotation(angle, rng.uniform(-0.5, 0.5), -rng.uniform(0.1, 1.2))
        size = (reach * rng.uniform(0.5, 0.95), reach * rng.uniform(0.2, 0.5), 0.015)
        parts.ellipsoid(center, size, vary_material(rng, leaf, 0.25), turn)
    stem = sample_material(rng, "hard")
    for _ in range(int(rng.integers(1, 4))):
        lean = rotation(rng.uniform(0, 6.28), rng.uniform(-0.25, 0.25))
        parts.cylinder((0, 0, pot + (height - pot) * 0.4), (0.025, 0.025, (height - pot) * 0.8), stem, lean)
    return finish_furniture("plant", parts)


def build_curtain(rng: np.random.Generator, width: float, height: float) -> Furniture:
    """A rod with cloth in folds; drawn to both sides or across `width` metres."""
    cloth, parts = sample_material(rng, pick(rng, ("soft", "wall"))), PartList()
    rod = sample_material(rng, "metal")
    parts.cylinder((0, 0, height - 0.015), (0.03, 0.03, width), rod, rotation(roll=np.pi / 2))
    fold = rng.uniform(0.07, 0.12)
    left, right = (rng.uniform(0.12, 0.3), rng.uniform(0.12, 0.3)) if rng.random() < 0.75 else (0.5, 0.5)
    columns = np.arange(-width / 2 + fold / 2, width / 2 - fold / 2 + 1e-6, fold)
    for index, x in enumerate(columns):
        if min(x + width / 2, width / 2 - x) <= width * (left if x < 0 else right):
            turn, y = rotation((-1) ** index * rng.uniform(0.5, 0.9)), rng.uniform(-0.008, 0.008)
            parts.box(
                (x, y, (height - 0.03) / 2), (fold * 1.25, 0.012, height - 0.03), vary_material(rng, cloth, 0.1), turn
            )
    return finish_furniture("curtain", parts)


def build_picture(rng: np.random.Generator) -> Furniture:
    """A framed canvas, flat against the wall."""
    width, height, edge = rng.uniform(0.3, 1.2), rng.uniform(0.3, 0.9), rng.uniform(0.02, 0.05)
    frame, parts = sample_material(rng, pick(rng, ("hard", "metal"))), PartList()
    parts.box(
        (0, 0, height / 2),
        (width, 0.02, height),
        sample_material(rng, pick(rng, ("any", "any", "screen", "glass")))._replace(dropout=0.1),
    )
    for side in (-1, 1):
        parts.box((side * (width / 2), -0.005, height / 2), (edge, 0.035, height + edge), frame)
        parts.box((0, -0.005, height / 2 + side * height / 2), (width, 0.035, edge), frame)
    return finish_furniture("picture", parts)


def build_clutter(rng: np.random.Generator, small: bool = True) -> Furniture:
    """Cups, vases, stacks, cartons, bags, bins: small things for tops, larger ones for the floor."""
    style = pick(
        rng,
        (_build_cup, _build_stack, _build_vase, _build_carton) if small else (_build_carton, _build_bag, _build_bin),
    )
    parts = PartList()
    style(parts, rng, 1.0 if small else rng.uniform(1.6, 2.6))
    return finish_furniture("clutter", parts)


def _build_cup(parts, rng, scale):
    width, height, material = rng.uniform(0.08, 0.14), rng.uniform(0.09, 0.2), sample_material(rng, "any")
    parts.cylinder((0, 0, height / 2), (width, width, height), material, taper=rng.uniform(-0.2, 0.3))
    parts.box((width * 0.55, 0, height * 0.55), (0.04, 0.02, height * 0.5), material)


def _build_stack(parts, rng, scale):
    z = 0.0
    for _ in range(int(rng.integers(2, 5))):
        size = (rng.uniform(0.16, 0.3), rng.uniform(0.14, 0.22), rng.uniform(0.02, 0.06))
        parts.box((0, 0, z + size[2] / 2), size, sample_material(rng, "any"), rotation(rng.uniform(-0.4, 0.4)))
        z += size[2]


def _build_vase(parts, rng, scale):
    width, height, material = rng.uniform(0.1, 0.2), rng.uniform(0.14, 0.26), sample_material(rng, "any")
    parts.ellipsoid((0, 0, height / 2), (width, width, height), material)
    parts.cylinder((0, 0, height), (width * 0.45, width * 0.45, height * 0.5), material, taper=rng.uniform(-0.6, 0.2))


def _build_carton(parts, rng, scale):
    width, depth, height = (
        rng.uniform(0.14, 0.28) * scale,
        rng.uniform(0.12, 0.22) * scale,
        rng.uniform(0.08, 0.2) * scale,
    )
    material = sample_material(rng, "any")
    parts.box((0, 0, height / 2), (width, depth, height), material)
    if rng.random() < 0.5:
        parts.box((0, 0, height), (width * 1.05, depth * 1.05, 0.03 * scale), vary_material(rng, material, 0.2))
    else:
        flap = rotation(roll=rng.uniform(-0.9, 0.9))
        parts.box((width * 0.5, 0, height + 0.02), (width * 0.4, depth, 0.01), material, flap)


def _build_bag(parts, rng, scale):
    width, height, material = rng.uniform(0.3, 0.45), rng.uniform(0.3, 0.45), sample_material(rng, "soft")
    parts.ellipsoid((0, 0, height / 2), (width, width * 0.6, height), material)
    parts.ellipsoid(
        (0, -width * 0.25, height * 0.35), (width * 0.6, 0.14, height * 0.5), vary_material(rng, material, 0.2)
    )
    parts.cylinder((0, 0, height), (0.12, 0.12, 0.02), material, rotation(pitch=np.pi / 2))


def _build_bin(parts, rng, scale):
    width, height, material = (
        rng.uniform(0.24, 0.36),
        rng.uniform(0.28, 0.5),
        sample_material(rng, pick(rng, ("metal", "any"))),
    )
    parts.cylinder((0, 0, height / 2), (width, width, height), material, taper=-rng.uniform(0, 0.25))
    parts.cylinder((0, 0, height), (width * 1.1, width * 1.1, 0.03), vary_material(rng, material, 0.3), taper=-0.1)
