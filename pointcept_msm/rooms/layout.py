"""The room and where things stand in it: plan, walls with openings, doors and windows; furniture against walls, around
and on other furniture, free in the room, never inside one another.
"""

from typing import NamedTuple

import numpy as np

from pointcept_msm.rooms.furniture import Furniture
from pointcept_msm.rooms.solids import Part, PartList, move_parts, pick, rotation, sample_material, vary_material

THICKNESS = 0.2  # of walls, metres
OUTSIDE = 1.8  # how far floor and ceiling reach beyond the room: seen through open doors


class Volume(NamedTuple):
    """A box turned about z: centre x, y, half extents, yaw, lowest and highest z (metres, radians)."""

    x: float
    y: float
    half_x: float
    half_y: float
    yaw: float
    low: float
    high: float


def volume_corners(volume: Volume) -> np.ndarray:
    """Corners of the footprint, (4, 2)."""
    c, s = np.cos(volume.yaw), np.sin(volume.yaw)
    u, v = np.array([c, s]) * volume.half_x, np.array([-s, c]) * volume.half_y
    return np.array([volume.x, volume.y]) + np.stack([u + v, u - v, -u - v, -u + v])


def overlaps_any(volume: Volume, others: np.ndarray, margin: float = 0.0) -> bool:
    """True when `volume` comes closer than `margin` to one of `others` (K, 7), rows as in `Volume`.

    Footprints by the separating axis theorem: the largest gap over the four axes of two of them; negative: overlap.
    """
    reach = np.hypot(volume.half_x, volume.half_y) + np.hypot(others[:, 2], others[:, 3]) + margin
    close = np.hypot(others[:, 0] - volume.x, others[:, 1] - volume.y) < reach
    close &= (others[:, 5] < volume.high) & (others[:, 6] > volume.low)
    x, y, half_x, half_y, yaw = others[close, :5].T
    offset, turn = (x - volume.x, y - volume.y), yaw - volume.yaw
    c, s = np.abs(np.cos(turn)), np.abs(np.sin(turn))
    own, theirs = _rotate(*offset, -volume.yaw), _rotate(*offset, -yaw)
    gaps = (
        np.abs(own[0]) - volume.half_x - half_x * c - half_y * s,
        np.abs(own[1]) - volume.half_y - half_x * s - half_y * c,
        np.abs(theirs[0]) - half_x - volume.half_x * c - volume.half_y * s,
        np.abs(theirs[1]) - half_y - volume.half_x * s - volume.half_y * c,
    )
    return bool((np.max(gaps, axis=0) < margin).any())


def _rotate(x, y, yaw):
    c, s = np.cos(yaw), np.sin(yaw)
    return c * x - s * y, s * x + c * y


class Wall(NamedTuple):
    """Inner face of a wall: start (2,), unit direction (2,), inward normal (2,), length, whether it bounds a notch."""

    start: np.ndarray
    along: np.ndarray
    inward: np.ndarray
    length: float
    notched: bool

    @property
    def yaw(self) -> float:
        """Yaw that turns furniture's back to this wall; its x axis then runs against `along`."""
        return float(np.arctan2(self.inward[0], -self.inward[1]))

    def point(self, s: float, out: float = 0.0) -> np.ndarray:
        """Point (2,) `s` metres along the wall and `out` metres into the room."""
        return self.start + s * self.along + out * self.inward


class Opening(NamedTuple):
    """A hole in wall number `wall`: span along it, span in height, and the class that fills it ("door" or "window")."""

    wall: int
    s0: float
    s1: float
    z0: float
    z1: float
    name: str


class Shell(NamedTuple):
    """The empty room in its own frame, centred on the origin, floor at z = 0."""

    size: tuple[float, float, float]  # of the bounding rectangle, and height
    walls: list[Wall]
    openings: list[Opening]
    notch: Volume | None  # the part of the bounding rectangle outside an L-shaped room
    groups: list[tuple[str, list[Part]]]  # class name, parts; one entry an instance for doors and windows
    leaves: list[Volume]  # open door leaves that stand in the room


def build_shell(rng: np.random.Generator, low: tuple[float, float], high: tuple[float, float]) -> Shell:
    """An empty room with a width and depth between `low` and `high` metres."""
    width, depth, height = rng.uniform(low[0], high[0]), rng.uniform(low[1], high[1]), rng.uniform(2.35, 3.0)
    notch = None
    if min(width, depth) > 3.6 and rng.random() < 0.35:
        half_x, half_y = rng.uniform(0.18, 0.3) * width / 2, rng.uniform(0.18, 0.32) * depth / 2
        x, y = pick(rng, (-1, 1)) * (width / 2 - half_x), pick(rng, (-1, 1)) * (depth / 2 - half_y)
        notch = Volume(x, y, half_x, half_y, 0.0, -1.0, 9.0)
    walls = _build_walls(width, depth, notch)
    openings = _sample_openings(rng, walls, height)
    floor, ceiling, outer = PartList(), PartList(), (width + 2 * OUTSIDE, depth + 2 * OUTSIDE, 0.2)
    floor.box((0, 0, -0.1), outer, sample_material(rng, "floor"))
    material = sample_material(rng, "ceiling")
    ceiling.box((0, 0, height + 0.1), outer, material)
    if rng.random() < 0.3:  # a beam
        center = (0, rng.uniform(-0.3, 0.3) * depth, height - 0.06)
        ceiling.box(center, (width, 0.16, 0.12), vary_material(rng, material, 0.2))
    groups = [("floor", floor), ("ceiling", ceiling), ("wall", _build_wall_parts(rng, walls, openings, height))]
    leaves: list[Volume] = []
    for opening in openings:
        _fill_opening(rng, walls[opening.wall], opening, groups, leaves)
    return Shell((width, depth, height), walls, openings, notch, groups, leaves)


def _build_walls(width, depth, notch) -> list[Wall]:
    """Walls counter-clockwise; the corner of a notch is replaced by its three other corners."""
    corners, walls = [], []  # corners: place, whether the wall from here bounds the notch
    for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        corner = np.array([x * width / 2, y * depth / 2])
        if notch is None or x * notch.x < 0 or y * notch.y < 0:
            corners.append((corner, False))
            continue
        inner_x, inner_y = x * (width / 2 - 2 * notch.half_x), y * (depth / 2 - 2 * notch.half_y)
        ends = [np.array([corner[0], inner_y]), np.array([inner_x, corner[1]])][:: 1 if x * y > 0 else -1]
        corners += [(ends[0], True), (np.array([inner_x, inner_y]), True), (ends[1], False)]
    for (start, notched), (end, _) in zip(corners, corners[1:] + corners[:1]):
        step = end - start
        length = float(np.abs(step).sum())  # walls run along x or y
        along = step / length
        walls.append(Wall(start, along, np.array([-along[1], along[0]]), length, notched))
    return walls


def _sample_openings(rng, walls, height) -> list[Opening]:
    """One or two doors on outer walls, up to three windows, at most one of each on a wall, apart from each other."""
    openings: list[Opening] = []
    outer = [index for index, wall in enumerate(walls) if not wall.notched and wall.length > 1.6]
    for index in rng.permutation(outer)[: 1 + int(rng.random() < 0.25)]:
        width = rng.uniform(0.8, 1.0)
        s0 = rng.uniform(0.15, walls[index].length - width - 0.15)
        openings.append(Opening(int(index), s0, s0 + width, 0.0, rng.uniform(1.98, 2.12), "door"))
    for index in rng.permutation(len(walls))[: int(rng.integers(1, 4))]:
        width, sill = rng.uniform(0.7, 1.9), rng.uniform(0.75, 1.05)
        if walls[index].length < width + 0.6:
            continue
        s0 = rng.uniform(0.3, walls[index].length - width - 0.3)
        opening = Opening(int(index), s0, s0 + width, sill, min(rng.uniform(1.95, 2.2), height - 0.2), "window")
        if not any(o.wall == index and s0 < o.s1 + 0.3 and o.s0 < s0 + width + 0.3 for o in openings):
            openings.append(opening)
    return openings


def _build_wall_parts(rng, walls, openings, height) -> list[Part]:
    """Boxes around the openings of every wall, and skirting boards; one wall may have a colour of its own."""
    main, skirting = sample_material(rng, "wall"), sample_material(rng, pick(rng, ("wall", "hard")))
    accent = int(rng.integers(len(walls))) if rng.random() < 0.4 else -1
    parts: list[Part] = []
    for index, wall in enumerate(walls):
        material = sample_material(rng, "wall") if index == accent else main
        spans, s = [], 0.0
        for opening in sorted((o for o in openings if o.wall == index), key=lambda o: o.s0):
            spans += [(s, opening.s0, 0.0, height), (opening.s0, opening.s1, opening.z1, height)]
            spans += [(opening.s0, opening.s1, 0.0, opening.z0)] if opening.z0 > 0 else []
            s = opening.s1
        for s0, s1, z0, z1 in spans + [(s, wall.length, 0.0, height)]:
            parts += _wall_box(wall, (s0, s1), (z0, z1), (-THICKNESS, 0.0), material)
            parts += _wall_box(wall, (s0, s1), (0.0, 0.08), (0.0, 0.012), skirting) if z0 == 0 else []
    return parts


def _wall_box(wall, span, heights, out, material) -> list[Part]:
    """A box on a wall: span along it, heights, and distances `out` into the room (negative: behind its face)."""
    parts, middle = PartList(), wall.point(sum(span) / 2, sum(out) / 2)
    parts.box((0, 0, sum(heights) / 2), (span[1] - span[0], out[1] - out[0], heights[1] - heights[0]), material)
    return move_parts(parts, (middle[0], middle[1], 0.0), wall.yaw)


def _fill_opening(rng, wall, opening, groups, leaves) -> None:
    """Add the door or window of an opening; behind an open door, a corridor's wall."""
    middle, width = (opening.s0 + opening.s1) / 2, opening.s1 - opening.s0
    place = (*wall.point(middle), 0.0)
    if opening.name == "window":
        groups.append(("window", move_parts(_build_window(rng, width, opening.z0, opening.z1), place, wall.yaw)))
        return
    angle = rng.uniform(0.35, 1.45) if rng.random() < 0.4 else 0.0
    parts = move_parts(_build_door(rng, width, opening.z1, angle), place, wall.yaw)
    groups.append(("door", parts))
    if angle:
        (x, y, _), half_x = parts[0].center, parts[0].half[0] + 0.02
        leaves.append(Volume(x, y, half_x, 0.08, wall.yaw - angle, 0.0, opening.z1))
        behind = (middle - 1.6, middle + 1.6), (0.0, 2.4), (-1.6, -1.4)
        groups.append(("wall", _wall_box(wall, *behind, sample_material(rng, "wall"))))


def _build_door(rng, width, height, angle) -> list[Part]:
    """A door leaf first, its panels and handle, then the frame; opened by `angle` into the room (towards -y)."""
    leaf, frame = (sample_material(rng, pick(rng, names)) for names in (("hard", "hard", "wall"), ("hard", "wall")))
    span, swing, rows = width - 0.1, PartList(), int(rng.integers(1, 4))
    swing.box((span / 2, 0, (height - 0.05) / 2), (span, 0.04, height - 0.06), leaf)
    panel = (span * 0.7, 0.012, (height - 0.3) / rows * 0.8)
    for z in (np.arange(rows) + 0.5) * (height - 0.3) / rows + 0.12:
        for side in (-0.022, 0.022):
            swing.box((span / 2, side, z), panel, vary_material(rng, leaf, 0.15))
    metal = sample_material(rng, "metal")
    for side in (-0.05, 0.05):
        swing.box((span - 0.12, side, 1.02), (0.13, 0.025, 0.025), metal)
        swing.box((span - 0.07, side * 0.6, 1.0), (0.04, 0.03, 0.16), metal)
    parts = PartList(move_parts(swing, (-span / 2, 0.03 if angle else 0.05, 0.01), -angle))
    for side in (-1, 1):
        parts.box((side * (width / 2 - 0.022), 0.09, height / 2), (0.045, 0.22, height), frame)
        parts.box((side * (width / 2 + 0.03), -0.008, height / 2), (0.07, 0.016, height), frame)
    parts.box((0, 0.09, height - 0.022), (width, 0.22, 0.045), frame)
    parts.box((0, -0.008, height + 0.03), (width + 0.13, 0.016, 0.07), frame)
    return parts


def _build_window(rng, width, low, high) -> list[Part]:
    """Frame, bars, panes and a sill, set back in the wall."""
    frame, glass = sample_material(rng, pick(rng, ("hard", "wall", "metal"))), sample_material(rng, "glass")
    middle, height, edge, parts = (low + high) / 2, high - low, rng.uniform(0.05, 0.08), PartList()
    columns = max(int(round(width / rng.uniform(0.5, 1.0))), 1)
    for x in np.linspace(-1, 1, columns + 1) * (width - edge) / 2:
        parts.box((x, 0.1, middle), (edge, 0.06, height), frame)
    bars = [low + edge / 2, high - edge / 2] + ([low + height * rng.uniform(0.3, 0.7)] if rng.random() < 0.4 else [])
    for z in bars:
        parts.box((0, 0.1, z), (width, 0.06, edge), frame)
    parts.box((0, 0.12, middle), (width, 0.012, height), glass)
    parts.box((0, 0.0, low - 0.012), (width + 0.1, 0.26, 0.03), sample_material(rng, "hard"))
    if rng.random() < 0.4:
        handle = sample_material(rng, "metal")
        parts.box((width * 0.2, 0.06, middle - 0.05), (0.03, 0.03, 0.12), handle, rotation(pitch=0.2))
    return parts


class Placed(NamedTuple):
    """A piece of furniture and the volume that it occupies, whose x, y, low and yaw are its pose in the room."""

    furniture: Furniture
    volume: Volume


class Room:
    """A shell being furnished. Every `place_` method returns the `Placed` object, or None without a free pose."""

    def __init__(self, shell: Shell, rng: np.random.Generator) -> None:
        self.shell, self.rng = shell, rng
        self.placed: list[Placed] = []
        self._solid = ([shell.notch] if shell.notch else []) + shell.leaves
        self._clear = []  # what must stay free of furniture: doors' swing, the view of windows
        for wall, s0, s1, z0, z1, name in shell.openings:
            depth, wall = 0.95 if name == "door" else 0.25, shell.walls[wall]
            place = wall.point((s0 + s1) / 2, depth / 2)
            self._clear.append(Volume(*place, (s1 - s0) / 2 + 0.07, depth / 2, wall.yaw, z0 - 0.03, z1 + 0.1))

    def is_free(self, volume: Volume, margin: float = 0.01, ignore: Volume | None = None, clear: bool = True) -> bool:
        """True when `volume` lies in the room and keeps `margin` from everything placed (and from `clear`ances)."""
        width, depth, height = self.shell.size
        x, y = np.abs(volume_corners(volume)).max(axis=0)
        if x > width / 2 or y > depth / 2 or volume.high > height:
            return False
        others = [v for v in self._solid if v is not ignore] + (self._clear if clear else [])
        return not overlaps_any(volume, np.array(others).reshape(-1, 7), margin)

    def place_at(self, furniture: Furniture, x, y, yaw, z=0.0, ignore=None, clear=True) -> Placed | None:
        """Put furniture at a pose if that is free."""
        width, depth, height = furniture.size
        volume = Volume(float(x), float(y), width / 2, depth / 2, float(yaw), float(z), float(z) + height)
        if not self.is_free(volume, ignore=ignore, clear=clear):
            return None
        self.placed.append(Placed(furniture, volume))
        self._solid.append(volume)
        return self.placed[-1]

    def place_by_wall(self, furniture: Furniture, walls: list[Wall] | None = None, tries: int = 40) -> Placed | None:
        """Stand furniture with its back to a wall, a little crooked."""
        width, depth, _ = furniture.size
        walls, placed = [w for w in walls or self.shell.walls if w.length > width + 0.06], None
        while walls and tries and not placed:
            wall, tries = pick(self.rng, walls), tries - 1
            s, skew = self.rng.uniform(width / 2 + 0.03, wall.length - width / 2 - 0.03), self.rng.normal(0, 0.015)
            x, y = wall.point(s, depth / 2 + width / 2 * abs(skew) + self.rng.uniform(0.015, 0.06))
            placed = self.place_at(furniture, x, y, wall.yaw + skew)
        return placed

    def place_on_wall(self, furniture: Furniture, low: float, high: float, tries: int = 16) -> Placed | None:
        """Hang furniture flat on a wall with its lower edge between `low` and `high` metres."""
        width, depth, _ = furniture.size
        walls, placed = [w for w in self.shell.walls if w.length > width + 0.1], None
        while walls and tries and not placed:
            wall, tries = pick(self.rng, walls), tries - 1
            x, y = wall.point(self.rng.uniform(width / 2, wall.length - width / 2), depth / 2 + 0.012)
            placed = self.place_at(furniture, x, y, wall.yaw, z=self.rng.uniform(low, high))
        return placed

    def place_free(self, furniture: Furniture, tries: int = 24, square: bool = False) -> Placed | None:
        """Stand furniture anywhere, at any angle or (`square`) roughly along the walls."""
        (width, depth, _), rng, placed = self.shell.size, self.rng, None
        while tries and not placed:
            x, y, tries = rng.uniform(-width / 2, width / 2), rng.uniform(-depth / 2, depth / 2), tries - 1
            yaw = rng.integers(4) * np.pi / 2 + rng.normal(0, 0.06) if square else rng.uniform(-np.pi, np.pi)
            placed = self.place_at(furniture, x, y, yaw)
        return placed

    def place_near(self, furniture: Furniture, anchor: Placed, x, y, turn=0.0, z=0.0) -> Placed | None:
        """Put furniture at (x, y) of the anchor's frame, turned against it by `turn`."""
        return self.place_at(furniture, *_to_room(anchor.volume, x, y), anchor.volume.yaw + turn, z)

    def place_on(
        self, furniture: Furniture, anchor: Placed, support=0, turn=None, back=False, tries=8
    ) -> Placed | None:
        """Stand furniture on a support of the anchor, `back` towards its rear edge, at any angle or at `turn`."""
        if support >= len(anchor.furniture.supports):
            return None
        area, base, placed = anchor.furniture.supports[support], anchor.volume, None
        while tries and not placed:
            angle = self.rng.uniform(-np.pi, np.pi) if turn is None else turn + self.rng.normal(0, 0.1)
            c, s, tries = abs(np.cos(angle)), abs(np.sin(angle)), tries - 1
            spare_x = area.half_x - (furniture.size[0] * c + furniture.size[1] * s) / 2
            spare_y = area.half_y - (furniture.size[0] * s + furniture.size[1] * c) / 2
            if min(spare_x, spare_y) < -1e-9:
                continue
            x = area.x + self.rng.uniform(-1, 1) * max(spare_x, 0)
            y = area.y + self.rng.uniform(0.5 if back else -1, 1) * max(spare_y, 0)
            pose = (*_to_room(base, x, y), base.yaw + angle, base.low + area.z + 0.002)
            placed = self.place_at(furniture, *pose, base, clear=False)
        return placed

    def build_groups(self) -> list[tuple[str, list[Part]]]:
        """(class name, parts in the room's frame) of the shell and of every object."""
        objects = [(f.name, move_parts(f.parts, (v.x, v.y, v.low), v.yaw)) for f, v in self.placed]
        return self.shell.groups + objects


def _to_room(anchor: Volume, x: float, y: float) -> tuple[float, float]:
    c, s = np.cos(anchor.yaw), np.sin(anchor.yaw)
    return anchor.x + c * x - s * y, anchor.y + s * x + c * y
