"""How a room is seen: first hits of rays, light and shadows, and a depth scanner with noise, holes and uneven exposure.

Each solid is tested only against the rays in the window of azimuth and elevation that its bounding box covers; a depth
buffer keeps the nearest hit. Float64 throughout: differences of one unit in the last place then change no hit.

Normals come from the noisy range image, as they would from a real scan: on a plane the inverse range q is linear in the
ray's direction, so its normal is q * e_ray + grad q, with the gradient fitted over neighbours on the same surface.
"""

from typing import NamedTuple

import numpy as np

from pointcept_msm.rooms.layout import Room, Volume
from pointcept_msm.rooms.solids import BOX, CYLINDER, ELLIPSOID, UNIT_CORNERS, Solids, sample_albedo

MIN_RANGE = 0.05  # metres
LOWEST, HIGHEST = np.deg2rad(-68.0), np.deg2rad(66.0)  # elevations a scan covers
NOISE, NOISE_FAR = 0.0015, 0.0011  # standard deviation of the range: NOISE + NOISE_FAR * range^1.5 (metres)
MAX_NOISE = 0.06  # metres; errors are cut here
NEAR = 1.1  # metres; nearer surfaces are thinned to the density they would have here
SAME_SURFACE = 0.06  # relative change of inverse range a step of the grid above which neighbours are two surfaces


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
            hit = HITS[solids.kind[index]](local_origin[index], ray, solids.taper[index])
            window = (slice(r0, r1), slice(c0, c1))
            nearer = (hit > MIN_RANGE) & (hit < depth[window])
            np.copyto(depth[window], hit, where=nearer)
            np.copyto(part[window], index, where=nearer)
    second = depth[:, columns:] < depth[:, :columns]
    merged = np.where(second, part[:, columns:], part[:, :columns])
    return np.where(second, depth[:, columns:], depth[:, :columns]), merged


def _hit_box(origin, ray, taper):
    inverse = 1.0 / ray
    middle = -origin[:, None, None] * inverse
    np.abs(inverse, out=inverse)
    enter = (middle - inverse).max(axis=0)
    return np.where(enter <= (middle + inverse).min(axis=0), enter, np.inf)


def _hit_ball(origin, ray, taper):
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


HITS = {BOX: _hit_box, CYLINDER: _hit_cylinder, ELLIPSOID: _hit_ball}  # ray parameter of the entry; NaN or inf: missed


def _windows(solids: Solids, origin: np.ndarray, grid: RayGrid) -> np.ndarray:
    """First and past-the-end row and column of the rays that may hit each solid, (P, 4).

    Columns lie between the outermost corners; all of them for a solid above, below or around the scanner.
    """
    corners = (UNIT_CORNERS * solids.half[:, None, :])[:, :, None, :] * solids.rot[:, None, :, :]
    corners = corners.sum(axis=3) + (solids.center - origin)[:, None, :]  # (P, 8, 3)
    low, high = corners[..., 2].min(axis=1), corners[..., 2].max(axis=1)
    axis = solids.rot[:, :2, 0]  # horizontal distances: bounds from the box turned as the solid is
    length = np.hypot(axis[:, 0], axis[:, 1])
    axis = np.where(length[:, None] > 1e-6, axis / np.maximum(length, 1e-6)[:, None], (1.0, 0.0))
    u = corners[..., 0] * axis[:, :1] + corners[..., 1] * axis[:, 1:]
    v = corners[..., 1] * axis[:, :1] - corners[..., 0] * axis[:, 1:]
    near = np.hypot(*(np.maximum(np.maximum(x.min(axis=1), -x.max(axis=1)), 0.0) for x in (u, v)))
    far = np.hypot(u, v).max(axis=1)
    r0 = np.searchsorted(grid.elevation, np.arctan2(low, np.where(low < 0, near, far)) - 1e-9)
    r1 = np.searchsorted(grid.elevation, np.arctan2(high, np.where(high > 0, near, far)) + 1e-9)
    columns, step = len(grid.azimuth), grid.steps[1]
    centre = np.arctan2(*corners.mean(axis=1)[:, 1::-1].T)
    angle = np.arctan2(corners[..., 1], corners[..., 0]) - centre[:, None]
    angle = np.mod(angle + np.pi, 2 * np.pi) - np.pi
    start = np.mod((centre + angle.min(axis=1) - grid.azimuth[0]) / step, columns)
    width = (angle.max(axis=1) - angle.min(axis=1)) / step
    c0 = np.where(near > 0, np.floor(start), 0).astype(np.int64)
    c1 = np.where(near > 0, np.minimum(c0 + np.ceil(width) + 2, c0 + columns), columns).astype(np.int64)
    return np.stack([r0, r1, c0, np.minimum(c1, 2 * columns)], axis=1)


def hit_normals(solids: Solids, part: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """True outward normals (N, 3) at surface points (N, 3) of parts (N,), and the points in their parts' frames."""
    rot, half = solids.rot[part], solids.half[part]
    local = (rot * (points - solids.center[part])[:, :, None]).sum(axis=1)  # (N, 3) rot^T x
    unit, kind = local / half, solids.kind[part]
    gradient = unit / half  # of an ellipsoid
    rows = np.flatnonzero(kind == BOX)
    axis = np.abs(unit[rows]).argmax(axis=1)
    gradient[rows] = np.where(unit[rows, axis] < 0, -1.0, 1.0)[:, None] * np.eye(3)[axis]
    rows = np.flatnonzero(kind == CYLINDER)
    (x, y, z), size, taper = unit[rows].T, half[rows], solids.taper[part[rows]]
    radius = 1 - taper * (z + 1) / 2
    cap = 1 - np.abs(z) < np.abs(np.hypot(x, y) - radius)  # nearer than the side
    side = np.stack([x / size[:, 0], y / size[:, 1], radius * taper / 2 / size[:, 2]], axis=1)
    gradient[rows] = np.where(cap[:, None], np.sign(z)[:, None] * np.array([0.0, 0.0, 1.0]), side)
    normal = (rot * gradient[:, None, :]).sum(axis=2)
    return normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12), local


def build_light(solids: Solids, size: tuple[float, float, float], rng: np.random.Generator):
    """A lamp near the ceiling's middle that casts shadows, soft daylight from a random side, and ambient light that
    fades in corners: a function of points, true normals and albedo, each (N, 3) in the room's frame, that gives the
    colour under them, (N, 3), about [0, 1].
    """
    offset = rng.uniform(-0.2, 0.2, 2) * np.array(size[:2])
    position = np.array([offset[0], offset[1], size[2] - rng.uniform(0.1, 0.3)])
    grid = build_grid(40000, -np.pi / 2, 1.2)
    angle, warm = rng.uniform(0, 2 * np.pi), rng.uniform(-0.08, 0.16)
    sun = np.array([np.cos(angle), np.sin(angle), 0.35]) / np.sqrt(1 + 0.35**2)
    color, sun_color = np.array([1 + warm, 1.0, 1 - warm]), np.array([0.96, 1.0, 1.05]) * rng.uniform(0.1, 0.45)
    reach, _ = cast_rays(solids, position, grid)  # metres from the lamp to the first surface
    power, glow = rng.uniform(0.5, 0.9), rng.uniform(0.3, 0.5)

    def shade(points: np.ndarray, normals: np.ndarray, albedo: np.ndarray) -> np.ndarray:
        to_lamp = position - points
        distance = np.sqrt((to_lamp**2).sum(axis=1))
        facing = np.clip((to_lamp * normals).sum(axis=1) / distance, 0, 1)
        elevation, azimuth = np.arcsin(np.clip(-to_lamp[:, 2] / distance, -1, 1)), np.arctan2(*-to_lamp[:, 1::-1].T)
        row = np.rint((elevation - grid.elevation[0]) / grid.steps[0]).astype(np.int64)
        column = np.rint((azimuth - grid.azimuth[0]) / grid.steps[1]).astype(np.int64)
        seen = distance < reach[np.clip(row, 0, len(reach) - 1), column % reach.shape[1]] + 0.1
        lit = np.where((row >= len(reach)) | seen, 1.0, 0.3)
        lamp = power * facing * lit / (0.5 + 0.12 * distance**2)
        day = np.clip(normals @ sun, 0, 1)
        openness = np.ones(len(points))
        for axis in (0, 1):
            openness *= 1 - 0.28 * np.exp(-np.maximum(size[axis] / 2 - np.abs(points[:, axis]), 0) / 0.22)
        openness *= 1 - 0.25 * np.exp(-np.maximum(points[:, 2], 0) / 0.2)
        openness *= 1 - 0.15 * np.exp(-np.maximum(size[2] - points[:, 2], 0) / 0.25)
        ambient = glow * (0.85 + 0.15 * normals[:, 2]) * openness
        return albedo * (ambient[:, None] + lamp[:, None] * color + day[:, None] * sun_color)

    return shade


class Scan(NamedTuple):
    """Points of one or more scans in the room's frame, N rows."""

    coord: np.ndarray  # (N, 3)
    normal: np.ndarray  # (N, 3) estimated, towards the scanner
    color: np.ndarray  # (N, 3) 0-255
    part: np.ndarray  # (N,) index of the solid
    stand: np.ndarray  # (N,) number of the scan


def sample_stands(room: Room, rng: np.random.Generator) -> np.ndarray:
    """Three to five scanner positions (S, 3) in free space, far from each other."""
    width, depth, height = room.shell.size
    count = int(np.clip(round(width * depth / 5), 3, 5))
    free, chosen = [], [0]
    for _ in range(400):
        x, y = rng.uniform(-0.5, 0.5) * (width - 0.6), rng.uniform(-0.5, 0.5) * (depth - 0.6)
        z = rng.uniform(1.0, min(1.9, height - 0.4))
        if room.is_free(Volume(x, y, 0.2, 0.2, 0.0, z - 0.25, z + 0.25), margin=0.02, clear=False):
            free.append((x, y, z))
        if len(free) == 40:
            break
    points = np.array(free)
    while len(chosen) < min(count, len(points)):
        gaps = ((points[:, None, :2] - points[chosen][None, :, :2]) ** 2).sum(axis=2).min(axis=1)
        chosen.append(int(gaps.argmax()))
    return points[chosen]


def scan_room(solids: Solids, shade, stands: np.ndarray, rays: int, rng: np.random.Generator) -> Scan:
    """Scan from every stand with about `rays` rays in all, under the light of `build_light`."""
    scans = [_scan_once(solids, shade, stands, number, rays, rng) for number in range(len(stands))]
    return Scan(*(np.concatenate(field) for field in zip(*scans)))


def _scan_once(solids, shade, stands, number, rays, rng) -> Scan:
    stand, grid = stands[number], build_grid(rays // len(stands), LOWEST, HIGHEST, phase=rng.uniform())
    depth, part = cast_rays(solids, stand, grid)
    ray, e_azimuth, e_elevation = grid_directions(grid)
    seen = np.isfinite(depth)
    row = np.nonzero(seen)[0]
    seen_depth, seen_part, seen_ray = depth[seen], part[seen], ray[seen]
    points = stand + seen_depth[:, None] * seen_ray
    true_normal, local = hit_normals(solids, seen_part, points)
    facing = np.abs((true_normal * seen_ray).sum(axis=1))
    albedo = sample_albedo(solids.materials, seen_part, local, rng)
    kept = _survive(solids, seen_part, facing, seen_depth, albedo, seen_ray, rng)
    sigma = (NOISE + NOISE_FAR * seen_depth**1.5) * (1 + 0.5 * (1 - facing) ** 2)
    error = np.clip(rng.normal(0, 1, len(sigma)) * sigma, -MAX_NOISE, MAX_NOISE)
    measured = np.zeros(depth.shape)
    measured[seen] = np.where(kept, seen_depth + error, 0.0)
    normal = range_normals(measured, grid, (ray, e_azimuth, e_elevation))[seen]
    gain = rng.uniform(0.8, 1.15) * (1 + rng.normal(0, 0.03, 3))  # the camera's exposure and white balance, then gamma
    color = 255 * np.clip(shade(points, true_normal, albedo) * gain, 0, 1) ** 0.72
    color = np.clip(np.rint(color + rng.normal(0, 4, color.shape)), 0, 255)
    kept &= (row >= 2) & (row < len(depth) - 2)  # rows beyond have too few neighbours for a normal
    # Thinning evens out the grid's crowding near its poles and very close to the scanner; upward rays are rarer too:
    # who scans a room points the device at what stands in it.
    up = np.clip(seen_ray[:, 2], -1, 1)
    crowding = np.clip(np.sqrt(1 - up**2) / 0.9, 0, 1) * np.clip(seen_depth / NEAR, 0, 1) ** 2
    kept &= rng.uniform(0, 1, len(kept)) < crowding * (1 - 0.85 * np.clip(up + 0.4, 0, 0.9))
    coord = stand + (seen_depth + error)[:, None] * seen_ray + rng.normal(0, 0.002, 3)  # the last term: registration
    return Scan(coord[kept], normal[kept], color[kept], seen_part[kept], np.full(int(kept.sum()), number))


def _survive(solids, part, facing, depth, albedo, ray, rng) -> np.ndarray:
    """Which rays return, (N,) bool: losses by material, grazing angle, darkness, distance, and round blind spots."""
    loss = np.array([m.dropout for m in solids.materials])[part] + 0.015
    loss += 0.8 * np.clip((0.3 - facing) / 0.3, 0, 1) ** 2
    loss += 0.25 * np.clip((0.2 - albedo.mean(axis=1)) / 0.2, 0, 1)
    loss += 0.02 * np.clip(depth - 4, 0, 5)
    for _ in range(int(rng.integers(3, 8))):
        axis = ray[int(rng.integers(len(ray)))]
        loss += np.where((ray * axis).sum(axis=1) > np.cos(rng.uniform(0.02, 0.09)), rng.uniform(0.5, 1.0), 0.0)
    return rng.uniform(0, 1, len(loss)) >= loss


def range_normals(measured: np.ndarray, grid: RayGrid, frame) -> np.ndarray:
    """Unit normals (R, C, 3) towards the scanner from a range image (R, C) with 0 where nothing was measured.

    `frame`: the three direction images of `grid_directions`.
    """
    ray, e_azimuth, e_elevation = frame
    d_elevation, d_azimuth = grid.steps
    with np.errstate(divide="ignore"):
        q = np.where(measured > 0, 1.0 / measured, 0.0)
    by_azimuth = _slope(_smooth(q, axis=0), 1) / d_azimuth / np.cos(grid.elevation)[:, None]
    by_elevation = _slope(_smooth(q, axis=1), 0) / d_elevation
    normal = -(q[..., None] * ray + by_azimuth[..., None] * e_azimuth + by_elevation[..., None] * e_elevation)
    return normal / np.maximum(np.sqrt((normal**2).sum(axis=2, keepdims=True)), 1e-9)


def _shifts(q: np.ndarray, axis: int, radius: int):
    """(offset, q shifted by it) for offsets up to `radius` but 0; azimuth wraps, nothing lies beyond the rows."""
    pad = [(radius, radius) if a == axis else (0, 0) for a in (0, 1)]
    padded, length = np.pad(q, pad, mode="wrap" if axis == 1 else "constant"), q.shape[axis]
    for offset in (*range(-radius, 0), *range(1, radius + 1)):
        part = slice(radius + offset, radius + offset + length)
        yield offset, padded[:, part] if axis == 1 else padded[part]


def _smooth(q: np.ndarray, axis: int) -> np.ndarray:
    """Mean of neighbours on the same surface, taken in opposite pairs so that slopes do not shift it."""
    total, count = q.copy(), np.ones(q.shape)
    shifted = dict(_shifts(q, axis, 2))
    for offset in (1, 2):
        left, right, limit = shifted[-offset], shifted[offset], SAME_SURFACE * offset * q
        both = (np.abs(left - q) < limit) & (np.abs(right - q) < limit) & (left > 0) & (right > 0)
        total += np.where(both, left + right, 0.0)
        count += 2.0 * both
    return total / count


def _slope(q: np.ndarray, axis: int) -> np.ndarray:
    """Least-squares slope of q per step over neighbours on the same surface; 0 where there are none."""
    top, bottom = np.zeros(q.shape), np.zeros(q.shape)
    for offset, shifted in _shifts(q, axis, 3):
        change = shifted - q
        same = (np.abs(change) < SAME_SURFACE * abs(offset) * q) & (shifted > 0)
        top += np.where(same, offset * change, 0.0)
        bottom += same * float(offset**2)
    return top / np.maximum(bottom, 1.0)
