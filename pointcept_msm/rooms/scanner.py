"""A depth scanner on a few stands: first hits, noise, holes, estimated normals, uneven exposure.

Normals come from the noisy range image, as they would from a real scan: on a plane the inverse range q is linear in the
ray's direction, so its normal is q * e_ray + grad q, with the gradient fitted over neighbours on the same surface.
"""

from typing import NamedTuple

import numpy as np

from pointcept_msm.rooms.footprints import Volume
from pointcept_msm.rooms.layout import Room
from pointcept_msm.rooms.palette import sample_albedo
from pointcept_msm.rooms.primitives import Solids
from pointcept_msm.rooms.raycast import RayGrid, build_grid, cast_rays, grid_directions, hit_normals
from pointcept_msm.rooms.shading import Light, shade

LOWEST, HIGHEST = np.deg2rad(-68.0), np.deg2rad(66.0)  # elevations a scan covers
NOISE, NOISE_FAR = 0.0015, 0.0011  # standard deviation of the range: NOISE + NOISE_FAR * range^1.5 (metres)
MAX_NOISE = 0.06  # metres; errors are cut here
NEAR = 1.1  # metres; nearer surfaces are thinned to the density they would have here


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
    free = []
    for _ in range(400):
        x, y, z = (
            rng.uniform(-0.5, 0.5) * (width - 0.6),
            rng.uniform(-0.5, 0.5) * (depth - 0.6),
            rng.uniform(1.0, min(1.9, height - 0.4)),
        )
        if room.is_free(Volume(x, y, 0.2, 0.2, 0.0, z - 0.25, z + 0.25), margin=0.02, clear=False):
            free.append((x, y, z))
        if len(free) == 40:
            break
    if not free:
        raise RuntimeError("no free place for a scanner was found in this room; use another index or seed.")
    points = np.array(free)
    chosen = [0]
    while len(chosen) < min(count, len(points)):
        gaps = ((points[:, None, :2] - points[chosen][None, :, :2]) ** 2).sum(axis=2).min(axis=1)
        chosen.append(int(gaps.argmax()))
    return points[chosen]


def scan_room(
    solids: Solids, room: Room, light: Light, stands: np.ndarray, rays: int, rng: np.random.Generator
) -> Scan:
    """Scan from every stand with about `rays` rays in all."""
    scans = []
    for number, stand in enumerate(stands):
        grid = build_grid(rays // len(stands), LOWEST, HIGHEST, phase=rng.uniform())
        scans.append(_scan_once(solids, room, light, stand, grid, number, rng))
    return Scan(*(np.concatenate(field) for field in zip(*scans)))


def _scan_once(solids, room, light, stand, grid: RayGrid, number, rng) -> Scan:
    depth, part = cast_rays(solids, stand, grid)
    ray, e_azimuth, e_elevation = grid_directions(grid)
    seen = np.isfinite(depth)
    rim = np.zeros(depth.shape, dtype=bool)
    rim[:2] = rim[-2:] = True  # rows with too few neighbours for a normal
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
    color = _expose(shade(light, room.shell.size, points, true_normal, albedo), rng)
    kept &= ~rim[seen]
    kept &= rng.uniform(0, 1, len(kept)) < _thinning(seen_depth, seen_ray)
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


def _thinning(depth, ray) -> np.ndarray:
    """Share of points kept, (N,): evens out the grid's crowding near its poles and very close to the scanner.

    Upward rays are rarer too: who scans a room points the device at what stands in it.
    """
    up = np.clip(ray[:, 2], -1, 1)
    crowding = np.clip(np.sqrt(1 - up**2) / 0.9, 0, 1) * np.clip(depth / NEAR, 0, 1) ** 2
    return crowding * (1 - 0.85 * np.clip(up + 0.4, 0, 0.9))


def _expose(color, rng) -> np.ndarray:
    """Camera of one scan: exposure, white balance, gamma, noise; (N, 3) in 0-255, whole numbers."""
    gain = rng.uniform(0.8, 1.15) * (1 + rng.normal(0, 0.03, 3))
    linear = np.clip(color * gain, 0, 1)
    return np.clip(np.rint(255 * linear**0.72 + rng.normal(0, 4, color.shape)), 0, 255)


def range_normals(measured: np.ndarray, grid: RayGrid, frame, radius: int = 3) -> np.ndarray:
    """Unit normals (R, C, 3) towards the scanner from a range image (R, C) with 0 where nothing was measured.

    `frame`: the three direction images of `grid_directions`.
    """
    ray, e_azimuth, e_elevation = frame
    d_elevation, d_azimuth = grid.steps
    with np.errstate(divide="ignore"):
        q = np.where(measured > 0, 1.0 / measured, 0.0)
    by_azimuth = _slope(_smooth(q, axis=0), 1, radius) / d_azimuth / np.cos(grid.elevation)[:, None]
    by_elevation = _slope(_smooth(q, axis=1), 0, radius) / d_elevation
    normal = -(q[..., None] * ray + by_azimuth[..., None] * e_azimuth + by_elevation[..., None] * e_elevation)
    return normal / np.maximum(np.sqrt((normal**2).sum(axis=2, keepdims=True)), 1e-9)


SAME_SURFACE = (
    0.06  # relative change of inverse range a step of the grid above which neighbours lie on different surfaces
)


def _shifts(q: np.ndarray, axis: int, radius: int):
    """(offset, q shifted by it) for offsets up to `radius` but 0; azimuth wraps, nothing lies beyond the rows."""
    mode = {"mode": "wrap"} if axis == 1 else {"mode": "constant"}
    pad = [(radius, radius) if a == axis else (0, 0) for a in (0, 1)]
    padded, length = np.pad(q, pad, **mode), q.shape[axis]
    for offset in range(-radius, radius + 1):
        if offset:
            start = radius + offset
            yield offset, padded[:, start : start + length] if axis == 1 else padded[start : start + length]


def _smooth(q: np.ndarray, axis: int, radius: int = 2) -> np.ndarray:
    """Mean of neighbours on the same surface, taken in opposite pairs so that slopes do not shift it."""
    total, count = q.copy(), np.ones(q.shape)
    shifted = dict(_shifts(q, axis, radius))
    for offset in range(1, radius + 1):
        left, right, limit = shifted[-offset], shifted[offset], SAME_SURFACE * offset * q
        both = (np.abs(left - q) < limit) & (np.abs(right - q) < limit) & (left > 0) & (right > 0)
        total += np.where(both, left + right, 0.0)
        count += 2.0 * both
    return total / count


def _slope(q: np.ndarray, axis: int, radius: int) -> np.ndarray:
    """Least-squares slope of q per step over neighbours on the same surface; 0 where there are none."""
    top, bottom = np.zeros(q.shape), np.zeros(q.shape)
    for offset, shifted in _shifts(q, axis, radius):
        change = shifted - q
        same = (np.abs(change) < SAME_SURFACE * abs(offset) * q) & (shifted > 0)
        top += np.where(same, offset * change, 0.0)
        bottom += same * float(offset**2)
    return top / np.maximum(bottom, 1.0)
