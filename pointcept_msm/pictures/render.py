"""Pictures of scenes without a display: round splats in a depth buffer, drawn with numpy alone.

Points are as large as their neighbours are far, lit from their normals, and darkened where something stands in front of
them, which gives edges (eye-dome lighting, Boucheny 2009). Legend: N points, H x W pixels.
"""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont
from scipy.spatial import cKDTree

from pointcept_msm.files.atomic import replace_file
from pointcept_msm.runtime.errors import UserError

OVERSAMPLING = 2
COVER = 1.0  # radius of a splat, in distances to the neighbours
NEIGHBOURS = 9  # over which normals are taken, the point itself among them
LARGEST = 20  # pixels of a splat's radius
EDGES, DEEPEST = 4.5, 0.12  # strength of the edges; relative depth beyond which a step is no darker
FIELD = 0.55  # tangent of half the angle that the inside view sees, upright


class Camera(NamedTuple):
    """Where a picture is taken from: eye and target (3,) metres, z up; focal length in picture heights; the point of
    the image plane (2,), in units of the distance, that is the picture's middle.
    """

    eye: tuple[float, float, float]
    target: tuple[float, float, float]
    focal: float
    middle: tuple[float, float] = (0.0, 0.0)

    def project(self, coord: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(right and down in picture heights from the middle (N, 2), metres in front of the eye (N,))."""
        view = (np.asarray(coord, dtype=np.float64) - self.eye) @ self.axes.T
        with np.errstate(divide="ignore", invalid="ignore"):
            return (view[:, :2] / view[:, 2:] - self.middle) * self.focal, view[:, 2]

    @property
    def axes(self) -> np.ndarray:
        """Unit vectors to the right, down and forward, as rows (3, 3)."""
        forward = np.subtract(self.target, self.eye)
        forward = forward / np.linalg.norm(forward)
        right = np.cross(forward, (0.0, 0.0, 1.0))
        right = right / np.linalg.norm(right) if np.linalg.norm(right) > 1e-9 else np.array([1.0, 0.0, 0.0])
        return np.stack([right, np.cross(forward, right), forward])


def place_camera(coord, normal, size=(1200, 800), view="outside", azimuth=None, elevation=45.0, zoom=1.0) -> Camera:
    """A camera for coord (N, 3): from `outside`, with everything in the picture, or `inside`, from a corner of a room.

    azimuth, elevation: degrees, the direction that the camera stands in (azimuth None: 35, or where clearly more of
    the surfaces are seen from); zoom: above 1 nearer; size: pixels.
    """
    low, high = find_box(coord)
    middle, extent = (low + high) / 2, np.maximum(high - low, 0.1)
    e = np.deg2rad(np.clip(elevation, -89.9, 89.9))
    a = find_azimuth(normal, e) if azimuth is None else np.deg2rad(azimuth)
    if view == "inside":
        across = np.array([np.cos(a), np.sin(a)]) * 0.38 * extent[:2].min()
        eye = (*(middle[:2] + across), low[2] + 0.62 * extent[2])
        target = (*(middle[:2] - across), low[2] + 0.36 * extent[2])
        return Camera(eye, target, zoom * 0.5 / FIELD)
    direction = np.array([np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)])
    camera = Camera(tuple(middle + 1.75 * np.linalg.norm(extent) * direction), tuple(middle), 1.0)
    inside = ((coord >= low) & (coord <= high)).all(1)
    flat, _ = camera.project(coord[inside] if inside.any() else coord)
    left, right = flat.min(0), flat.max(0)
    span = np.maximum((right - left) / (size[0] / size[1], 1.0), 1e-3)
    return camera._replace(focal=0.93 * zoom / float(span.max()), middle=tuple((left + right) / 2))


def find_azimuth(normal: np.ndarray, elevation: float) -> float:
    """Direction to look from, radians: 35 degrees, or the one that clearly more of the surfaces face."""
    angles = np.deg2rad(35.0 + np.arange(0, 360, 30))
    flat, up = np.cos(elevation), np.full(len(angles), np.sin(elevation))
    directions = np.stack([np.cos(angles) * flat, np.sin(angles) * flat, up])
    seen = np.clip(normal[:: 1 + len(normal) // 20_000] @ directions, 0, None).mean(0)
    return float(angles[seen.argmax() if seen.max() > 1.15 * seen[0] else 0])


def find_box(coord: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest place (3,) of what belongs to the scene: all but points that lie far away and alone."""
    low, high = coord.min(0), coord.max(0)
    cell = np.minimum((coord - low) / np.maximum(high - low, 1e-9) * 24, 23).astype(np.int64) @ (576, 24, 1)
    lone = np.bincount(cell)[cell] < max(2, 1e-4 * len(coord))
    return (low, high) if lone.all() else (coord[~lone].min(0), coord[~lone].max(0))


def save_view(path, camera: Camera) -> None:
    """Write a camera as JSON, for other pictures from the same place."""
    with replace_file(path, "w") as file:
        json.dump({key: np.round(value, 6).tolist() for key, value in camera._asdict().items()}, file, indent=1)


def load_view(path) -> Camera:
    """The camera that `save_view` wrote. UserError: another file."""
    try:
        found = json.loads(Path(path).read_text())
        camera = Camera(*(np.array(found[key], dtype=float) for key in Camera._fields))
        camera.project(np.zeros((1, 3)))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is no view ({error}); write one with --save-view") from error
    return camera


def find_splats(coord: np.ndarray, normal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(radius (N,) in metres that lets splats touch, from the distance to neighbours, within bounds; normals (N, 3)
    with less noise, averaged over neighbours).
    """
    coord, normal = np.asarray(coord, dtype=np.float64), np.asarray(normal, dtype=np.float64)
    away, near = cKDTree(coord).query(coord, k=np.arange(1, min(NEIGHBOURS, len(coord)) + 1), workers=-1)  # (N, K)
    spacing = away[:, 1:5].mean(1) if len(coord) > 1 else np.array([0.01])
    usual = max(float(np.median(spacing)), 1e-4)
    mean = sum(normal[column] for column in near.T)
    mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-9)
    return COVER * np.clip(spacing, 0.5 * usual, 2 * usual), mean


def looks_in(coord: np.ndarray, normal: np.ndarray) -> bool:
    """Whether most surfaces face the scene's middle, as those of a room do: then one looks in through their backs."""
    low, high = find_box(coord)
    return bool(np.mean((((low + high) / 2 - coord) * normal).sum(1) > 0) > 0.5)


def render(coord, normal, color, camera: Camera, size=(1200, 800), background="white", shade=0.45) -> Image.Image:
    """A picture of points coord (N, 3) with normals (N, 3) and colours (N, 3) uint8; those within 10 cm are left out.

    Where most surfaces face the scene's middle, as in a room, those that face away are not drawn: one looks in through
    walls and ceiling. shade: how dark surfaces are that are seen from the side, less for colours that a camera took.
    """
    width, height = (OVERSAMPLING * side for side in size)
    coord = np.asarray(coord, dtype=np.float64)
    (radius, normal), (flat, depth) = find_splats(coord, normal), camera.project(coord)
    drawn = (depth > 0.1) & (np.abs(flat) < 2 * width / height + 2).all(1)
    if looks_in(coord, normal):
        drawn &= ((camera.eye - coord) * normal).sum(1) > 0
    shown = np.flatnonzero(drawn)
    flat, depth = flat[shown] * height + (width / 2, height / 2), depth[shown]
    reach = radius[shown] * camera.focal * height / depth
    nearest = _draw_splats(flat, depth, np.clip(reach, 0.7, LARGEST), width, height)
    covered = nearest < np.iinfo(np.uint64).max
    picture = np.empty((height, width, 3))
    picture[:] = ImageColor.getrgb(background)[:3]
    point = shown[(nearest[covered] & 0xFFFFFFFF).astype(np.int64)]
    picture[covered] = color[point] * _light(normal[point], camera, shade)[:, None]
    far = np.where(covered, (nearest >> np.uint64(32)).astype(np.uint32).view(np.float32), np.inf)
    picture[covered] *= _find_edges(far, max(1, height // 600))[covered, None]
    image = Image.fromarray(np.clip(np.rint(picture), 0, 255).astype(np.uint8))
    return image.resize(tuple(size), Image.Resampling.LANCZOS)


def _draw_splats(place, depth, reach, width, height) -> np.ndarray:
    """Depth buffer (H, W): bits of the nearest depth above the number of its point, in 64 bits, all ones: nothing."""
    buffer = np.full(height * width, np.iinfo(np.uint64).max, dtype=np.uint64)
    key = depth.astype(np.float32).view(np.uint32).astype(np.uint64) << np.uint64(32)
    key |= np.arange(len(depth), dtype=np.uint64)
    x, y = np.rint(place).astype(np.int64).T
    size = np.rint(2 * reach).astype(np.int64)  # radii in half pixels
    for value in np.unique(size):
        rows, edge = np.flatnonzero(size == value), int(value) // 2
        for dx in range(-edge, edge + 1):
            for dy in range(-edge, edge + 1):
                if 4 * (dx * dx + dy * dy) > value * value:
                    continue
                u, v = x[rows] + dx, y[rows] + dy
                inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
                np.minimum.at(buffer, v[inside] * width + u[inside], key[rows[inside]])
    return buffer.reshape(height, width)


def _light(normal, camera, shade) -> np.ndarray:
    """Brightness (N,) under a lamp above the camera's left shoulder; either side of a surface is lit."""
    lamp = (-0.3, -0.2, -1.0) @ camera.axes
    return 1.02 - shade * (1 - np.abs(np.asarray(normal, dtype=np.float64) @ (lamp / np.linalg.norm(lamp))))


def _find_edges(depth, step) -> np.ndarray:
    """Brightness (H, W) below 1 where neighbours `step` pixels away are nearer to the eye."""
    total, far = np.zeros(depth.shape), np.log(depth)
    padded = np.pad(far, step, constant_values=np.inf)
    height, width = depth.shape
    for dy in (-step, 0, step):
        for dx in (-step, 0, step):
            near = padded[step + dy : step + dy + height, step + dx : step + dx + width]
            with np.errstate(invalid="ignore"):
                total += np.clip(np.nan_to_num(far - near, posinf=0, neginf=0), 0, DEEPEST)
    return np.exp(-EDGES * total / 8)


def make_sheet(rows: list[list[Image.Image]], titles: list[str], names: list[str], background="white") -> Image.Image:
    """Pictures of one size as a table: a row for each scene with its name, a column for each of `titles`."""
    width, height = rows[0][0].size
    text = max(14, height // 24)
    font, ink = ImageFont.load_default(text), contrast(background)
    sheet = Image.new("RGB", (width * len(titles), (height + 2 * text) * len(rows) + 2 * text), background)
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(titles):
        draw.text(((column + 0.5) * width, text), title, ink, font, anchor="mm")
    for row, (pictures, name) in enumerate(zip(rows, names)):
        top = 2 * text + row * (height + 2 * text)
        for column, picture in enumerate(pictures):
            sheet.paste(picture, (column * width, top))
        draw.text((text, top + height + text), name, ink, font, anchor="lm")
    return sheet


def contrast(background) -> str:
    """Black or white, whichever can be read on the background."""
    return "black" if np.dot(ImageColor.getrgb(background)[:3], (0.3, 0.6, 0.1)) > 128 else "white"


def add_view_arguments(parser) -> None:
    """Arguments of the tools that make pictures."""
    add = parser.add_argument
    add("--size", type=int, nargs=2, default=(1200, 800), metavar=("WIDTH", "HEIGHT"), help="of a picture, pixels")
    add("--view", default="outside", help="outside, inside (from a corner of the room) or a file of --save-view")
    add("--azimuth", type=float, metavar="DEGREES", help="direction the camera stands in (default: a good one)")
    add("--elevation", type=float, default=45.0, metavar="DEGREES", help="of the camera, seen from outside")
    add("--zoom", type=float, default=1.0, help="above 1: nearer")
    add("--background", default="white", metavar="COLOR", help="a name such as black, or #rrggbb")
    add("--save-view", metavar="FILE", help="write where the picture was taken from, for --view")


def read_view(args) -> dict:
    """The view that these arguments ask for, as `draw_layer` takes it. UserError: no colour, no view, no size."""
    try:
        ImageColor.getrgb(args.background)
    except ValueError as error:
        raise UserError(f"--background {args.background}: {error}; give a name such as black, or #rrggbb") from error
    if min(args.size) < 16 or args.zoom <= 0:
        raise UserError(f"--size {args.size} and --zoom {args.zoom}: give at least 16 pixels a side, and more than 0")
    view = dict(size=tuple(args.size), background=args.background)
    if args.view not in ("outside", "inside"):
        return view | dict(camera=load_view(args.view))
    return view | dict(view=args.view, azimuth=args.azimuth, elevation=args.elevation, zoom=args.zoom)
