"""Tables, desks and counters: three flat tops at hand height, told apart by what is below and beside them."""

import numpy as np

from pointcept_msm.rooms.furniture import Furniture, Support, finish_furniture, pick
from pointcept_msm.rooms.palette import sample_material, vary_material
from pointcept_msm.rooms.primitives import PartList


def build_table(rng: np.random.Generator, low: bool | None = None) -> Furniture:
    """A dining or coffee table on four legs, a pedestal or two trestles."""
    low = rng.random() < 0.3 if low is None else low
    height = rng.uniform(0.36, 0.52) if low else rng.uniform(0.70, 0.79)
    width, depth = (
        (rng.uniform(0.7, 1.2), rng.uniform(0.5, 0.7)) if low else (rng.uniform(1.0, 2.0), rng.uniform(0.75, 1.0))
    )
    top, frame = sample_material(rng, "hard"), sample_material(rng, pick(rng, ("hard", "hard", "metal")))
    style = pick(rng, ("legs", "legs", "trestle", "round"))
    if style == "round":
        return _build_round_table(rng, min(width, 1.3), height, top, frame)
    thick, parts = rng.uniform(0.025, 0.05), PartList()
    parts.box((0, 0, height - thick / 2), (width, depth, thick), top)
    if style == "legs":
        parts.legs(width * 0.97, depth * 0.95, height - thick, rng.uniform(0.04, 0.08), frame, rng.random() < 0.3)
        for y in (-0.42 * depth, 0.42 * depth):
            parts.box((0, y, height - thick - 0.04), (width * 0.9, 0.025, 0.08), frame)
    else:
        for x in (-0.38 * width, 0.38 * width):
            parts.box((x, 0, (height - thick) / 2), (0.07, 0.07, height - thick), frame)
            parts.box((x, 0, 0.03), (0.08, depth * 0.8, 0.06), frame)
        parts.box((0, 0, height * 0.4), (width * 0.76, 0.04, 0.1), frame)
    return finish_furniture("table", parts, (Support(0, 0, width / 2, depth / 2, height),))


def _build_round_table(rng, diameter, height, top, frame):
    parts = PartList()
    parts.cylinder((0, 0, height - 0.02), (diameter, diameter, 0.04), top)
    parts.cylinder((0, 0, height / 2), (0.1, 0.1, height - 0.04), frame)
    foot = diameter * rng.uniform(0.45, 0.65)
    parts.cylinder((0, 0, 0.04), (foot, foot, 0.08), frame, taper=rng.uniform(0.1, 0.6))
    return finish_furniture("table", parts, (Support(0, 0, diameter * 0.35, diameter * 0.35, height),))


def build_desk(rng: np.random.Generator) -> Furniture:
    """A desk: top, a drawer unit under one side or under both, a leg or panel, a back panel."""
    width, depth, height = rng.uniform(1.1, 1.8), rng.uniform(0.55, 0.8), rng.uniform(0.70, 0.78)
    top, body = sample_material(rng, "hard"), sample_material(rng, pick(rng, ("hard", "hard", "metal")))
    thick, parts = rng.uniform(0.02, 0.045), PartList()
    parts.box((0, 0, height - thick / 2), (width, depth, thick), top)
    side, under = pick(rng, (-1, 1)), height - thick
    drawers = rng.uniform(0.34, 0.45)
    _add_drawers(parts, rng, side * (width - drawers) / 2, drawers, depth * 0.92, under, body)
    if rng.random() < 0.2:
        _add_drawers(parts, rng, -side * (width - drawers) / 2, drawers, depth * 0.92, under, body)
    elif rng.random() < 0.5:
        parts.box((-side * (width / 2 - 0.02), 0, under / 2), (0.03, depth * 0.92, under), body)
    else:
        for y in (-0.42 * depth, 0.42 * depth):
            parts.box((-side * (width / 2 - 0.04), y, under / 2), (0.05, 0.05, under), body)
    if rng.random() < 0.7:
        panel = rng.uniform(0.25, 0.6)
        parts.box((0, depth * 0.42, under - panel / 2), (width * 0.94, 0.02, panel), body)
    return finish_furniture("desk", parts, (Support(0, 0, width / 2, depth / 2, height),))


def _add_drawers(parts, rng, x, width, depth, height, body):
    """A block of drawers whose fronts stand out a little."""
    parts.box((x, 0, height / 2 + 0.02), (width, depth, height - 0.04), body)
    count = int(rng.integers(2, 5))
    step, handle = (height - 0.06) / count, sample_material(rng, "metal")
    for z in 0.04 + step * (np.arange(count) + 0.5):
        parts.box((x, -depth / 2 - 0.008, z), (width * 0.94, 0.02, step * 0.88), vary_material(rng, body))
        parts.box((x, -depth / 2 - 0.03, z), (width * 0.3, 0.02, 0.02), handle)


def build_counter(rng: np.random.Generator, width: float | None = None, basin: float | None = None) -> Furniture:
    """A worktop over cupboards; `basin` (x of its centre) cuts a hole, whose floor is then the first support."""
    width = rng.uniform(1.2, 2.8) if width is None else width
    depth, height, thick = rng.uniform(0.55, 0.66), rng.uniform(0.84, 0.94), rng.uniform(0.03, 0.05)
    top, body = sample_material(rng, "hard"), sample_material(rng, "hard")
    parts, under = PartList(), height - thick
    hollow = 0.2 if basin is not None else 0.0
    parts.box((0, 0.03, 0.05), (width * 0.98, depth - 0.08, 0.1), sample_material(rng, "hard"))
    parts.box((0, 0.015, (under - hollow + 0.1) / 2), (width, depth - 0.03, under - hollow - 0.1), body)
    supports = (Support(0, 0, width / 2, depth / 2, height),)
    if basin is None:
        parts.box((0, 0, height - thick / 2), (width, depth, thick), top)
    else:
        supports = _add_holed_top(parts, width, depth, height, thick, basin, (top, body))
    _add_cupboard_fronts(parts, rng, width, depth, under, body)
    return finish_furniture("counter", parts, supports)


def _add_holed_top(parts, width, depth, height, thick, basin, materials):
    """The worktop around a hole 0.5 x 0.4 m at x = `basin`, and the body's front and sides up to it."""
    top, body = materials
    left, right, hole_y = basin - 0.25 + width / 2, width / 2 - basin - 0.25, 0.02
    z, under = height - thick / 2, height - thick
    for span, x in ((left, -width / 2 + left / 2), (right, width / 2 - right / 2)):
        parts.box((x, 0, z), (span, depth, thick), top)
        parts.box((x, 0.015, under - 0.1), (span, depth - 0.03, 0.2), body)
    front, back = depth / 2 - 0.2 + hole_y, depth / 2 - 0.2 - hole_y
    for span, y in ((front, -depth / 2 + front / 2), (back, depth / 2 - back / 2)):
        parts.box((basin, y, z), (0.5, span, thick), top)
    parts.box((basin, -depth / 2 + 0.03, under - 0.1), (0.5, 0.03, 0.2), body)
    spare, middle = (left, -width / 2 + left / 2) if left > right else (right, width / 2 - right / 2)
    return Support(basin, hole_y, 0.25, 0.2, under - 0.2), Support(middle, 0, spare / 2, depth / 2, height)


def _add_cupboard_fronts(parts, rng, width, depth, height, body):
    count = max(int(round(width / rng.uniform(0.42, 0.6))), 1)
    step, handle = width / count, sample_material(rng, "metal")
    split = rng.uniform(0.14, 0.2) if rng.random() < 0.6 else 0.0
    for x in (np.arange(count) - (count - 1) / 2) * step:
        lower = height - 0.12 - split
        parts.box(
            (x, -depth / 2 + 0.022, 0.11 + lower / 2), (step * 0.96, 0.02, lower * 0.97), vary_material(rng, body)
        )
        parts.box((x + step * 0.38, -depth / 2, lower - 0.1), (0.02, 0.02, 0.14), handle)
        if split:
            parts.box(
                (x, -depth / 2 + 0.022, height - split / 2), (step * 0.96, 0.02, split * 0.85), vary_material(rng, body)
            )
            parts.box((x, -depth / 2, height - split / 2), (0.14, 0.02, 0.02), handle)
