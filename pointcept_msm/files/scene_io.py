"""Reading, checking and writing scenes: one dictionary of arrays, whatever the file.

A scene has `coord` (N, 3) float32 metres and may have `color` (N, 3) float32 0-255, `normal` (N, 3) float32, `segment`
and `instance` (N,) int32 with -1 = unknown, `name` and `split`. Formats: a Pointcept folder of `.npy` files, `.npz`,
`.ply`, and `.pth` (a dictionary of tensors or arrays, nothing executable).
"""

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pointcept_msm.files.scene_files import read_scene_file, write_scene_file
from pointcept_msm.runtime.errors import UserError

LOGGER = logging.getLogger("msm")
FIELDS = ("coord", "color", "normal", "segment", "instance")
VECTORS = ("coord", "color", "normal")
PRECISE_EXTENT = 10_000.0  # metres; beyond it float32 no longer resolves a millimetre
LARGEST_COORD = 1e9  # metres; farther away nothing is a scene, and voxels could not be numbered
LONGEST_NORMAL = 1000.0  # anything longer is no direction and counts as broken


def read_scene(path) -> dict:
    """The scene at `path` (a folder or file) as it stands there, unchecked; its `name` is the stem, its `split` the
    folder above. UserError: nothing there, or a file that cannot be read.
    """
    path = Path(path)
    name = path.stem if path.is_file() else path.name
    return read_scene_file(path) | {"name": name, "split": path.absolute().parent.name}


def load_scene(path, require=("coord",)) -> dict:
    """`read_scene`, checked. require: fields without which it is refused. UserError: the scene cannot be used."""
    scene = check_scene(read_scene(path), str(path))
    lacking = [field for field in require if field not in scene]
    if lacking:
        found = ", ".join(field for field in FIELDS if field in scene)
        raise UserError(
            f"{path} has no {' and no '.join(lacking)}, only {found}; add the field to the scene, or use a network and "
            "config that do without it"
        )
    return scene


def save_scene(path, scene: dict) -> None:
    """Write a scene as a folder of `.npy` (no suffix), `.npz`, `.ply` or `.pth`.

    Colours become uint8 (rounded), normals float32, labels int16 where they fit, otherwise int32.
    """
    checked = check_scene(scene, str(path))
    if "color" in checked:
        checked["color"] = np.rint(checked["color"]).astype(np.uint8)
    for field in {"segment", "instance"} & checked.keys():
        fits = np.abs(checked[field].astype(np.int64)).max() <= np.iinfo(np.int16).max
        checked[field] = checked[field].astype(np.int16 if fits else np.int32)
    write_scene_file(Path(path), {field: checked[field] for field in FIELDS if field in checked})


def check_scene(scene: Mapping, source: str) -> dict:
    """A new scene with the known fields in their proper types; `source` (a file or a description) heads the errors.

    Colours given as fractions (floats, all within 0-1) are multiplied by 255; normals that are not finite, or
    absurdly long, become 0. A checked scene comes out as it went in.
    UserError, one sentence: field, what was found, what is allowed, next step.
    """
    if not isinstance(scene, Mapping):
        raise UserError(f"{source}: it is a {type(scene).__name__}; give a dictionary with coord, (N, 3) in metres")
    given = {f: _as_array(f, scene[f], source) for f in FIELDS if scene.get(f) is not None}
    if "coord" not in given:
        present = ", ".join(map(str, scene)) or "nothing"
        raise UserError(f"{source}: coord is missing (found {present}); give the points as coord, (N, 3) in metres")
    count = len(given["coord"]) if given["coord"].ndim else 0
    checked = {}
    for field, values in given.items():
        values = (_check_vectors if field in VECTORS else _check_labels)(field, values, source)
        if len(values) != count:
            raise UserError(
                f"{source}: {field} has {len(values)} rows and coord {count}; every field needs one row a point"
            )
        checked[field] = values
    checked.update({key: str(scene[key]) for key in ("name", "split") if key in scene})
    return checked


def _as_array(field: str, values, source: str) -> np.ndarray:
    """A plain numpy array of a list, array or tensor."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        narrow = values.dtype.is_floating_point and values.dtype.itemsize < 4  # bfloat16 is unknown to numpy
        return (values.float() if narrow else values).numpy()
    if np.ma.is_masked(values):
        raise UserError(f"{source}: {field} has masked entries; remove those points")
    try:
        return np.asarray(values)
    except (TypeError, ValueError, OverflowError) as error:  # rows of different lengths
        raise UserError(f"{source}: {field} is no array ({str(error).splitlines()[0]})") from error


def _check_vectors(field: str, values, source: str):
    """coord, color or normal as float32 (N, 3)."""
    if values.dtype.kind not in "fiu":
        raise UserError(f"{source}: {field} holds {values.dtype}, allowed are integers and floats; convert it")
    if values.ndim != 2 or values.shape[1] != 3 or len(values) == 0:
        what = "is empty" if values.size == 0 else f"has shape {values.shape}"
        raise UserError(f"{source}: {field} {what}, allowed is (N, 3) with N of at least 1; select its three columns")
    if field != "normal" and not np.isfinite([values.min(), values.max()]).all():  # a NaN is its own extreme
        broken = ~np.isfinite(values).all(axis=1)  # (N,)
        raise UserError(
            f"{source}: {field} has NaN or infinite values in {broken.sum()} of {len(values)} rows, first in row "
            f"{broken.argmax()}; remove those points"
        )
    return {"coord": _coord, "color": _color, "normal": _normal}[field](values, source)


def _coord(values, source: str):
    extent = max(abs(float(values.max())), abs(float(values.min())))  # not np.abs: the least integer has no opposite
    if extent > LARGEST_COORD:
        raise UserError(
            f"{source}: coord reaches {extent:.3g} m, allowed is {LARGEST_COORD:.0e}; give metres, without far points"
        )
    if values.dtype.itemsize > 4 and extent > PRECISE_EXTENT:
        LOGGER.warning("%s: coordinates reach %.0f m, too far for float32; subtract an origin first", source, extent)
    return values.astype(np.float32)


def _color(values, source: str):
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 255:
        raise UserError(f"{source}: color runs from {low:g} to {high:g}, allowed is 0-255; rescale it")
    if values.dtype.kind != "f" and high == 1:
        # As floats they would pass for fractions when they are checked again.
        return np.where(values == 1, np.nextafter(np.float32(1), np.float32(2)), np.float32(0))
    if values.dtype.kind == "f" and 1 / 255 < high <= 1:
        LOGGER.info("%s: color runs from %g to %g and is taken as fractions, multiplied by 255", source, low, high)
        return values.astype(np.float32) * 255
    return values.astype(np.float32)


def _normal(values, source: str):
    with np.errstate(over="ignore", invalid="ignore"):
        values = values.astype(np.float32)
    if values.min() >= -LONGEST_NORMAL and values.max() <= LONGEST_NORMAL:  # neither holds for NaN
        return values
    sound = np.abs(values).max(axis=1, keepdims=True) <= LONGEST_NORMAL  # (N, 1)
    LOGGER.info("%s: %d normals are not finite, or absurdly long, and become 0", source, np.sum(~sound))
    return np.where(sound, values, 0).astype(np.float32)


def _check_labels(field: str, values, source: str):
    """segment or instance as int32 (N,); a column (N, 1) is flattened, floats must be whole numbers."""
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise UserError(f"{source}: {field} has shape {values.shape}, allowed is (N,); select one label a point")
    if values.dtype.kind not in "biuf":
        raise UserError(f"{source}: {field} holds {values.dtype}, allowed are integers; map names to class numbers")
    if values.dtype.kind == "f" and not np.array_equal(values, np.rint(values)):
        raise UserError(f"{source}: {field} holds numbers that are not whole, allowed are integers with -1 = unknown")
    limits = np.iinfo(np.int32)
    if values.size and (values.min() < limits.min or values.max() > limits.max):
        raise UserError(f"{source}: {field} reaches {values.max():g}, allowed is int32; renumber the labels")
    values = values.astype(np.int32)
    if (values < -1).any():
        LOGGER.info("%s: %d %s labels below -1 become -1, unknown", source, np.sum(values < -1), field)
        values = np.maximum(values, -1)
    return values
