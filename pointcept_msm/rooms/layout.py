"""Where furniture stands: against walls, around and on other furniture, free in the room, never inside one another."""

from typing import NamedTuple

import numpy as np

from pointcept_msm.rooms.footprints import Volume, overlaps_any, volume_corners
from pointcept_msm.rooms.furniture import Furniture
from pointcept_msm.rooms.primitives import Part, move_parts
from pointcept_msm.rooms.shell import Shell, Wall


class Placed(NamedTuple):
    """A piece of furniture with its pose in the room's frame, and the volume it occupies."""

    furniture: Furniture
    x: float
    y: float
    z: float
    yaw: float
    volume: Volume


class Room:
    """A shell being furnished. Every `place_` method returns the `Placed` object, or None without a free pose."""

    def __init__(self, shell: Shell, rng: np.random.Generator) -> None:
        self.shell, self.rng = shell, rng
        self.placed: list[Placed] = []
        self._solid = [shell.notch] if shell.notch else []
        self._solid += shell.leaves
        self._clear: list[Volume] = []  # must stay free of furniture: doors' swing, the view of windows
        for opening in shell.openings:
            self._clear.append(_clearance(shell.walls[opening.wall], opening))

    def is_free(self, volume: Volume, margin: float = 0.01, ignore: Volume | None = None, clear: bool = True) -> bool:
        """True when `volume` lies in the room and keeps `margin` from everything placed (and from `clear`ances)."""
        width, depth, height = self.shell.size
        corners = np.abs(volume_corners(volume))
        if corners[:, 0].max() > width / 2 or corners[:, 1].max() > depth / 2 or volume.high > height:
            return False
        others = [v for v in self._solid if v is not ignore] + (self._clear if clear else [])
        return not overlaps_any(volume, np.array(others).reshape(-1, 7), margin)

    def place_at(self, furniture: Furniture, x, y, yaw, z=0.0, ignore=None, clear=True) -> Placed | None:
        """Put furniture at a pose if that is free."""
        width, depth, height = furniture.size
        volume = Volume(float(x), float(y), width / 2, depth / 2, float(yaw), float(z), float(z) + height)
        if not self.is_free(volume, ignore=ignore, clear=clear):
            return None
        self.placed.append(Placed(furniture, volume.x, volume.y, volume.low, volume.yaw, volume))
        self._solid.append(volume)
        return self.placed[-1]

    def place_by_wall(self, furniture: Furniture, walls: list[Wall] | None = None, tries: int = 40) -> Placed | None:
        """Stand furniture with its back to a wall, a little crooked."""
        width, depth, _ = furniture.size
        walls = [w for w in walls or self.shell.walls if w.length > width + 0.06]
        for _ in range(tries if walls else 0):
            wall = walls[int(self.rng.integers(len(walls)))]
            s, skew = self.rng.uniform(width / 2 + 0.03, wall.length - width / 2 - 0.03), self.rng.normal(0, 0.015)
            x, y = wall.point(s, depth / 2 + width / 2 * abs(skew) + self.rng.uniform(0.015, 0.06))
            placed = self.place_at(furniture, x, y, wall.yaw + skew)
            if placed:
                return placed
        return None

    def place_on_wall(self, furniture: Furniture, low: float, high: float, tries: int = 16) -> Placed | None:
        """Hang furniture flat on a wall with its lower edge between `low` and `high` metres."""
        width, depth, _ = furniture.size
        walls = [w for w in self.shell.walls if w.length > width + 0.1]
        for _ in range(tries if walls else 0):
            wall = walls[int(self.rng.integers(len(walls)))]
            x, y = wall.point(self.rng.uniform(width / 2, wall.length - width / 2), depth / 2 + 0.012)
            placed = self.place_at(furniture, x, y, wall.yaw, z=self.rng.uniform(low, high))
            if placed:
                return placed
        return None

    def place_free(self, furniture: Furniture, tries: int = 24, square: bool = False) -> Placed | None:
        """Stand furniture anywhere, at any angle or (`square`) roughly along the walls."""
        width, depth, _ = self.shell.size
        for _ in range(tries):
            x, y = self.rng.uniform(-width / 2, width / 2), self.rng.uniform(-depth / 2, depth / 2)
            yaw = (
                self.rng.integers(4) * np.pi / 2 + self.rng.normal(0, 0.06)
                if square
                else self.rng.uniform(-np.pi, np.pi)
            )
            placed = self.place_at(furniture, x, y, yaw)
            if placed:
                return placed
        return None

    def place_near(self, furniture: Furniture, anchor: Placed, x, y, turn=0.0, z=0.0) -> Placed | None:
        """Put furniture at (x, y) of the anchor's frame, turned against it by `turn`."""
        px, py = _to_room(anchor, x, y)
        return self.place_at(furniture, px, py, anchor.yaw + turn, z)

    def place_on(
        self, furniture: Furniture, anchor: Placed, support=0, turn=None, back=False, tries=8
    ) -> Placed | None:
        """Stand furniture on a support of the anchor, `back` towards its rear edge, at any angle or at `turn`."""
        if support >= len(anchor.furniture.supports):
            return None
        area = anchor.furniture.supports[support]
        for _ in range(tries):
            angle = self.rng.uniform(-np.pi, np.pi) if turn is None else turn + self.rng.normal(0, 0.1)
            c, s = abs(np.cos(angle)), abs(np.sin(angle))
            half_x = (furniture.size[0] * c + furniture.size[1] * s) / 2
            half_y = (furniture.size[0] * s + furniture.size[1] * c) / 2
            spare_x, spare_y = area.half_x - half_x, area.half_y - half_y
            if spare_x < -1e-9 or spare_y < -1e-9:
                continue
            x = area.x + self.rng.uniform(-1, 1) * max(spare_x, 0)
            y = area.y + self.rng.uniform(0.5 if back else -1, 1) * max(spare_y, 0)
            px, py = _to_room(anchor, x, y)
            z = anchor.z + area.z + 0.002
            placed = self.place_at(furniture, px, py, anchor.yaw + angle, z, anchor.volume, clear=False)
            if placed:
                return placed
        return None

    def walls_facing(self, anchor: Placed) -> list[Wall]:
        """Walls that the front of `anchor` looks at."""
        front = np.array([np.sin(anchor.yaw), -np.cos(anchor.yaw)])
        return [w for w in self.shell.walls if float(w.inward @ front) < -0.9]

    def build_groups(self) -> list[tuple[str, list[Part]]]:
        """(class name, parts in the room's frame) of the shell and of every object."""
        objects = [(p.furniture.name, move_parts(p.furniture.parts, (p.x, p.y, p.z), p.yaw)) for p in self.placed]
        return self.shell.groups + objects


def _clearance(wall: Wall, opening) -> Volume:
    """Space before a door (for its leaf) or a window (so that nothing tall hides it)."""
    depth = 0.95 if opening.name == "door" else 0.25
    x, y = wall.point((opening.s0 + opening.s1) / 2, depth / 2)
    return Volume(x, y, (opening.s1 - opening.s0) / 2 + 0.07, depth / 2, wall.yaw, opening.z0 - 0.03, opening.z1 + 0.1)


def _to_room(anchor: Placed, x: float, y: float) -> tuple[float, float]:
    c, s = np.cos(anchor.yaw), np.sin(anchor.yaw)
    return anchor.x + c * x - s * y, anchor.y + s * x + c * y
