"""What a piece of furniture is: parts, size and surfaces that carry things.

A builder (`seating`, `tables`, `storage`, `fixtures`, `decor`) draws size, style and materials from a generator and
returns a `Furniture` in its own frame: standing on z = 0, centred in x and y, back towards +y, front towards -y.
"""

from typing import NamedTuple

import numpy as np

from pointcept_msm.rooms.primitives import Part, PartList, move_parts, part_bounds


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
    low, high = part_bounds(parts)
    shift = np.array([-(low[0] + high[0]) / 2, -(low[1] + high[1]) / 2, -low[2]])
    moved = tuple(s._replace(x=s.x + shift[0], y=s.y + shift[1], z=s.z + shift[2]) for s in supports)
    return Furniture(name, move_parts(parts, shift), high - low, moved)


def pick(rng: np.random.Generator, options):
    """One of `options`."""
    return options[int(rng.integers(len(options)))]
