"""Solid parts that rooms are made of: boxes, (tapered) cylinders and ellipsoids, each with a material.

Every part is the image of a unit solid under `world = center + rot @ (half * unit)`: the cube [-1, 1]^3, the unit ball,
or the cylinder of radius 1 about z between z = -1 and 1 whose radius shrinks linearly to `1 - taper` at the top.
Rays keep their parameter t under that map, so one intersection routine a kind serves every size and pose.
"""

from typing import NamedTuple

import numpy as np

from pointcept_msm.rooms.palette import Material

BOX, CYLINDER, ELLIPSOID = 0, 1, 2
UNIT_CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float64)  # (8, 3)


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


def rotation(yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> np.ndarray:
    """Rotation Rz(yaw) Ry(roll) Rx(pitch) as a (3, 3) matrix; angles in radians."""
    cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    return np.array(
        [
            [cy * cr, cy * sr * sp - sy * cp, cy * sr * cp + sy * sp],
            [sy * cr, sy * sr * sp + cy * cp, sy * sr * cp - cy * sp],
            [-sr, cr * sp, cr * cp],
        ]
    )


class PartList(list):
    """A list of parts with one method a kind; sizes are full extents in metres, centres in the object's frame."""

    def box(self, center, size, material, rot=None):
        self._add(BOX, center, size, material, rot, 0.0)

    def cylinder(self, center, size, material, rot=None, taper=0.0):
        """Upright unless `rot` turns it; `size` is (diameter x, diameter y, height)."""
        self._add(CYLINDER, center, size, material, rot, taper)

    def ellipsoid(self, center, size, material, rot=None):
        self._add(ELLIPSOID, center, size, material, rot, 0.0)

    def legs(self, width, depth, height, thickness, material, round_legs=False):
        """Four legs standing on the floor, flush with the corners of a `width` x `depth` rectangle."""
        add = self.cylinder if round_legs else self.box
        for x in (-1, 1):
            for y in (-1, 1):
                center = (x * (width - thickness) / 2, y * (depth - thickness) / 2, height / 2)
                add(center, (thickness, thickness, height), material)

    def _add(self, kind, center, size, material, rot, taper):
        half = np.maximum(np.asarray(size, dtype=np.float64) / 2, 1e-3)
        matrix = np.eye(3) if rot is None else rot
        self.append(Part(kind, np.asarray(center, dtype=np.float64), half, matrix, float(taper), material))


def part_corners(part: Part) -> np.ndarray:
    """Corners of the part's bounding box in its object's frame, (8, 3)."""
    return part.center + (UNIT_CORNERS * part.half) @ part.rot.T


def part_bounds(parts: list[Part]) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest coordinate over all parts, two (3,) arrays."""
    corners = np.concatenate([part_corners(part) for part in parts])
    return corners.min(axis=0), corners.max(axis=0)


def move_parts(parts: list[Part], offset, yaw: float = 0.0) -> list[Part]:
    """The parts turned by `yaw` about z, then shifted by `offset` (3,)."""
    turn, offset = rotation(yaw), np.asarray(offset, dtype=np.float64)
    return [part._replace(center=turn @ part.center + offset, rot=turn @ part.rot) for part in parts]


def stack_parts(groups: list[tuple[list[Part], int, int]]) -> Solids:
    """Solids from (parts in the room's frame, segment, instance) groups."""
    parts = [part for group, _, _ in groups for part in group]
    counts = [len(group) for group, _, _ in groups]
    return Solids(
        kind=np.array([part.kind for part in parts]),
        center=np.stack([part.center for part in parts]),
        half=np.stack([part.half for part in parts]),
        rot=np.stack([part.rot for part in parts]),
        taper=np.array([part.taper for part in parts]),
        materials=tuple(part.material for part in parts),
        segment=np.repeat([segment for _, segment, _ in groups], counts),
        instance=np.repeat([instance for _, _, instance in groups], counts),
    )
