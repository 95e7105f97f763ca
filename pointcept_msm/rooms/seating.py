"""Chairs, armchairs, sofas and beds: seats that look alike up close and differ in shape and size."""

import numpy as np

from pointcept_msm.rooms.furniture import Furniture, Support, finish_furniture, pick
from pointcept_msm.rooms.palette import sample_material, vary_material
from pointcept_msm.rooms.primitives import PartList, rotation


def build_chair(rng: np.random.Generator, style: str | None = None) -> Furniture:
    """A chair: legs or a swivel base, seat, back; sometimes arms."""
    style = style or pick(rng, ("legs", "legs", "slats", "swivel"))
    width, depth, seat = rng.uniform(0.40, 0.54), rng.uniform(0.40, 0.52), rng.uniform(0.42, 0.50)
    frame, cover = sample_material(rng, pick(rng, ("hard", "metal"))), sample_material(rng, pick(rng, ("soft", "hard")))
    parts = PartList()
    parts.box((0, 0, seat), (width, depth, rng.uniform(0.03, 0.08)), cover)
    if style == "swivel":
        _add_swivel_base(parts, seat, frame, rng)
    else:
        parts.legs(width * 0.94, depth * 0.94, seat, rng.uniform(0.03, 0.05), frame, round_legs=rng.random() < 0.5)
    _add_chair_back(parts, rng, style, width, depth, seat, frame, cover)
    if rng.random() < 0.3:
        _add_thin_arms(parts, width, depth, seat, frame)
    return finish_furniture("chair", parts)


def _add_swivel_base(parts, seat, frame, rng):
    parts.cylinder((0, 0, seat / 2), (0.06, 0.06, seat), frame)
    start = rng.uniform(0, 1.2)
    for angle in start + np.arange(5) * 2 * np.pi / 5:
        center = (0.15 * np.cos(angle), 0.15 * np.sin(angle), 0.07)
        parts.box(center, (0.28, 0.045, 0.04), frame, rotation(angle))
        parts.ellipsoid((0.27 * np.cos(angle), 0.27 * np.sin(angle), 0.03), (0.06, 0.06, 0.06), frame)


def _add_chair_back(parts, rng, style, width, depth, seat, frame, cover):
    height, lean = rng.uniform(0.38, 0.56), rng.uniform(0.05, 0.22)
    tilt, y = rotation(pitch=-lean), depth / 2 - 0.02
    if style == "slats":
        for x in np.linspace(-0.46, 0.46, int(rng.integers(3, 7))) * width:
            parts.box((x, y + lean * height / 2, seat + height / 2), (0.035, 0.025, height), frame, tilt)
        parts.box((0, y + lean * height, seat + height), (width, 0.03, 0.09), frame, tilt)
        return
    for x in (-0.4 * width, 0.4 * width):
        parts.box((x, y + lean * height / 2, seat + height / 2), (0.035, 0.03, height), frame, tilt)
    panel = height * rng.uniform(0.5, 0.85)
    z = seat + height - panel / 2
    parts.box((0, y + lean * (z - seat) - 0.01, z), (width * 0.95, rng.uniform(0.03, 0.07), panel), cover, tilt)


def _add_thin_arms(parts, width, depth, seat, frame):
    for x in (-width / 2, width / 2):
        parts.box((x, -0.02, seat + 0.2), (0.045, depth * 0.75, 0.03), frame)
        parts.box((x, -depth * 0.3, seat + 0.1), (0.035, 0.035, 0.2), frame)


def build_armchair(rng: np.random.Generator) -> Furniture:
    """An upholstered seat for one."""
    return _build_couch(rng, "armchair", seats=1)


def build_sofa(rng: np.random.Generator) -> Furniture:
    """An upholstered seat for two to four, sometimes with a chaise."""
    return _build_couch(rng, "sofa", seats=pick(rng, (2, 2, 3, 3, 4)))


def _build_couch(rng, name, seats):
    cover = sample_material(rng, "soft")
    seat_width = rng.uniform(0.55, 0.72) if seats == 1 else rng.uniform(0.52, 0.68)
    depth, seat, arm = rng.uniform(0.78, 0.98), rng.uniform(0.36, 0.46), rng.uniform(0.1, 0.24)
    width, foot = seats * seat_width, rng.uniform(0.03, 0.12)
    parts = PartList()
    parts.legs(width + arm, depth * 0.9, foot + 0.02, 0.05, sample_material(rng, "hard"), round_legs=rng.random() < 0.5)
    parts.box((0, 0, (foot + seat - 0.12) / 2 + foot / 2), (width + arm, depth, seat - 0.12 - foot), cover)
    _add_seat_cushions(parts, rng, seats, seat_width, depth, seat, cover)
    _add_couch_arms(parts, rng, width, depth, seat, foot, arm, cover)
    if seats > 2 and rng.random() < 0.4:
        side = pick(rng, (-1, 1)) * (width - seat_width) / 2
        parts.box(
            (side, -depth / 2 - 0.3, (seat + foot) / 2), (seat_width, 0.62, seat - foot), vary_material(rng, cover)
        )
    return finish_furniture(name, parts)


def _add_seat_cushions(parts, rng, seats, seat_width, depth, seat, cover):
    back, lean = rng.uniform(0.34, 0.52), rng.uniform(0.05, 0.2)
    parts.box((0, depth / 2 - 0.07, seat + back / 2 - 0.06), (seats * seat_width, 0.14, back + 0.12), cover)
    for x in (np.arange(seats) - (seats - 1) / 2) * seat_width:
        cushion = vary_material(rng, cover)
        parts.box((x, -0.06, seat - 0.06), (seat_width * 0.98, depth * 0.84, 0.13), cushion)
        center = (x, depth / 2 - 0.19, seat + back * 0.47)
        parts.box(center, (seat_width * 0.94, 0.13, back * 0.85), cushion, rotation(pitch=-lean))
        if rng.random() < 0.4:
            shift = rng.uniform(-0.1, 0.1)
            turn = rotation(rng.uniform(-0.4, 0.4), -0.35)
            parts.ellipsoid(
                (x + shift, depth / 2 - 0.32, seat + 0.2), (0.42, 0.18, 0.4), sample_material(rng, "soft"), turn
            )


def _add_couch_arms(parts, rng, width, depth, seat, foot, arm, cover):
    height = seat + rng.uniform(0.1, 0.24)
    rounded = rng.random() < 0.4
    for x in (-(width + arm) / 2, (width + arm) / 2):
        parts.box((x, 0, (height + foot) / 2), (arm, depth, height - foot), cover)
        if rounded:
            parts.cylinder((x, 0, height), (arm * 1.1, arm * 1.1, depth), cover, rotation(pitch=np.pi / 2))


def build_bed(rng: np.random.Generator) -> Furniture:
    """A bed: frame, mattress, headboard, pillows and a blanket; the head is the back."""
    width, length, height = (
        pick(rng, (0.9, 1.2, 1.6, 1.8)) * rng.uniform(0.95, 1.05),
        rng.uniform(1.9, 2.1),
        rng.uniform(0.22, 0.36),
    )
    frame, sheet = sample_material(rng, pick(rng, ("hard", "soft"))), sample_material(rng, "soft")
    parts = PartList()
    if rng.random() < 0.5:
        parts.legs(width, length, height, 0.07, frame)
        parts.box((0, 0, height - 0.07), (width, length, 0.14), frame)
    else:
        parts.box((0, 0, height / 2), (width, length, height), frame)
    mattress = rng.uniform(0.16, 0.26)
    top = height + mattress
    parts.box((0, 0, height + mattress / 2), (width * 0.97, length * 0.97, mattress), sheet)
    parts.box((0, length / 2 + 0.03, rng.uniform(0.35, 0.55)), (width + 0.06, 0.06, rng.uniform(0.7, 1.1)), frame)
    _add_bedding(parts, rng, width, length, top)
    if rng.random() < 0.35:
        parts.box((0, -length / 2 - 0.03, 0.3), (width + 0.04, 0.05, 0.6), frame)
    return finish_furniture("bed", parts, (Support(0, -0.3, width * 0.3, length * 0.2, top + 0.05),))


def _add_bedding(parts, rng, width, length, top):
    blanket, cover = sample_material(rng, "soft"), rng.uniform(0.4, 0.75) * length
    parts.box((0, (cover - length) / 2, top - 0.06), (width * 1.02, cover, 0.22), blanket)
    pillow, count = sample_material(rng, "soft"), 1 if width < 1.3 else 2
    for x in (np.arange(count) - (count - 1) / 2) * width / count:
        turn = rotation(rng.uniform(-0.2, 0.2), rng.uniform(-0.3, 0.1))
        parts.ellipsoid((x, length / 2 - 0.26, top + 0.07), (0.6 * min(1, width / count), 0.42, 0.18), pillow, turn)
    if rng.random() < 0.4:
        fold = rotation(rng.uniform(-0.3, 0.3))
        parts.box(
            (rng.uniform(-0.1, 0.1), -length * 0.3, top + 0.07),
            (width * 0.8, 0.4, 0.06),
            sample_material(rng, "soft"),
            fold,
        )
