"""What rooms are made of: solid parts (boxes, tapered cylinders, ellipsoids), each with a material.

Every part is the image of a unit solid under `world = center + rot @ (half * unit)`: the cube [-1, 1]^3, the unit ball,
or the cylinder of radius 1 about z between z = -1 and 1 whose radius shrinks linearly to `1 - taper` at the top.
Rays keep their parameter t under that map, so one intersection routine a kind serves every size and pose.

One palette serves walls, cupboards and book spines alike, so that colour alone does not give the class.
"""

from typing import NamedTuple

import numpy as np

BOX, CYLINDER, ELLIPSOID = 0, 1, 2
UNIT_CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float64)  # (8, 3)
PLAIN, GRAIN, SPECKLE, TILES, PATCHES = range(5)

# fmt: off
WOOD = ((.71, .52, .33), (.55, .36, .21), (.38, .24, .15), (.8, .66, .47), (.62, .47, .36), (.86, .78, .66))
PAINT = ((.9, .89, .86), (.82, .8, .76), (.74, .76, .78), (.84, .79, .68), (.7, .77, .72), (.66, .71, .79))
CLOTH = ((.36, .42, .52), (.52, .3, .27), (.42, .5, .36), (.66, .58, .46), (.45, .44, .43), (.74, .62, .36))
DARK = ((.1, .1, .11), (.18, .17, .17), (.24, .22, .2), (.14, .17, .22))
STEEL = ((.62, .63, .65), (.48, .48, .5), (.78, .79, .8))
LEAF = ((.24, .42, .2), (.36, .5, .26), (.3, .38, .22), (.5, .48, .28))

FAMILIES = {  # name -> colour sets and their weights, textures, scale of the texture in metres, share of rays lost
    "hard": (((WOOD, .5), (PAINT, .32), (DARK, .1), (CLOTH, .08)), (PLAIN, GRAIN, GRAIN), (.05, .16), .02),
    "soft": (((CLOTH, .52), (PAINT, .22), (WOOD, .14), (DARK, .12)), (PLAIN, SPECKLE, SPECKLE, PATCHES), (.05, .25), 0),
    "wall": (((PAINT, .74), (CLOTH, .14), (WOOD, .12)), (PLAIN, PLAIN, SPECKLE), (.3, .6), 0),
    "ceiling": (((PAINT, .88), (WOOD, .12)), (PLAIN, PLAIN, TILES), (.5, .7), 0),
    "floor": (((WOOD, .5), (PAINT, .24), (CLOTH, .18), (DARK, .08)), (TILES, TILES, GRAIN, SPECKLE), (.18, .5), 0),
    "metal": (((STEEL, .6), (DARK, .25), (PAINT, .15)), (PLAIN,), (.1, .2), .12),
    "ceramic": (((PAINT, .8), (STEEL, .12), (WOOD, .08)), (PLAIN,), (.1, .2), .08),
    "screen": (((DARK, .72), (CLOTH, .16), (STEEL, .12)), (PLAIN, PLAIN, PATCHES), (.1, .3), .18),
    "glass": (((STEEL, .5), (PAINT, .3), (CLOTH, .2)), (PLAIN, PATCHES), (.3, .8), .6),
    "leaf": (((LEAF, .8), (CLOTH, .2)), (SPECKLE,), (.05, .1), .02),
    "any": (((CLOTH, .4), (WOOD, .2), (PAINT, .2), (DARK, .1), (LEAF, .1)), (PLAIN, PLAIN, PATCHES, GRAIN),
            (.06, .2), .02),
}
# fmt: on


class Material(NamedTuple):
    """Surface of a part: two colours in [0, 1] mixed by a texture, and the share of rays that never return."""

    color: tuple[float, float, float]
    color2: tuple[float, float, float]
    texture: int
    scale: float
    phase: float
    dropout: float


class Part(NamedTuple):
    """One convex solid in its object's frame (metres; x right, y towards the back, z up)."""

    kind: int
    center: np.ndarray  # (3,)
    half: np.ndarray  # (3,) half extents
    rot: np.ndarray  # (3, 3)
    taper: float
    material: Material


class Solids(NamedTuple):
    """All parts of a room as arrays, P parts."""

    kind: np.ndarray  # (P,)
    center: np.ndarray  # (P, 3)
    half: np.ndarray  # (P, 3)
    rot: np.ndarray  # (P, 3, 3)
    taper: np.ndarray  # (P,)
    materials: tuple[Material, ...]
    segment: np.ndarray  # (P,)
    instance: np.ndarray  # (P,)


def pick(rng: np.random.Generator, options):
    """One of `options`."""
    return options[int(rng.integers(len(options)))]


def sample_material(rng: np.random.Generator, family: str) -> Material:
    """A random material of one family of `FAMILIES`."""
    sets, textures, scales, dropout = FAMILIES[family]
    color, texture = _sample_color(rng, sets), pick(rng, textures)
    second = _sample_color(rng, sets) if texture == PATCHES else color * rng.uniform(0.68, 0.9)
    return Material(tuple(color), tuple(second), texture, rng.uniform(*scales), rng.uniform(0, 6.28), dropout)


def vary_material(rng: np.random.Generator, material: Material, amount: float = 0.06) -> Material:
    """The same material a little lighter or darker (planks, drawer fronts, cushions)."""
    gain = 1 + rng.uniform(-amount, amount)
    shade = [tuple(np.clip(np.array(color) * gain, 0.02, 0.98)) for color in (material.color, material.color2)]
    return material._replace(color=shade[0], color2=shade[1], phase=rng.uniform(0, 6.28))


def _sample_color(rng: np.random.Generator, sets) -> np.ndarray:
    """One colour (3,): a set by weight, a base colour of it, then jitter in brightness and hue."""
    weights = np.cumsum([weight for _, weight in sets])
    choice = sets[int(np.searchsorted(weights, rng.uniform(0, weights[-1]), side="right"))][0]
    base = np.array(pick(rng, choice))
    return np.clip(base * rng.uniform(0.82, 1.16) + rng.normal(0, 0.025, 3), 0.03, 0.97)


def sample_albedo(
    materials: tuple[Material, ...], part: np.ndarray, local: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Colour of each point before light, (N, 3) in [0, 1]; `part` (N,) indexes materials, `local` (N, 3): metres."""
    first, second, texture, scale, phase = (np.array(column)[part] for column in list(zip(*materials))[:5])
    weight = rng.uniform(0, 0.25, len(part))
    for kind in (GRAIN, TILES, PATCHES):
        rows = np.flatnonzero(texture == kind)
        weight[rows] += 0.75 * _blend(kind, *local[rows].T, scale[rows], phase[rows])
    rows = np.flatnonzero(texture == SPECKLE)
    weight[rows] = rng.uniform(0, 1, len(rows))
    return first + weight[:, None] * (second - first)


def _blend(texture, x, y, z, scale, phase):
    """Weight of the second colour, all (N,)."""
    if texture == GRAIN:  # wavy stripes along x, as in wood
        return 0.5 + 0.5 * np.sin(6.283 * ((y + 0.7 * z) / scale) + 1.5 * np.sin(3.0 * x + phase))
    if texture == TILES:  # planks three times as long as wide, each with its own shade, dark joints
        row = np.floor(y / scale)
        along = x / (3 * scale) + 0.37 * row
        shade = np.modf(np.abs(np.sin(12.9898 * np.floor(along) + 78.233 * row + phase)) * 91.7)[0]
        return np.where((y / scale - row < 0.06) | (along - np.floor(along) < 0.02), 1.3, 0.8 * shade)
    # patches: blocks of the two colours, as in pictures, printed covers, patterned cloth
    u = np.sin(x / scale * 3.1 + phase) + 0.6 * np.sin(x / scale * 7.3 + 2 * phase)
    v = np.sin(y / scale * 2.7 + 3 * phase) + np.sin(z / scale * 3.7 + phase)
    return np.where(u + v > 0, 1.0, 0.1)


def rotation(yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> np.ndarray:
    """Rotation Rz(yaw) Ry(roll) Rx(pitch) as a (3, 3) matrix; angles in radians."""
    cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    first = [cy * cr, cy * sr * sp - sy * cp, cy * sr * cp + sy * sp]
    second = [sy * cr, sy * sr * sp + cy * cp, sy * sr * cp - cy * sp]
    return np.array([first, second, [-sr, cr * sp, cr * cp]])


class PartList(list):
    """A list of parts with one method a kind; sizes are full extents in metres, centres in the object's frame."""

    def box(self, center, size, material, rot=None, kind=BOX, taper=0.0):
        half = np.maximum(np.asarray(size, dtype=np.float64) / 2, 1e-3)
        rot = np.eye(3) if rot is None else rot
        self.append(Part(kind, np.asarray(center, dtype=np.float64), half, rot, float(taper), material))

    def cylinder(self, center, size, material, rot=None, taper=0.0):
        """Upright unless `rot` turns it; `size` is (diameter x, diameter y, height)."""
        self.box(center, size, material, rot, CYLINDER, taper)

    def ellipsoid(self, center, size, material, rot=None):
        self.box(center, size, material, rot, ELLIPSOID)

    def legs(self, width, depth, height, thickness, material, round_legs=False):
        """Four legs standing on the floor, flush with the corners of a `width` x `depth` rectangle."""
        add = self.cylinder if round_legs else self.box
        for x in (-(width - thickness) / 2, (width - thickness) / 2):
            for y in (-(depth - thickness) / 2, (depth - thickness) / 2):
                add((x, y, height / 2), (thickness, thickness, height), material)


def part_bounds(parts: list[Part]) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest coordinate of the parts' bounding boxes, two (3,) arrays."""
    corners = np.concatenate([part.center + (UNIT_CORNERS * part.half) @ part.rot.T for part in parts])
    return corners.min(axis=0), corners.max(axis=0)


def move_parts(parts: list[Part], offset, yaw: float = 0.0) -> list[Part]:
    """The parts turned by `yaw` about z, then shifted by `offset` (3,)."""
    turn, offset = rotation(yaw), np.asarray(offset, dtype=np.float64)
    return [part._replace(center=turn @ part.center + offset, rot=turn @ part.rot) for part in parts]


def stack_parts(groups: list[tuple[list[Part], int, int]]) -> Solids:
    """Solids from (parts in the room's frame, segment, instance) groups."""
    groups, segment, instance = zip(*groups)
    *arrays, materials = zip(*(part for group in groups for part in group))
    counts = [len(group) for group in groups]
    return Solids(*map(np.array, arrays), materials, np.repeat(segment, counts), np.repeat(instance, counts))
