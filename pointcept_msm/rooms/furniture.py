"""What a piece of furniture is, and a builder for each kind: tables, storage, fixtures, seats, decoration, clutter.

A builder draws size, style and materials from a generator and returns a `Furniture` in its own frame: standing on
z = 0, centred in x and y, back towards +y, front towards -y.
"""

from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from pointcept_msm.rooms import solids
from pointcept_msm.rooms.solids import Part, PartList, pick, rotation, sample_material, vary_material


class Support(NamedTuple):
    """A level surface that carries things: centre x, y, half extents and height in the furniture's frame."""

    x: float
    y: float
    half_x: float
    half_y: float
    z: float


class Furniture(NamedTuple):
    """Parts of one object in its own frame, its size (width, depth, height) and the surfaces that carry things."""

    name: str  # one of ROOM_CLASSES
    parts: list[Part]
    size: np.ndarray  # (3,)
    supports: tuple[Support, ...] = ()


def finish_furniture(name: str, parts: PartList, supports: tuple[Support, ...] = ()) -> Furniture:
    """Centre the parts over the origin, put them on z = 0 and measure them."""
    low, high = solids.part_bounds(parts)
    shift = np.array([-(low[0] + high[0]) / 2, -(low[1] + high[1]) / 2, -low[2]])
    moved = tuple(s._replace(x=s.x + shift[0], y=s.y + shift[1], z=s.z + shift[2]) for s in supports)
    return Furniture(name, solids.move_parts(parts, shift), high - low, moved)


def build_table(rng: np.random.Generator, low: bool | None = None) -> Furniture:
    """A dining or coffee table on four legs, a pedestal or two trestles."""
    low = rng.random() < 0.3 if low is None else low
    height = rng.uniform(0.36, 0.52) if low else rng.uniform(0.70, 0.79)
    spans = ((0.7, 1.2), (0.5, 0.7)) if low else ((1.0, 2.0), (0.75, 1.0))
    width, depth = (rng.uniform(*span) for span in spans)
    top, frame = sample_material(rng, "hard"), sample_material(rng, pick(rng, ("hard", "hard", "metal")))
    style, parts = pick(rng, ("legs", "legs", "trestle", "round")), PartList()
    if style == "round":
        width = depth = min(width, 1.3)
        parts.cylinder((0, 0, height - 0.02), (width, width, 0.04), top)
        parts.cylinder((0, 0, height / 2), (0.1, 0.1, height - 0.04), frame)
        foot = width * rng.uniform(0.45, 0.65)
        parts.cylinder((0, 0, 0.04), (foot, foot, 0.08), frame, taper=rng.uniform(0.1, 0.6))
        return finish_furniture("table", parts, (Support(0, 0, width * 0.35, width * 0.35, height),))
    thick = rng.uniform(0.025, 0.05)
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


def build_desk(rng: np.random.Generator) -> Furniture:
    """A desk: top, a drawer unit under one side or under both, a leg or panel, a back panel."""
    width, depth, height = rng.uniform(1.1, 1.8), rng.uniform(0.55, 0.8), rng.uniform(0.70, 0.78)
    top, body = sample_material(rng, "hard"), sample_material(rng, pick(rng, ("hard", "hard", "metal")))
    thick, parts = rng.uniform(0.02, 0.045), PartList()
    parts.box((0, 0, height - thick / 2), (width, depth, thick), top)
    side, under, drawers = pick(rng, (-1, 1)), height - thick, rng.uniform(0.34, 0.45)
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
        # The worktop around a hole 0.5 x 0.4 m at x = `basin`, and the body's front and sides up to it.
        left, right, hole_y, z = basin - 0.25 + width / 2, width / 2 - basin - 0.25, 0.02, height - thick / 2
        sides = (left, -width / 2 + left / 2), (right, width / 2 - right / 2)
        for span, x in sides:
            parts.box((x, 0, z), (span, depth, thick), top)
            parts.box((x, 0.015, under - 0.1), (span, depth - 0.03, 0.2), body)
        front, back = depth / 2 - 0.2 + hole_y, depth / 2 - 0.2 - hole_y
        for span, y in ((front, -depth / 2 + front / 2), (back, depth / 2 - back / 2)):
            parts.box((basin, y, z), (0.5, span, thick), top)
        parts.box((basin, -depth / 2 + 0.03, under - 0.1), (0.5, 0.03, 0.2), body)
        spare, middle = sides[0 if left > right else 1]
        hole, rest = (basin, hole_y, 0.25, 0.2, under - 0.2), (middle, 0, spare / 2, depth / 2, height)
        supports = Support(*hole), Support(*rest)
    count = max(int(round(width / rng.uniform(0.42, 0.6))), 1)
    step, handle = width / count, sample_material(rng, "metal")
    split = rng.uniform(0.14, 0.2) if rng.random() < 0.6 else 0.0
    lower, y = under - 0.12 - split, -depth / 2 + 0.022
    for x in (np.arange(count) - (count - 1) / 2) * step:
        parts.box((x, y, 0.11 + lower / 2), (step * 0.96, 0.02, lower * 0.97), vary_material(rng, body))
        parts.box((x + step * 0.38, -depth / 2, lower - 0.1), (0.02, 0.02, 0.14), handle)
        if split:
            parts.box((x, y, under - split / 2), (step * 0.96, 0.02, split * 0.85), vary_material(rng, body))
            parts.box((x, -depth / 2, under - split / 2), (0.14, 0.02, 0.02), handle)
    return finish_furniture("counter", parts, supports)


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
    columns = max(int(round(width / rng.uniform(0.4, 0.62))), 1)  # fronts: doors in one row, or drawers in several
    rows = int(rng.integers(2, 5)) if style in ("bedside", "sideboard") and rng.random() < 0.6 else 1
    step_x, step_z, face = width / columns, (height - foot) / rows, vary_material(rng, body, 0.1)
    handle = sample_material(rng, "metal")
    for x in (np.arange(columns) - (columns - 1) / 2) * step_x:
        for z in foot + (np.arange(rows) + 0.5) * step_z:
            parts.box((x, -depth / 2 - 0.009, z), (step_x * 0.95, 0.02, step_z * 0.95), face)
            grip = (0.02, 0.025, min(0.25, step_z * 0.3)) if rows == 1 else (0.14, 0.025, 0.02)
            parts.box((x + step_x * 0.38 if rows == 1 else x, -depth / 2 - 0.03, z), grip, handle)
    low = height < 1.2 and style != "hanging"
    return finish_furniture("cabinet", parts, (Support(0, 0, width / 2, depth / 2, height + 0.025),) if low else ())


def build_bookshelf(rng: np.random.Generator) -> Furniture:
    """Sides, shelves and a back with rows of books, a few things, sometimes closed at the bottom."""
    width, depth, height = rng.uniform(0.6, 1.3), rng.uniform(0.26, 0.38), rng.uniform(1.1, 2.1)
    body, parts = sample_material(rng, "hard"), PartList()
    for x in (-width / 2, width / 2):
        parts.box((x, 0, height / 2), (0.025, depth, height), body)
    parts.box((0, depth / 2 - 0.01, height / 2), (width, 0.015, height), vary_material(rng, body, 0.12))
    levels = np.linspace(0.06, height - 0.015, max(int(round(height / rng.uniform(0.32, 0.42))), 3) + 1)
    for z in levels:
        parts.box((0, 0, z), (width, depth, 0.025), body)
    closed = int(rng.random() < 0.4) * int(rng.integers(1, 3))
    for index, (low, high) in enumerate(pairwise(levels)):
        if index < closed:
            size = (width * 0.96, 0.02, (high - low) * 0.94)
            parts.box((0, -depth / 2 + 0.012, (low + high) / 2), size, vary_material(rng, body))
        else:
            _add_books(parts, rng, width - 0.05, depth, low + 0.0125, high - low - 0.03)
    return finish_furniture("bookshelf", parts)


def _add_books(parts, rng, width, depth, floor, room):
    """A row of upright blocks of books, leaning at gaps; a lying stack now and then."""
    x, end = -width / 2, width / 2 - 0.02
    while x < end:
        thick, choice = min(rng.uniform(0.03, 0.13), end - x), rng.random()
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
    y = length / 2 + tank / 2 + 0.02
    parts.box((0, y, (top + height - 0.1) / 2), (width * 1.05, tank, top - height + 0.1), body)
    parts.box((0, y, top + 0.015), (width * 1.1, tank + 0.02, 0.03), body)
    return finish_furniture("toilet", parts)


def build_sink(rng: np.random.Generator, inset: bool = False) -> Furniture:
    """A wash basin on a pedestal or cupboard; `inset` is the bowl alone, to hang in a counter's hole (0.5 x 0.4 m)."""
    material, parts = sample_material(rng, pick(rng, ("ceramic", "metal"))), PartList()
    if inset:
        return _finish_basin(parts, rng, (0.47, 0.37), 0.01, 0.19, 0.14, material, 0.19)
    width, depth, height = rng.uniform(0.45, 0.7), rng.uniform(0.38, 0.5), rng.uniform(0.78, 0.88)
    z = height / 2 - 0.04
    if rng.random() < 0.5:
        parts.cylinder((0, depth * 0.15, height / 2 - 0.08), (0.22, 0.22, height - 0.16), material, taper=0.2)
    else:
        parts.box((0, 0.02, z), (width * 0.9, depth * 0.85, height - 0.24), sample_material(rng, "hard"))
        parts.box((0, -depth * 0.42, z), (width * 0.8, 0.015, height * 0.6), sample_material(rng, "hard"))
    return _finish_basin(parts, rng, (width, depth), height - 0.16, 0.16, depth * 0.4, material, height)


def _finish_basin(parts, rng, size, floor, height, tap, material, rim):
    """Four sides and a bottom around a hollow, and a tap at y = `tap`."""
    (width, depth), edge, z = size, 0.035, floor + height / 2
    parts.box((0, 0, floor + 0.015), (width, depth, 0.03), material)
    for side in (-1, 1):
        parts.box((side * (width - edge) / 2, 0, z), (edge, depth, height), material)
    parts.box((0, -(depth - edge) / 2, z), (width, edge, height), material)
    parts.box((0, depth / 2 - edge, z), (width, edge * 2, height), material)
    metal, tall = sample_material(rng, "metal"), rng.uniform(0.12, 0.28)
    parts.cylinder((0, tap, rim + tall / 2), (0.035, 0.035, tall), metal)
    parts.cylinder((0, tap - 0.07, rim + tall), (0.03, 0.03, 0.16), metal, rotation(pitch=np.pi / 2))
    return finish_furniture("sink", parts)


def build_chair(rng: np.random.Generator, style: str | None = None) -> Furniture:
    """A chair: legs or a swivel base, seat, back; sometimes arms."""
    style = style or pick(rng, ("legs", "legs", "slats", "swivel"))
    width, depth, seat = rng.uniform(0.40, 0.54), rng.uniform(0.40, 0.52), rng.uniform(0.42, 0.50)
    frame, cover = (sample_material(rng, pick(rng, names)) for names in (("hard", "metal"), ("soft", "hard")))
    parts = PartList()
    parts.box((0, 0, seat), (width, depth, rng.uniform(0.03, 0.08)), cover)
    if style == "swivel":
        parts.cylinder((0, 0, seat / 2), (0.06, 0.06, seat), frame)
        for angle in rng.uniform(0, 1.2) + np.arange(5) * 2 * np.pi / 5:
            x, y = np.cos(angle), np.sin(angle)
            parts.box((0.15 * x, 0.15 * y, 0.07), (0.28, 0.045, 0.04), frame, rotation(angle))
            parts.ellipsoid((0.27 * x, 0.27 * y, 0.03), (0.06, 0.06, 0.06), frame)
    else:
        parts.legs(width * 0.94, depth * 0.94, seat, rng.uniform(0.03, 0.05), frame, round_legs=rng.random() < 0.5)
    height, lean = rng.uniform(0.38, 0.56), rng.uniform(0.05, 0.22)  # of the back
    tilt, y, slats = rotation(pitch=-lean), depth / 2 - 0.02, style == "slats"
    for x in np.linspace(-0.46, 0.46, int(rng.integers(3, 7))) * width if slats else (-0.4 * width, 0.4 * width):
        post = (0.035, 0.025 if slats else 0.03, height)
        parts.box((x, y + lean * height / 2, seat + height / 2), post, frame, tilt)
    if slats:
        parts.box((0, y + lean * height, seat + height), (width, 0.03, 0.09), frame, tilt)
    else:
        panel = height * rng.uniform(0.5, 0.85)
        z = seat + height - panel / 2
        parts.box((0, y + lean * (z - seat) - 0.01, z), (width * 0.95, rng.uniform(0.03, 0.07), panel), cover, tilt)
    for x in (-width / 2, width / 2) if rng.random() < 0.3 else ():  # arms
        parts.box((x, -0.02, seat + 0.2), (0.045, depth * 0.75, 0.03), frame)
        parts.box((x, -depth * 0.3, seat + 0.1), (0.035, 0.035, 0.2), frame)
    return finish_furniture("chair", parts)


def build_sofa(rng: np.random.Generator, seats: int | None = None) -> Furniture:
    """An upholstered seat for two to four, sometimes with a chaise; an armchair has one of `seats`."""
    seats = seats or pick(rng, (2, 2, 3, 3, 4))
    cover, parts = sample_material(rng, "soft"), PartList()
    seat_width = rng.uniform(0.55, 0.72) if seats == 1 else rng.uniform(0.52, 0.68)
    depth, seat, arm = rng.uniform(0.78, 0.98), rng.uniform(0.36, 0.46), rng.uniform(0.1, 0.24)
    width, foot = seats * seat_width, rng.uniform(0.03, 0.12)
    parts.legs(width + arm, depth * 0.9, foot + 0.02, 0.05, sample_material(rng, "hard"), round_legs=rng.random() < 0.5)
    parts.box((0, 0, (foot + seat - 0.12) / 2 + foot / 2), (width + arm, depth, seat - 0.12 - foot), cover)
    back, lean = rng.uniform(0.34, 0.52), rng.uniform(0.05, 0.2)
    parts.box((0, depth / 2 - 0.07, seat + back / 2 - 0.06), (seats * seat_width, 0.14, back + 0.12), cover)
    for x in (np.arange(seats) - (seats - 1) / 2) * seat_width:
        cushion = vary_material(rng, cover)
        parts.box((x, -0.06, seat - 0.06), (seat_width * 0.98, depth * 0.84, 0.13), cushion)
        center = (x, depth / 2 - 0.19, seat + back * 0.47)
        parts.box(center, (seat_width * 0.94, 0.13, back * 0.85), cushion, rotation(pitch=-lean))
        if rng.random() < 0.4:
            center = (x + rng.uniform(-0.1, 0.1), depth / 2 - 0.32, seat + 0.2)
            turn = rotation(rng.uniform(-0.4, 0.4), -0.35)
            parts.ellipsoid(center, (0.42, 0.18, 0.4), sample_material(rng, "soft"), turn)
    height = seat + rng.uniform(0.1, 0.24)  # of the arms
    rounded = rng.random() < 0.4
    for x in (-(width + arm) / 2, (width + arm) / 2):
        parts.box((x, 0, (height + foot) / 2), (arm, depth, height - foot), cover)
        if rounded:
            parts.cylinder((x, 0, height), (arm * 1.1, arm * 1.1, depth), cover, rotation(pitch=np.pi / 2))
    if seats > 2 and rng.random() < 0.4:
        center = (pick(rng, (-1, 1)) * (width - seat_width) / 2, -depth / 2 - 0.3, (seat + foot) / 2)
        parts.box(center, (seat_width, 0.62, seat - foot), vary_material(rng, cover))
    return finish_furniture("armchair" if seats == 1 else "sofa", parts)


build_armchair = partial(build_sofa, seats=1)


def build_bed(rng: np.random.Generator) -> Furniture:
    """A bed: frame, mattress, headboard, pillows and a blanket; the head is the back."""
    width = pick(rng, (0.9, 1.2, 1.6, 1.8)) * rng.uniform(0.95, 1.05)
    length, height, parts = rng.uniform(1.9, 2.1), rng.uniform(0.22, 0.36), PartList()
    frame, sheet = sample_material(rng, pick(rng, ("hard", "soft"))), sample_material(rng, "soft")
    if rng.random() < 0.5:
        parts.legs(width, length, height, 0.07, frame)
        parts.box((0, 0, height - 0.07), (width, length, 0.14), frame)
    else:
        parts.box((0, 0, height / 2), (width, length, height), frame)
    mattress = rng.uniform(0.16, 0.26)
    top = height + mattress
    parts.box((0, 0, height + mattress / 2), (width * 0.97, length * 0.97, mattress), sheet)
    parts.box((0, length / 2 + 0.03, rng.uniform(0.35, 0.55)), (width + 0.06, 0.06, rng.uniform(0.7, 1.1)), frame)
    blanket, cover = sample_material(rng, "soft"), rng.uniform(0.4, 0.75) * length
    parts.box((0, (cover - length) / 2, top - 0.06), (width * 1.02, cover, 0.22), blanket)
    pillow, count = sample_material(rng, "soft"), 1 if width < 1.3 else 2
    for x in (np.arange(count) - (count - 1) / 2) * width / count:
        turn = rotation(rng.uniform(-0.2, 0.2), rng.uniform(-0.3, 0.1))
        parts.ellipsoid((x, length / 2 - 0.26, top + 0.07), (0.6 * min(1, width / count), 0.42, 0.18), pillow, turn)
    if rng.random() < 0.4:
        fold, center = rotation(rng.uniform(-0.3, 0.3)), (rng.uniform(-0.1, 0.1), -length * 0.3, top + 0.07)
        parts.box(center, (width * 0.8, 0.4, 0.06), sample_material(rng, "soft"), fold)
    if rng.random() < 0.35:
        parts.box((0, -length / 2 - 0.03, 0.3), (width + 0.04, 0.05, 0.6), frame)
    return finish_furniture("bed", parts, (Support(0, -0.3, width * 0.3, length * 0.2, top + 0.05),))


def build_lamp(rng: np.random.Generator, style: str | None = None) -> Furniture:
    """A floor, desk or hanging lamp: foot or rose, stem, shade."""
    style = style or pick(rng, ("floor", "desk"))
    metal, shade = sample_material(rng, "metal"), sample_material(rng, pick(rng, ("soft", "wall", "hard")))
    height = {"floor": rng.uniform(1.3, 1.75), "desk": rng.uniform(0.32, 0.6), "hanging": rng.uniform(0.5, 0.9)}[style]
    width = rng.uniform(0.26, 0.46) * (0.7 if style == "desk" else 1.0)
    tall, parts, hangs = rng.uniform(0.55, 0.8) * width, PartList(), style == "hanging"
    foot = 0.12 if hangs else width * rng.uniform(0.55, 0.8)
    parts.cylinder((0, 0, height - 0.015 if hangs else 0.015), (foot, foot, 0.03), metal)
    low, high, z = (tall, height, tall / 2) if hangs else (0, height - tall / 2, height - tall / 2)
    parts.cylinder((0, 0, (low + high) / 2), (0.025, 0.025, high - low), metal)
    if rng.random() < 0.3:
        parts.ellipsoid((0, 0, z), (width, width, tall), shade)
    else:
        parts.cylinder((0, 0, z), (width, width, tall), shade, taper=rng.uniform(0.05, 0.6))
    return finish_furniture("lamp", parts)


def build_monitor(rng: np.random.Generator, style: str | None = None) -> Furniture:
    """A screen in a frame on a stand, as a desk monitor, a television, a laptop, or flat for the wall."""
    style, parts = style or pick(rng, ("desk", "desk", "laptop")), PartList()
    frame, screen = sample_material(rng, pick(rng, ("screen", "metal", "hard"))), sample_material(rng, "screen")
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
    cloth, parts, rod = sample_material(rng, pick(rng, ("soft", "wall"))), PartList(), sample_material(rng, "metal")
    parts.cylinder((0, 0, height - 0.015), (0.03, 0.03, width), rod, rotation(roll=np.pi / 2))
    fold = rng.uniform(0.07, 0.12)
    left, right = (rng.uniform(0.12, 0.3), rng.uniform(0.12, 0.3)) if rng.random() < 0.75 else (0.5, 0.5)
    size = (fold * 1.25, 0.012, height - 0.03)
    for index, x in enumerate(np.arange(-width / 2 + fold / 2, width / 2 - fold / 2 + 1e-6, fold)):
        if min(x + width / 2, width / 2 - x) <= width * (left if x < 0 else right):
            turn, y = rotation((-1) ** index * rng.uniform(0.5, 0.9)), rng.uniform(-0.008, 0.008)
            parts.box((x, y, (height - 0.03) / 2), size, vary_material(rng, cloth, 0.1), turn)
    return finish_furniture("curtain", parts)


def build_picture(rng: np.random.Generator) -> Furniture:
    """A framed canvas, flat against the wall."""
    width, height, edge = rng.uniform(0.3, 1.2), rng.uniform(0.3, 0.9), rng.uniform(0.02, 0.05)
    frame, parts = sample_material(rng, pick(rng, ("hard", "metal"))), PartList()
    canvas = sample_material(rng, pick(rng, ("any", "any", "screen", "glass")))._replace(dropout=0.1)
    parts.box((0, 0, height / 2), (width, 0.02, height), canvas)
    for side in (-1, 1):
        parts.box((side * (width / 2), -0.005, height / 2), (edge, 0.035, height + edge), frame)
        parts.box((0, -0.005, height / 2 + side * height / 2), (width, 0.035, edge), frame)
    return finish_furniture("picture", parts)


def build_clutter(rng: np.random.Generator, small: bool = True) -> Furniture:
    """Cups, vases, stacks, cartons, bags, bins: small things for tops, larger ones for the floor."""
    style, parts = pick(rng, ("cup", "stack", "vase", "carton") if small else ("carton", "bag", "bin")), PartList()
    scale = 1.0 if small else rng.uniform(1.6, 2.6)
    if style == "cup":
        width, height, material = rng.uniform(0.08, 0.14), rng.uniform(0.09, 0.2), sample_material(rng, "any")
        parts.cylinder((0, 0, height / 2), (width, width, height), material, taper=rng.uniform(-0.2, 0.3))
        parts.box((width * 0.55, 0, height * 0.55), (0.04, 0.02, height * 0.5), material)
    elif style == "stack":
        z = 0.0
        for _ in range(int(rng.integers(2, 5))):
            size = (rng.uniform(0.16, 0.3), rng.uniform(0.14, 0.22), rng.uniform(0.02, 0.06))
            parts.box((0, 0, z + size[2] / 2), size, sample_material(rng, "any"), rotation(rng.uniform(-0.4, 0.4)))
            z += size[2]
    elif style == "vase":
        width, height, material = rng.uniform(0.1, 0.2), rng.uniform(0.14, 0.26), sample_material(rng, "any")
        parts.ellipsoid((0, 0, height / 2), (width, width, height), material)
        neck = (width * 0.45, width * 0.45, height * 0.5)
        parts.cylinder((0, 0, height), neck, material, taper=rng.uniform(-0.6, 0.2))
    elif style == "carton":
        width, depth, height = (rng.uniform(*span) * scale for span in ((0.14, 0.28), (0.12, 0.22), (0.08, 0.2)))
        material = sample_material(rng, "any")
        parts.box((0, 0, height / 2), (width, depth, height), material)
        if rng.random() < 0.5:
            parts.box((0, 0, height), (width * 1.05, depth * 1.05, 0.03 * scale), vary_material(rng, material, 0.2))
        else:
            flap = rotation(roll=rng.uniform(-0.9, 0.9))
            parts.box((width * 0.5, 0, height + 0.02), (width * 0.4, depth, 0.01), material, flap)
    elif style == "bag":
        width, height, material = rng.uniform(0.3, 0.45), rng.uniform(0.3, 0.45), sample_material(rng, "soft")
        parts.ellipsoid((0, 0, height / 2), (width, width * 0.6, height), material)
        pocket = (width * 0.6, 0.14, height * 0.5)
        parts.ellipsoid((0, -width * 0.25, height * 0.35), pocket, vary_material(rng, material, 0.2))
        parts.cylinder((0, 0, height), (0.12, 0.12, 0.02), material, rotation(pitch=np.pi / 2))
    else:
        width, height = rng.uniform(0.24, 0.36), rng.uniform(0.28, 0.5)
        material = sample_material(rng, pick(rng, ("metal", "any")))
        parts.cylinder((0, 0, height / 2), (width, width, height), material, taper=-rng.uniform(0, 0.25))
        parts.cylinder((0, 0, height), (width * 1.1, width * 1.1, 0.03), vary_material(rng, material, 0.3), taper=-0.1)
    return finish_furniture("clutter", parts)
