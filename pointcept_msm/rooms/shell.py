"""The empty room: a rectangular or L-shaped plan, walls with openings, floor, ceiling, doors and windows."""

from typing import NamedTuple

import numpy as np

from pointcept_msm.rooms.footprints import Volume
from pointcept_msm.rooms.furniture import pick
from pointcept_msm.rooms.palette import sample_material, vary_material
from pointcept_msm.rooms.primitives import Part, PartList, move_parts, rotation

THICKNESS = 0.2  # of walls, metres
OUTSIDE = 1.8  # how far floor and ceiling reach beyond the room: seen through open doors


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
    notch = _sample_notch(rng, width, depth) if min(width, depth) > 3.6 and rng.random() < 0.35 else None
    walls = _build_walls(width, depth, notch)
    openings = _sample_openings(rng, walls, height)
    groups = [("floor", _build_floor(rng, width, depth)), ("ceiling", _build_ceiling(rng, width, depth, height))]
    groups.append(("wall", _build_wall_parts(rng, walls, openings, height)))
    leaves: list[Volume] = []
    for opening in openings:
        _fill_opening(rng, walls[opening.wall], opening, groups, leaves)
    return Shell((width, depth, height), walls, openings, notch, groups, leaves)


def _sample_notch(rng, width, depth) -> Volume:
    half_x, half_y = rng.uniform(0.18, 0.3) * width / 2, rng.uniform(0.18, 0.32) * depth / 2
    x, y = pick(rng, (-1, 1)) * (width / 2 - half_x), pick(rng, (-1, 1)) * (depth / 2 - half_y)
    return Volume(x, y, half_x, half_y, 0.0, -1.0, 9.0)


def _build_walls(width, depth, notch) -> list[Wall]:
    """Walls counter-clockwise; the corner of a notch is replaced by its three other corners."""
    corners, notched = [], []
    for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        corner = np.array([x * width / 2, y * depth / 2])
        if notch is None or x * notch.x < 0 or y * notch.y < 0:
            corners.append(corner)
            notched.append(False)
            continue
        inner_x, inner_y = x * (width / 2 - 2 * notch.half_x), y * (depth / 2 - 2 * notch.half_y)
        across, down = np.array([corner[0], inner_y]), np.array([inner_x, corner[1]])
        corners += (
            [across, np.array([inner_x, inner_y]), down] if x * y > 0 else [down, np.array([inner_x, inner_y]), across]
        )
        notched += [True, True, False]
    walls = []
    for index, start in enumerate(corners):
        step = corners[(index + 1) % len(corners)] - start
        length = float(np.abs(step).sum())  # walls run along x or y
        along = step / length
        walls.append(Wall(start, along, np.array([-along[1], along[0]]), length, notched[index]))
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


def _build_floor(rng, width, depth) -> list[Part]:
    parts, material = PartList(), sample_material(rng, "floor")
    parts.box((0, 0, -0.1), (width + 2 * OUTSIDE, depth + 2 * OUTSIDE, 0.2), material)
    return parts


def _build_ceiling(rng, width, depth, height) -> list[Part]:
    parts, material = PartList(), sample_material(rng, "ceiling")
    parts.box((0, 0, height + 0.1), (width + 2 * OUTSIDE, depth + 2 * OUTSIDE, 0.2), material)
    if rng.random() < 0.3:
        across = rng.uniform(-0.3, 0.3) * depth
        parts.box((0, across, height - 0.06), (width, 0.16, 0.12), vary_material(rng, material, 0.2))
    return parts


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
    x, y = wall.point((opening.s0 + opening.s1) / 2)
    width = opening.s1 - opening.s0
    if opening.name == "window":
        groups.append(("window", move_parts(_build_window(rng, width, opening.z0, opening.z1), (x, y, 0.0), wall.yaw)))
        return
    angle = rng.uniform(0.35, 1.45) if rng.random() < 0.4 else 0.0
    parts = _build_door(rng, width, opening.z1, angle)
    groups.append(("door", move_parts(parts, (x, y, 0.0), wall.yaw)))
    if angle:
        leaf = move_parts(parts[:1], (x, y, 0.0), wall.yaw)[0]
        leaves.append(
            Volume(leaf.center[0], leaf.center[1], leaf.half[0] + 0.02, 0.08, wall.yaw - angle, 0.0, opening.z1)
        )
        middle = (opening.s0 + opening.s1) / 2
        groups.append(
            (
                "wall",
                _wall_box(wall, (middle - 1.6, middle + 1.6), (0.0, 2.4), (-1.6, -1.4), sample_material(rng, "wall")),
            )
        )


def _build_door(rng, width, height, angle) -> list[Part]:
    """A door leaf first, its panels and handle, then the frame; opened by `angle` into the room (towards -y)."""
    leaf, frame = (
        sample_material(rng, pick(rng, ("hard", "hard", "wall"))),
        sample_material(rng, pick(rng, ("hard", "wall"))),
    )
    span, swing = width - 0.1, PartList()
    swing.box((span / 2, 0, (height - 0.05) / 2), (span, 0.04, height - 0.06), leaf)
    rows = int(rng.integers(1, 4))
    for z in (np.arange(rows) + 0.5) * (height - 0.3) / rows + 0.12:
        for side in (-0.022, 0.022):
            swing.box(
                (span / 2, side, z), (span * 0.7, 0.012, (height - 0.3) / rows * 0.8), vary_material(rng, leaf, 0.15)
            )
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
    frame, glass, parts = (
        sample_material(rng, pick(rng, ("hard", "wall", "metal"))),
        sample_material(rng, "glass"),
        PartList(),
    )
    middle, height, edge = (low + high) / 2, high - low, rng.uniform(0.05, 0.08)
    columns = max(int(round(width / rng.uniform(0.5, 1.0))), 1)
    for x in np.linspace(-1, 1, columns + 1) * (width - edge) / 2:
        parts.box((x, 0.1, middle), (edge, 0.06, height), frame)
    bars = [low + edge / 2, high - edge / 2] + ([low + height * rng.uniform(0.3, 0.7)] if rng.random() < 0.4 else [])
    for z in bars:
        parts.box((0, 0.1, z), (width, 0.06, edge), frame)
    parts.box((0, 0.12, middle), (width, 0.012, height), glass)
    parts.box((0, 0.0, low - 0.012), (width + 0.1, 0.26, 0.03), sample_material(rng, "hard"))
    if rng.random() < 0.4:
        parts.box(
            (width * 0.2, 0.06, middle - 0.05), (0.03, 0.03, 0.12), sample_material(rng, "metal"), rotation(pitch=0.2)
        )
    return parts
