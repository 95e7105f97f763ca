"""Pictures of scenes without a display: square splats, nearest on top, drawn with numpy alone.

From outside, surfaces that face away are left out, so that one looks into the room through its walls and ceiling.
"""

from pathlib import Path

import numpy as np

BACKGROUND = (250, 250, 250)
OVERSAMPLING = 2
FIT = 0.0
POINT_RADIUS = 0.016  # metres, for scans of about one point every 2 cm


def color_labels(labels: np.ndarray, normal: np.ndarray | None = None) -> np.ndarray:
    """Colours (N, 3) uint8 of labels (N,): well separated hues, -1 is grey; shaded where normals are given."""
    step = np.arange(max(int(labels.max()), 0) + 2)[:, None]
    hue = (
        np.abs(np.mod(step * 0.754878 + np.array([0, 2, 1]) / 3, 1) * 6 - 3) - 1
    )  # uneven steps round the colour wheel
    table = (1 - 0.75 * (1 - np.clip(hue, 0, 1))) * np.array([245, 205, 150])[step[:, 0] % 3, None]
    table[-1] = 190  # row of the label -1
    shade = 1.0 if normal is None else 0.75 + 0.25 * np.abs(normal @ np.array([0.36, 0.48, 0.8]))[:, None]
    return (table[labels] * shade).astype(np.uint8)


def place_camera(coord: np.ndarray, view: str, azimuth: float, elevation: float):
    """Eye and target (3,) in metres, and focal length in picture widths (FIT: fill the picture)."""
    low, high = np.quantile(coord, 0.002, axis=0), np.quantile(coord, 0.998, axis=0)
    middle, extent = (low + high) / 2, high - low
    if view == "outside":
        direction = np.array(
            [np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)]
        )
        return middle + 1.75 * np.linalg.norm(extent) * direction, middle, FIT
    across = np.array([np.cos(azimuth), np.sin(azimuth)]) * 0.38 * min(extent[:2])
    eye = np.array([middle[0] + across[0], middle[1] + across[1], low[2] + 0.62 * extent[2]])
    return eye, np.array([middle[0] - across[0], middle[1] - across[1], low[2] + 0.36 * extent[2]]), 0.55


def render_points(coord, normal, color, eye, target, lens, size, radius) -> np.ndarray:
    """A picture (height, width, 3) uint8 of square splats, nearest on top."""
    width, height = size
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, (0.0, 0.0, 1.0))
    right /= np.linalg.norm(right)
    frame = np.stack([right, -np.cross(right, forward), forward], axis=1)
    view = (coord - eye) @ frame  # x right, y down, z forward
    shown = (view[:, 2] > 0.15) & (((eye - coord) * normal).sum(axis=1) > 0)
    view, color = view[shown], color[shown]
    order = np.argsort(-view[:, 2])  # far first: later pixels overwrite earlier ones
    view, color = view[order], color[order]
    flat = view[:, :2] / view[:, 2:]
    focal, middle = lens * width, np.zeros(2)
    if lens == FIT:
        low, high = np.quantile(flat, 0.002, axis=0), np.quantile(flat, 0.998, axis=0)
        middle, focal = (low + high) / 2, 0.94 * float(np.min(np.array(size) / (high - low)))
    column, row = ((flat - middle) * focal + np.array(size) / 2).T
    picture = np.empty((height, width, 3), dtype=np.uint8)
    picture[:] = BACKGROUND
    reach = np.clip(np.rint(radius * focal / view[:, 2]), 1, 14).astype(int)
    _splat(picture, column, row, reach, color)
    return picture


def _splat(picture, column, row, reach, color, chunk=4096) -> None:
    """Draw squares of half width `reach` pixels in the given order."""
    height, width = picture.shape[:2]
    for start in range(0, len(reach), chunk):
        part = slice(start, start + chunk)
        edge = int(reach[part].max())
        offsets = np.arange(-edge, edge + 1)
        dx, dy = (axis.ravel()[None] for axis in np.meshgrid(offsets, offsets))
        x, y = np.rint(column[part]).astype(int)[:, None] + dx, np.rint(row[part]).astype(int)[:, None] + dy
        drawn = (
            (np.maximum(np.abs(dx), np.abs(dy)) <= reach[part][:, None])
            & (x >= 0)
            & (x < width)
            & (y >= 0)
            & (y < height)
        )
        which = np.broadcast_to(np.arange(len(x))[:, None], x.shape)
        picture[y[drawn], x[drawn]] = color[part][which[drawn]]


def save_picture(
    path,
    coord: np.ndarray,
    normal: np.ndarray,
    color: np.ndarray,
    view: str = "outside",
    azimuth: float = 35.0,
    elevation: float = 45.0,
    size: tuple[int, int] = (1200, 800),
    radius: float = POINT_RADIUS,
) -> None:
    """Draw points with colours (N, 3) uint8 to an image file. Angles in degrees, size in pixels, radius in metres."""
    from PIL import Image

    large = tuple(OVERSAMPLING * side for side in size)
    eye, target, lens = place_camera(coord, view, np.deg2rad(azimuth), np.deg2rad(elevation))
    image = Image.fromarray(render_points(coord, normal, color, eye, target, lens, large, radius))
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    image.resize(tuple(size), Image.Resampling.LANCZOS).save(path)
