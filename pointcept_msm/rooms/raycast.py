"""First hits of a spherical grid of rays with the solids of a room.

Each solid is tested only against the rays in the window of azimuth and elevation that its bounding box
covers; a depth buffer keeps the nearest hit, which is what makes one object hide another.
Float64 throughout: differences of one unit in the last place between machines then change no hit.
"""

from typing import NamedTuple

import numpy as np

from pointcept_msm.rooms.primitives import BOX, CYLINDER, UNIT_CORNERS, Solids

MIN_RANGE = 0.05  # metres


class RayGrid(NamedTuple):
    """Directions of a scan: R rows of elevation, C columns of azimuth over the full turn (radians)."""

    elevation: np.ndarray  # (R,) increasing
    azimuth: np.ndarray  # (C,) increasing by a fixed step

    @property
    def steps(self) -> tuple[float, float]:
        """Step of elevation and of azimuth."""
        return float(self.elevation[1] - self.elevation[0]), float(self.azimuth[1] - self.azimuth[0])


def build_grid(rays: int, low: float, high: float, phase: float = 0.0) -> RayGrid:
    """About `rays` rays, square cells at the horizon, elevations `low` to `high`, first column at `phase` cells."""
    step = np.sqrt(2 * np.pi * (high - low) / rays)
    rows, columns = max(int(round((high - low) / step)), 8), max(int(round(2 * np.pi / step)), 16)
    elevation = low + (np.arange(rows) + 0.5) * (high - low) / rows
    return RayGrid(elevation, (np.arange(columns) + phase) * 2 * np.pi / columns - np.pi)


def grid_directions(grid: RayGrid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit vectors along the ray, along growing azimuth and along growing elevation, each (R, C, 3)."""
    ce, se = np.cos(grid.elevation)[:, None], np.sin(grid.elevation)[:, None]
    ca, sa = np.cos(grid.azimuth)[None], np.sin(grid.azimuth)[None]
    flat = np.zeros((len(grid.elevation), len(grid.azimuth)))
    ray = np.stack([ce * ca, ce * sa, se + flat], axis=-1)
    along_azimuth = np.stack([flat - sa, flat + ca, flat], axis=-1)
    along_elevation = np.stack([-se * ca, -se * sa, ce + flat], axis=-1)
    return ray, along_azimuth, along_elevation


def cast_rays(solids: Solids, origin: np.ndarray, grid: RayGrid) -> tuple[np.ndarray, np.ndarray]:
    """Distance (R, C), inf where nothing is hit, and index of the part hit (R, C), -1 where nothing is hit."""
    rows, columns = len(grid.elevation), len(grid.azimuth)
    depth, part = np.full((rows, 2 * columns), np.inf), np.full((rows, 2 * columns), -1)  # two turns: windows may wrap
    ce, se = np.cos(grid.elevation), np.sin(grid.elevation)
    ca, sa = np.tile(np.cos(grid.azimuth), 2), np.tile(np.sin(grid.azimuth), 2)
    to_unit = solids.rot.transpose(0, 2, 1) / solids.half[:, :, None]  # (P, 3, 3)
    local_origin = (to_unit * (origin - solids.center)[:, None, :]).sum(axis=2)  # (P, 3)
    with np.errstate(divide="ignore", invalid="ignore"):
        for index, (r0, r1, c0, c1) in enumerate(_windows(solids, origin, grid)):
            if r0 >= r1:
                continue
            matrix = to_unit[index]
            flat = matrix[:, :1] * ca[c0:c1] + matrix[:, 1:2] * sa[c0:c1]  # (3, c)
            ray = ce[r0:r1, None] * flat[:, None, :] + (matrix[:, 2:] * se[r0:r1])[:, :, None]  # (3, r, c)
            hit = _first_hit(solids, index, local_origin[index], ray)
            window = (slice(r0, r1), slice(c0, c1))
            nearer = (hit > MIN_RANGE) & (hit < depth[window])
            np.copyto(depth[window], hit, where=nearer)
            np.copyto(part[window], index, where=nearer)
    second = depth[:, columns:] < depth[:, :columns]
    merged = np.where(second, part[:, columns:], part[:, :columns])
    return np.where(second, depth[:, columns:], depth[:, :columns]), merged


def _first_hit(solids: Solids, index: int, origin: np.ndarray, ray: np.ndarray) -> np.ndarray:
    """Ray parameter where the ray enters the unit solid; NaN or inf where it misses."""
    if solids.kind[index] == BOX:
        return _hit_box(origin, ray)
    if solids.kind[index] == CYLINDER:
        return _hit_cylinder(origin, ray, solids.taper[index])
    return _hit_ball(origin, ray)


def _hit_box(origin, ray):
    inverse = 1.0 / ray
    middle = -origin[:, None, None] * inverse
    np.abs(inverse, out=inverse)
    enter = (middle - inverse).max(axis=0)
    leave = (middle + inverse).min(axis=0)
    return np.where(enter <= leave, enter, np.inf)


def _hit_ball(origin, ray):
    a = (ray * ray).sum(axis=0)
    b = (origin[:, None, None] * ray).sum(axis=0)
    root = np.sqrt(b * b - a * ((origin * origin).sum() - 1.0))
    return (-b - root) / a


def _hit_cylinder(origin, ray, taper):
    """Unit cylinder with radius `1 - taper * (z + 1) / 2`: its side or one of its caps."""
    slope = -taper / 2
    radius = 1 + slope + slope * origin[2]
    a = ray[0] ** 2 + ray[1] ** 2 - (slope * ray[2]) ** 2
    b = origin[0] * ray[0] + origin[1] * ray[1] - slope * radius * ray[2]
    root = np.sqrt(b * b - a * (origin[0] ** 2 + origin[1] ** 2 - radius**2))
    best = np.full(a.shape, np.inf)
    for side in ((-b - root) / a, (-b + root) / a):
        inside = (np.abs(origin[2] + side * ray[2]) <= 1) & (side > 0)
        best = np.where(inside, np.fmin(best, side), best)
    for level, edge in ((-1.0, 1.0), (1.0, 1.0 - taper)):
        cap = (level - origin[2]) / ray[2]
        inside = (origin[0] + cap * ray[0]) ** 2 + (origin[1] + cap * ray[1]) ** 2 <= edge**2
        best = np.where(inside & (cap > 0), np.fmin(best, cap), best)
    return best


def _windows(solids: Solids, origin: np.ndarray, grid: RayGrid) -> np.ndarray:
    """First and past-the-end row and column of the rays that may hit each solid, (P, 4)."""
    corners = (UNIT_CORNERS * solids.half[:, None, :])[:, :, None, :] * solids.rot[:, None, :, :]
    corners = corners.sum(axis=3) + (solids.center - origin)[:, None, :]  # (P, 8, 3)
    near, far = _flat_distances(solids, corners)
    low, high = corners[..., 2].min(axis=1), corners[..., 2].max(axis=1)
    elevation_low = np.arctan2(low, np.where(low < 0, near, far))
    elevation_high = np.arctan2(high, np.where(high > 0, near, far))
    r0 = np.searchsorted(grid.elevation, elevation_low - 1e-9)
    r1 = np.searchsorted(grid.elevation, elevation_high + 1e-9)
    c0, c1 = _column_window(corners, near, grid)
    return np.stack([r0, r1, c0, c1], axis=1)


def _flat_distances(solids: Solids, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of the horizontal distance from the scanner to each solid's bounding box, (P,) each."""
    axis = solids.rot[:, :2, 0]
    length = np.hypot(axis[:, 0], axis[:, 1])
    axis = np.where(length[:, None] > 1e-6, axis / np.maximum(length, 1e-6)[:, None], (1.0, 0.0))
    u = corners[..., 0] * axis[:, :1] + corners[..., 1] * axis[:, 1:]
    v = corners[..., 1] * axis[:, :1] - corners[..., 0] * axis[:, 1:]
    gaps = [np.maximum(np.maximum(x.min(axis=1), -x.max(axis=1)), 0.0) for x in (u, v)]
    return np.hypot(*gaps), np.hypot(u, v).max(axis=1)


def _column_window(corners: np.ndarray, near: np.ndarray, grid: RayGrid) -> tuple[np.ndarray, np.ndarray]:
    """Columns between the outermost corners; the whole turn for a solid above, below or around the scanner."""
    columns, step = len(grid.azimuth), grid.steps[1]
    middle = corners.mean(axis=1)
    centre = np.arctan2(middle[:, 1], middle[:, 0])
    angle = np.arctan2(corners[..., 1], corners[..., 0]) - centre[:, None]
    angle = np.mod(angle + np.pi, 2 * np.pi) - np.pi
    start = np.mod((centre + angle.min(axis=1) - grid.azimuth[0]) / step, columns)
    width = (angle.max(axis=1) - angle.min(axis=1)) / step
    c0 = np.floor(start).astype(np.int64)
    c1 = np.minimum(c0 + np.ceil(width).astype(np.int64) + 2, c0 + columns)
    around = near <= 0
    return np.where(around, 0, c0), np.where(around, columns, np.minimum(c1, 2 * columns))


def hit_normals(solids: Solids, part: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """True outward normals (N, 3) at surface points (N, 3) of parts (N,), and the points in their parts' frames."""
    rot, half = solids.rot[part], solids.half[part]
    local = (rot * (points - solids.center[part])[:, :, None]).sum(axis=1)  # (N, 3) rot^T x
    unit = local / half
    gradient = unit / half  # ellipsoid
    kind = solids.kind[part]
    rows = np.flatnonzero(kind == BOX)
    gradient[rows] = _box_gradient(unit[rows])
    rows = np.flatnonzero(kind == CYLINDER)
    gradient[rows] = _cylinder_gradient(unit[rows], half[rows], solids.taper[part[rows]])
    normal = (rot * gradient[:, None, :]).sum(axis=2)
    return normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12), local


def _box_gradient(unit):
    axis = np.abs(unit).argmax(axis=1)
    gradient = np.zeros_like(unit)
    rows = np.arange(len(unit))
    gradient[rows, axis] = np.where(unit[rows, axis] < 0, -1.0, 1.0)
    return gradient


def _cylinder_gradient(unit, half, taper):
    radius = 1 - taper * (unit[:, 2] + 1) / 2
    off_side = np.abs(np.hypot(unit[:, 0], unit[:, 1]) - radius)
    cap = 1 - np.abs(unit[:, 2]) < off_side
    side = np.stack([unit[:, 0] / half[:, 0], unit[:, 1] / half[:, 1], radius * taper / 2 / half[:, 2]], axis=1)
    top = np.stack([np.zeros(len(unit)), np.zeros(len(unit)), np.sign(unit[:, 2])], axis=1)
    return np.where(cap[:, None], top, side)
