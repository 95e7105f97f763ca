"""Light on the rooms: one lamp with cast shadows, one soft window light, ambient light that fades in corners."""

from typing import NamedTuple

import numpy as np

from pointcept_msm.rooms.primitives import Solids
from pointcept_msm.rooms.raycast import RayGrid, build_grid, cast_rays


class Light(NamedTuple):
    """A point lamp with the depth of what it reaches, a direction the daylight comes from, and their colours."""

    position: np.ndarray  # (3,)
    power: float
    color: np.ndarray  # (3,)
    grid: RayGrid
    reach: np.ndarray  # (R, C) metres to the first surface
    day: np.ndarray  # (3,) unit vector towards the daylight
    day_color: np.ndarray  # (3,)
    ambient: float


def build_light(solids: Solids, size: tuple[float, float, float], rng: np.random.Generator) -> Light:
    """A lamp near the ceiling's middle and daylight from a random side."""
    offset = rng.uniform(-0.2, 0.2, 2) * np.array(size[:2])
    position = np.array([offset[0], offset[1], size[2] - rng.uniform(0.1, 0.3)])
    grid = build_grid(40000, -np.pi / 2, 1.2)
    angle, warm = rng.uniform(0, 2 * np.pi), rng.uniform(-0.08, 0.16)
    day = np.array([np.cos(angle), np.sin(angle), 0.35]) / np.sqrt(1 + 0.35**2)
    color, day_color = np.array([1 + warm, 1.0, 1 - warm]), np.array([0.96, 1.0, 1.05]) * rng.uniform(0.1, 0.45)
    reach, _ = cast_rays(solids, position, grid)
    return Light(position, rng.uniform(0.5, 0.9), color, grid, reach, day, day_color, rng.uniform(0.3, 0.5))


def shade(light: Light, size, points: np.ndarray, normals: np.ndarray, albedo: np.ndarray) -> np.ndarray:
    """Colour under the light, (N, 3), about [0, 1]; all inputs (N, 3) in the room's frame, true normals."""
    to_lamp = light.position - points
    distance = np.sqrt((to_lamp**2).sum(axis=1))
    facing = np.clip((to_lamp * normals).sum(axis=1) / distance, 0, 1)
    lamp = light.power * facing * _lit(light, to_lamp, distance) / (0.5 + 0.12 * distance**2)
    day = np.clip(normals @ light.day, 0, 1)
    ambient = light.ambient * (0.85 + 0.15 * normals[:, 2]) * _openness(points, size)
    glow = ambient[:, None] + lamp[:, None] * light.color + day[:, None] * light.day_color
    return albedo * glow


def _lit(light: Light, to_lamp: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """1 where the lamp sees the point, less in its shadow, (N,)."""
    d_elevation, d_azimuth = light.grid.steps
    elevation = np.arcsin(np.clip(-to_lamp[:, 2] / distance, -1, 1))
    row = np.rint((elevation - light.grid.elevation[0]) / d_elevation).astype(np.int64)
    column = np.rint((np.arctan2(-to_lamp[:, 1], -to_lamp[:, 0]) - light.grid.azimuth[0]) / d_azimuth).astype(np.int64)
    rows, columns = light.reach.shape
    reach = light.reach[np.clip(row, 0, rows - 1), column % columns]
    return np.where((row >= rows) | (distance < reach + 0.1), 1.0, 0.3)


def _openness(points: np.ndarray, size) -> np.ndarray:
    """Ambient light falls off towards walls, floor and ceiling, (N,)."""
    openness = np.ones(len(points))
    for axis in (0, 1):
        gap = np.maximum(size[axis] / 2 - np.abs(points[:, axis]), 0)
        openness *= 1 - 0.28 * np.exp(-gap / 0.22)
    openness *= 1 - 0.25 * np.exp(-np.maximum(points[:, 2], 0) / 0.2)
    return openness * (1 - 0.15 * np.exp(-np.maximum(size[2] - points[:, 2], 0) / 0.25))
