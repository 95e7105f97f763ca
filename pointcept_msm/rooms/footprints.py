"""Upright oriented boxes that objects occupy, and the test that two of them overlap."""

from typing import NamedTuple

import numpy as np


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
    """True when `volume` comes closer than `margin` to one of `others` (K, 7), rows as in `Volume`."""
    if len(others) == 0:
        return False
    reach = np.hypot(volume.half_x, volume.half_y) + np.hypot(others[:, 2], others[:, 3]) + margin
    close = np.hypot(others[:, 0] - volume.x, others[:, 1] - volume.y) < reach
    close &= (others[:, 5] < volume.high) & (others[:, 6] > volume.low)
    others = others[close]
    return len(others) > 0 and bool(_separation(volume, others).min() < margin)


def _separation(volume: Volume, others: np.ndarray) -> np.ndarray:
    """Largest gap over the four axes of two footprints (separating axis theorem), (K,); negative: overlap."""
    offset = others[:, :2] - np.array([volume.x, volume.y])
    turn = others[:, 4] - volume.yaw
    c, s = np.abs(np.cos(turn)), np.abs(np.sin(turn))
    own = _rotate(offset, -volume.yaw)
    theirs = _rotate(offset, -others[:, 4])
    gaps = (
        np.abs(own[0]) - volume.half_x - others[:, 2] * c - others[:, 3] * s,
        np.abs(own[1]) - volume.half_y - others[:, 2] * s - others[:, 3] * c,
        np.abs(theirs[0]) - others[:, 2] - volume.half_x * c - volume.half_y * s,
        np.abs(theirs[1]) - others[:, 3] - volume.half_x * s - volume.half_y * c,
    )
    return np.max(gaps, axis=0)


def _rotate(offset: np.ndarray, yaw) -> tuple[np.ndarray, np.ndarray]:
    c, s = np.cos(yaw), np.sin(yaw)
    return c * offset[:, 0] - s * offset[:, 1], s * offset[:, 0] + c * offset[:, 1]
