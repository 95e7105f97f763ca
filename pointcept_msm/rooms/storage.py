"""Cabinets and bookshelves: upright boxes that also resemble doors."""

from itertools import pairwise

import numpy as np

from pointcept_msm.rooms.furniture import Furniture, Support, finish_furniture, pick
from pointcept_msm.rooms.palette import sample_material, vary_material
from pointcept_msm.rooms.primitives import PartList, rotation

CABINET_SIZES = {  # style -> ranges of width, depth, height
    "bedside": ((0.38, 0.55), (0.34, 0.45), (0.45, 0.65)),
    "sideboard": ((1.0, 1.9), (0.38, 0.5), (0.45, 0.9)),
    "wardrobe": ((0.8, 1.9), (0.5, 0.64), (1.8, 2.2)),
    "locker": ((0.4, 0.9), (0.4, 0.6), (1.1, 1.9)),
    "hanging": ((0.6, 2.2), (0.3, 0.38), (0.5, 0.8)),
}


def build_cabinet(rng: np.random.Generator, style: str | None = None) -> Furniture:
    """A closed cupboard: body, feet or plinth, door or drawer fronts with handles."""
    style = style or pick(rng, ("bedside", "sideboard", "wardrobe", "locker"))
    width, depth, height = (rng.uniform(*span) for span in CABINET_SIZES[style])
    body, parts = sample_material(rng, "hard"), PartList()
    foot = 0.0 if style == "hanging" else rng.uniform(0.02, 0.14)
    if foot and rng.random() < 0.5:
        parts.legs(width * 0.95, depth * 0.9, foot, 0.045, sample_material(rng, "hard"))
    elif foot:
        parts.box((0, 0.02, foot / 2), (width * 0.96, depth * 0.9, foot), vary_material(rng, body, 0.2))
    parts.box((0, 0, (height + foot) / 2), (width, depth, height - foot), body)
    if rng.random() < 0.4:
        parts.box((0, -0.01, height + 0.012), (width + 0.03, depth + 0.03, 0.025), vary_material(rng, body, 0.15))
    _add_fronts(parts, rng, (width, depth, height), foot, style, body)
    low = height < 1.2 and style != "hanging"
    return finish_furniture("cabinet", parts, (Support(0, 0, width / 2, depth / 2, height + 0.025),) if low else ())


def _add_fronts(parts, rng, size, foot, style, body):
    """Fronts in a grid of columns and rows, as doors (one row) or drawers."""
    width, depth, height = size
    columns = max(int(round(width / rng.uniform(0.4, 0.62))), 1)
    rows = int(rng.integers(2, 5)) if style in ("bedside", "sideboard") and rng.random() < 0.6 else 1
    step_x, step_z, face = width / columns, (height - foot) / rows, vary_material(rng, body, 0.1)
    handle = sample_material(rng, "metal")
    for x in (np.arange(columns) - (columns - 1) / 2) * step_x:
        for z in foot + (np.arange(rows) + 0.5) * step_z:
            parts.box((x, -depth / 2 - 0.009, z), (step_x * 0.95, 0.02, step_z * 0.95), face)
            if rows == 1:
                parts.box((x + step_x * 0.38, -depth / 2 - 0.03, z), (0.02, 0.025, min(0.25, step_z * 0.3)), handle)
            else:
                parts.box((x, -depth / 2 - 0.03, z), (0.14, 0.025, 0.02), handle)


def build_bookshelf(rng: np.random.Generator) -> Furniture:
    """Sides, shelves and a back with rows of books, a few things, sometimes closed at the bottom."""
    width, depth, height = rng.uniform(0.6, 1.3), rng.uniform(0.26, 0.38), rng.uniform(1.1, 2.1)
    body, parts = sample_material(rng, "hard"), PartList()
    for x in (-width / 2, width / 2):
        parts.box((x, 0, height / 2), (0.025, depth, height), body)
    parts.box((0, depth / 2 - 0.01, height / 2), (width, 0.015, height), vary_material(rng, body, 0.12))
    count = max(int(round(height / rng.uniform(0.32, 0.42))), 3)
    levels = np.linspace(0.06, height - 0.015, count + 1)
    for z in levels:
        parts.box((0, 0, z), (width, depth, 0.025), body)
    closed = int(rng.random() < 0.4) * int(rng.integers(1, 3))
    for index, (low, high) in enumerate(pairwise(levels)):
        if index < closed:
            parts.box(
                (0, -depth / 2 + 0.012, (low + high) / 2),
                (width * 0.96, 0.02, (high - low) * 0.94),
                vary_material(rng, body),
            )
        else:
            _add_books(parts, rng, width - 0.05, depth, low + 0.0125, high - low - 0.03)
    return finish_furniture("bookshelf", parts)


def _add_books(parts, rng, width, depth, floor, room):
    """A row of upright blocks of books, leaning at gaps; a lying stack now and then."""
    x, end = -width / 2, width / 2 - 0.02
    while x < end:
        thick = min(rng.uniform(0.03, 0.13), end - x)
        choice = rng.random()
        if choice < 0.14:
            x += rng.uniform(0.08, 0.25)
            continue
        tall, deep = room * rng.uniform(0.6, 0.95), depth * rng.uniform(0.6, 0.85)
        y = depth * 0.42 - deep / 2
        if choice < 0.22 and end - x > 0.24:
            parts.box((x + 0.12, y, floor + room * 0.15), (0.22, deep, room * 0.3), sample_material(rng, "any"))
            x += 0.25
            continue
        lean = rotation(roll=rng.uniform(-0.08, 0.08))
        parts.box((x + thick / 2, y, floor + tall / 2), (thick * 0.95, deep, tall), sample_material(rng, "any"), lean)
        x += thick + rng.uniform(0, 0.012)
