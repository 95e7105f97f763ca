"""Reading, checking and writing scenes: one dictionary of arrays, whatever the file.

A checked scene has `coord` (N, 3) float32 metres, z up, and may have `color` (N, 3) float32 0-255, `normal` (N, 3)
float32, `segment` and `instance` (N,) int32 with -1 = unknown, `name`, `split`, and `origin` (3,) float64, which was
subtracted from coordinates too far for float32. Formats: see `scene_files`; nothing executable is ever loaded.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pointcept_msm.files.inspection import inspect_scene
from pointcept_msm.files.scene_files import FIELDS, name_fields, read_scene_file, write_scene_file
from pointcept_msm.files.scene_formats import name_columns
from pointcept_msm.runtime.errors import UserError

LOGGER = logging.getLogger("msm")
VECTORS = ("coord", "color", "normal")
PRECISE_EXTENT = 1_000.0  # metres; beyond it float32 no longer resolves a tenth of a millimetre
COARSE_STEP = 1e-3  # metres; coordinates that were rounded to more are said to be
LARGEST_COORD = 1e11  # metres; farther away nothing is a scene, and voxels could not be numbered
LONGEST_NORMAL = 1000.0  # anything longer is no direction and counts as broken
MANY = 0.02  # share of the normals that may be 0 without a word
# Rows of x, y and z after turning the axis upwards, as signed columns of before: proper rotations about x or y.
TURNS = {"z": (1, 2, 3), "-z": (1, -2, -3), "y": (1, -3, 2), "-y": (1, 3, -2), "x": (-3, 2, 1), "-x": (3, 2, -1)}


def read_scene(scene) -> dict:
    """A scene as it is given, unchecked: a dictionary, a path, or an array (N, 3) to (N, 10) whose columns can be told.

    A path gives `name` (the stem) and `split` (the folder above) too. UserError: none of these, or nothing to read.
    """
    if isinstance(scene, Mapping):
        return name_fields(scene, str(scene.get("name", "the scene")))
    if hasattr(scene, "ndim"):
        return name_columns(_as_array("coord", scene, "the array"), "the array")
    if not isinstance(scene, (str, Path)):
        raise UserError(
            f'a scene is a path, an array (N, 3), (N, 6), (N, 9) or a dictionary such as {{"coord": xyz}}; got a '
            f"{type(scene).__name__}"
        )
    path = Path(scene).expanduser()
    return read_scene_file(path) | {"name": scene_name(path), "split": path.absolute().parent.name}


def scene_name(path) -> str:
    """What the scene at `path` is called: its folder, or its file without suffix."""
    path = Path(path).absolute()
    stem = path.with_suffix("") if path.suffix == ".gz" else path
    return path.name if path.is_dir() else stem.stem


def load_scene(path, require=("coord",), up: str | None = None, scale: float = 1.0) -> dict:
    """`read_scene`, checked. require: fields without which it is refused. up, scale: see `check_scene`.

    UserError: the scene cannot be used.
    """
    scene = check_scene(read_scene(path), str(path), up, scale)
    lacking = [field for field in require if field not in scene]
    if lacking:
        found = ", ".join(field for field in FIELDS if field in scene)
        raise UserError(
            f"{path} has no {' and no '.join(lacking)}, only {found}; add the field to the scene, or use a network and "
            "config that do without it"
        )
    return scene


def save_scene(path, scene: Mapping) -> None:
    """Write a scene as a folder of `.npy` (no suffix), `.npz`, `.ply` or `.pth`.

    Coordinates become float32, or float64 where float32 would not hold them (`origin` is added again); colours uint8
    (rounded), normals float32, labels int16 where they fit, otherwise int32.
    """
    checked = check_scene(scene, str(path))
    if "origin" in checked:
        checked["coord"] = checked["coord"].astype(np.float64) + checked["origin"]
    if "color" in checked:
        checked["color"] = np.rint(checked["color"]).astype(np.uint8)
    for field in {"segment", "instance"} & checked.keys():
        fits = np.abs(checked[field].astype(np.int64)).max() <= np.iinfo(np.int16).max
        checked[field] = checked[field].astype(np.int16 if fits else np.int32)
    write_scene_file(Path(path), {field: checked[field] for field in FIELDS if field in checked})


def warn_of_doubts(scene: Mapping, source: str) -> None:
    """Say what `inspect_scene` doubts of a checked scene of a data set, such as its unit."""
    for doubt in inspect_scene(scene["coord"])[1]:
        LOGGER.warning("%s: %s (in a config: data.train.up, data.train.scale)", source, doubt)


def check_scene(
    scene: Mapping,
    source: str,
    up: str | None = None,
    scale: float = 1.0,
    needed: Sequence[str] = FIELDS,
    notes: dict | None = None,
) -> dict:
    """A new scene with the known fields in their proper types; `source` (a file or a description) heads the errors.

    up: which axis of the scene points up (None: what its format says, else z); scale: metres a unit of it; a checked
    scene has z and 1. needed: fields whose faults are refused; other broken ones are left out. notes: takes what was
    changed, as {what: sentence}; without it they are logged.
    Colours given as fractions (floats, all within 0-1) are multiplied by 255, 16-bit ones divided by 257; normals get
    unit length, broken ones become 0, and if all are 0 there are none. A checked scene comes out as it went in.
    UserError, one sentence: field, what was found, what is allowed, next step.
    """
    if not isinstance(scene, Mapping):
        raise UserError(f"{source}: it is a {type(scene).__name__}; give a dictionary with coord, (N, 3) in metres")
    turn, scale = _find_turn(up or scene.get("up") or "z"), _check_scale(scale)
    if scene.get("coord") is None:
        present = ", ".join(map(str, scene)) or "nothing"
        raise UserError(f"{source}: coord is missing (found {present}); give the points as coord, (N, 3) in metres")
    said, checked = {} if notes is None else notes, {}
    for field in (field for field in FIELDS if scene.get(field) is not None):
        try:
            values = _as_array(field, scene[field], source)
            rows = len(values) if values.ndim else 0
            if rows != len(checked.get("coord", values if rows else ())):
                raise UserError(
                    f"{source}: {field} has {rows} rows and coord {len(checked['coord'])}; every field needs one row a "
                    "point"
                )
            if field == "coord" and values.dtype.kind == "f" and values.size:
                _note_rounding(values, scale, said)
            values = (_check_vectors if field in VECTORS else _check_labels)(field, values, source, said)
        except UserError as error:
            if field in (*needed, "coord"):
                raise
            said[field], values = f"{field} is left out, nothing reads it: {error}", None
        if values is not None:
            checked[field] = values
    if "normal" in checked:
        checked["normal"] = _turn(checked["normal"], turn)
    checked["coord"], origin = _place(checked["coord"], turn, scale, source, said)
    origin = origin + np.asarray(scene.get("origin", 0.0), dtype=np.float64)
    checked |= {"origin": origin} if origin.any() else {}
    checked.update({key: str(scene[key]) for key in ("name", "split") if key in scene})
    if notes is None:
        for note in said.values():
            LOGGER.info("%s: %s", source, note)
    return checked


def _find_turn(up):
    if up not in TURNS:
        raise UserError(f"up is {up!r}; allowed: {', '.join(TURNS)}")
    return TURNS[up]


def _check_scale(scale):
    if isinstance(scale, bool) or not isinstance(scale, (int, float)) or not 0 < scale < float("inf"):
        raise UserError(f"scale is {scale!r}; give metres a unit, such as 0.001 for millimetres")
    return scale


def _turn(vectors, turn):
    if turn == TURNS["z"]:
        return vectors
    return np.stack([np.sign(axis) * vectors[:, abs(axis) - 1] for axis in turn], 1).astype(vectors.dtype)


def turn_back(vectors, up: str):
    """Vectors (N, 3) of a checked scene in the axes of its file, of which `up` pointed up."""
    columns = np.argsort([abs(axis) for axis in TURNS[up]])
    return vectors[:, columns] * np.sign(TURNS[up])[columns].astype(vectors.dtype)


def _place(coord, turn, scale, source, notes):
    """(coordinates float32, z up, in metres; what was subtracted from them)."""
    if scale != 1:
        coord = coord.astype(np.float64) * scale
    coord, origin = _turn(coord, turn), np.zeros(3)
    low, high = (np.array([float(find(axis)) for axis in coord.T]) for find in (np.min, np.max))
    extent = max(abs(low).max(), abs(high).max())
    if extent > LARGEST_COORD:
        raise UserError(
            f"{source}: coord reaches {extent:.3g} m, allowed is {LARGEST_COORD:.0e}; give metres (scale=0.001 for "
            "millimetres), without far points"
        )
    if extent > PRECISE_EXTENT and coord.dtype.itemsize > 4:
        origin = np.floor(low)
        notes["origin"] = f"{', '.join(f'{x:.0f}' for x in origin)} subtracted from map coordinates"
        coord = coord - origin
    return coord.astype(np.float32), origin


def _note_rounding(values, scale, notes):
    """Say how far the type of the coordinates rounds them, if that is much."""
    reach = max(abs(values.max()), abs(values.min()))
    step = float(np.spacing(reach)) * scale
    if step > COARSE_STEP:
        notes["precision"] = (
            f"coordinates reach {reach * scale:.4g} m as {values.dtype}, which rounds them to {step:.2g} m; write them "
            "in double precision, or with an origin subtracted"
        )


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


def _check_vectors(field: str, values, source: str, notes):
    """coord, color or normal as (N, 3), the latter two float32; None: they count as absent."""
    if values.dtype.kind not in "fiu":
        raise UserError(f"{source}: {field} holds {values.dtype}, allowed are integers and floats; convert it")
    if field == "color" and values.ndim == 2 and values.shape[1] == 4:
        values = values[:, :3]  # without opacity
    if values.ndim != 2 or values.shape[1] != 3 or len(values) == 0:
        what = "is empty" if values.size == 0 else f"has shape {values.shape}"
        raise UserError(f"{source}: {field} {what}, allowed is (N, 3) with N of at least 1; select its three columns")
    if field != "normal" and not np.isfinite([values.min(), values.max()]).all():  # a NaN is its own extreme
        broken = ~np.isfinite(values).all(axis=1)  # (N,)
        raise UserError(
            f"{source}: {field} has NaN or infinite values in {broken.sum()} of {len(values)} rows, first in row "
            f"{broken.argmax()}; remove those points"
        )
    if field == "coord":
        return values if values.dtype.kind == "f" and values.dtype.itemsize > 2 else values.astype(np.float64)
    return {"color": _color, "normal": _normal}[field](values, source, notes)


def _color(values, source: str, notes):
    low, high = float(values.min()), float(values.max())
    if values.dtype == np.uint16 and high > 255:
        notes["color"] = f"16-bit colours up to {high:.0f} are divided by 257"
        return values.astype(np.float32) / 257
    if low < 0 or high > 255:
        raise UserError(f"{source}: color runs from {low:g} to {high:g}, allowed is 0-255; rescale it")
    if values.dtype.kind != "f" and high == 1:
        # As floats they would pass for fractions when they are checked again.
        return np.where(values == 1, np.nextafter(np.float32(1), np.float32(2)), np.float32(0))
    if values.dtype.kind == "f" and 1 / 255 < high <= 1:
        notes["color"] = f"colours run from {low:g} to {high:g} and are taken as fractions, multiplied by 255"
        return values.astype(np.float32) * 255
    return values.astype(np.float32)


def _normal(values, source: str, notes):
    with np.errstate(over="ignore", invalid="ignore"):
        values = values.astype(np.float32)
        square = np.einsum("ij,ij->i", values, values)  # (N,)
    if square.min() > 0.81 and square.max() < 1.21:  # neither holds for NaN
        return values
    sound = square <= LONGEST_NORMAL**2  # False for NaN
    if not sound.all():
        notes["broken normals"] = f"{np.sum(~sound)} normals are not finite, or absurdly long, and become 0"
        values, square = np.where(sound[:, None], values, 0), np.where(sound, square, 0)
    if not square.any():
        notes["normal"] = "its normals are all 0 and count as absent"
        return None
    if sound.all() and np.mean(square == 0) > MANY:
        notes["zero normals"] = f"{np.sum(square == 0)} of its {len(square)} normals are 0"
    odd = (square > 0) & ((square <= 0.81) | (square >= 1.21))
    if odd.any():
        notes["long normals"] = (
            f"{odd.sum()} normals are brought to length 1 (they are up to {square.max() ** 0.5:.3g})"
        )
        values = values / np.where(odd, np.sqrt(square), 1)[:, None].astype(np.float32)
    return values


def _check_labels(field: str, values, source: str, notes):
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
        notes[field] = f"{np.sum(values < -1)} {field} labels below -1 become -1, unknown"
        values = np.maximum(values, -1)
    return values
