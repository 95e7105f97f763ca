"""From a file of any known format to arrays under the fields' names, unchecked, and back to a file.

Formats of our own: a Pointcept folder of `.npy`, `.npz`, `.ply`, `.pth`. Others are read (`scene_formats`): text and
`.npy` with columns, `.pcd`, anything gzipped; with the extra `formats` las, laz, e57, obj, glb, stl and off.
Errors are UserErrors that name the file.
"""

import difflib
import gzip
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pointcept_msm.files import scene_formats
from pointcept_msm.files.atomic import replace_file
from pointcept_msm.files.torch_files import read_torch_file, require_regular
from pointcept_msm.runtime.errors import UserError

FIELDS = ("coord", "color", "normal", "segment", "instance")
SUFFIXES = (".npz", ".ply", ".pth")  # of files that we write too
# Other names under which a field is found, the best first: in Pointcept's folders and its older .pth, in other tools.
ALIASES = {
    "segment": ("segment20", "semantic_gt20", "semantic_gt", "segment200", "semantic_gt200", "label", "labels"),
    "instance": ("instance_gt", "instances"),
    "coord": ("coords", "xyz", "points", "pos", "positions"),
    "color": ("colors", "colour", "colours", "rgb"),
    "normal": ("normals",),
}
KNOWN = (*FIELDS, *(alias for names in ALIASES.values() for alias in names))


def is_scene(path) -> bool:
    """Whether `path` looks like a scene: a folder with coord.npy, or a file of a format that holds nothing else."""
    path = Path(path)
    if path.name.startswith("."):  # a Mac leaves `._scan.ply` beside scan.ply
        return False
    kinds = (*SUFFIXES, *scene_formats.SCANS)
    return (path / "coord.npy").is_file() or (_kind(path).removesuffix(".gz") in kinds and path.is_file())


def read_scene_file(path: Path) -> dict:
    """The arrays of a scene folder or file by field name; `up` beside them where the format says which axis it is."""
    if path.is_dir():
        return _read_folder(path)
    if not path.exists() and not path.is_symlink():
        raise UserError(f"{path.absolute()} does not exist; give a scene folder with coord.npy, or a scene file")
    kind = _kind(path)
    if kind.endswith(".gz"):
        return _read_unpacked(path, kind.removesuffix(".gz"))
    return _guarded(_find_reader(path, kind), path)


def load_array(path) -> np.ndarray:
    """One `.npy` array. UserError names the file when it is damaged or holds pickled objects."""
    return _guarded(lambda path: np.load(path, allow_pickle=False), Path(path))


def count_points(path) -> int:
    """The number of points of a scene, from a header where the format has one."""
    path = Path(path)
    if path.is_dir():
        return len(_guarded(lambda path: np.load(path, mmap_mode="r", allow_pickle=False), path / "coord.npy"))
    return len(read_scene_file(path)["coord"])


def name_fields(arrays: Mapping, source="the scene") -> dict:
    """`arrays` with well-known other names put right. UserError: a name that is nearly that of a field that lacks."""
    named = {key: value for key, value in arrays.items() if value is not None}
    for field, aliases in ALIASES.items():
        there = [alias for alias in aliases if alias in named]
        if there and field not in named:
            named[field] = named[there[0]]
        for alias in there:
            del named[alias]
    lacking = [field for field in FIELDS if field not in named]
    for key in (key for key in named if key not in FIELDS):
        near = difflib.get_close_matches(str(key).lower(), lacking, 1, 0.75)
        if near:
            raise UserError(f"{source} has {key!r} and no {near[0]}; rename it, if that is what it holds")
    return named


def _kind(path):
    """Suffix in lower case, that of a gzipped file with both parts."""
    kind = path.suffix.lower()
    return path.with_suffix("").suffix.lower() + kind if kind == ".gz" else kind


def _find_reader(path, kind):
    readers = {".npz": _read_npz, ".ply": scene_formats.read_ply, ".pth": _read_pth, ".npy": _read_npy}
    readers |= scene_formats.READERS
    if kind not in readers:
        raise UserError(
            f"{path} is a {kind or 'file without a suffix'}, allowed are a folder of .npy, "
            f"{', '.join(readers)} and .gz of them; CloudCompare converts many more: CloudCompare -SILENT -O "
            f"{path.name} -C_EXPORT_FMT PLY -SAVE_CLOUDS"
        )
    return readers[kind]


def _guarded(reader, path: Path):
    """Run a reader; whatever a damaged file raises becomes a UserError that names the file."""
    require_regular(path)
    try:
        return reader(path)
    except (UserError, PermissionError):
        raise
    except Exception as error:  # readers of damaged files fail in any way
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise UserError(
            f"{path} cannot be read ({reason}); it is damaged, too large or of another format, write it again"
        ) from error


def _read_folder(path):
    files = sorted(file for file in path.iterdir() if file.suffix == ".npy" and file.stem in KNOWN)
    if path / "coord.npy" in files:
        return name_fields({file.stem: load_array(file) for file in files}, path)
    inside = [child for child in sorted(path.iterdir()) if is_scene(child)]
    hint = "give a scene folder in Pointcept's format, or a scene file"
    hint = f"it holds {len(inside)} scenes, such as {inside[0].name}: give those ({path}/*)" if inside else hint
    raise UserError(f"{path} has no coord.npy; {hint}")


def _read_unpacked(path, kind):
    _find_reader(path, kind)
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / f"unpacked{kind}"

        def unpack(path):
            with gzip.open(path) as packed, open(plain, "wb") as file:
                shutil.copyfileobj(packed, file)

        _guarded(unpack, path)
        try:
            return read_scene_file(plain)
        except UserError as error:
            raise UserError(str(error).replace(str(plain), str(path))) from error


def _read_npz(path):
    with np.load(path, allow_pickle=False) as archive:
        names = _require_coord(name_fields({name: name for name in archive.files}, path), path)
        return {field: archive[name] for field, name in names.items()}


def _read_pth(path):
    return _require_coord(name_fields(read_torch_file(path), path), path)


def _require_coord(arrays, path):
    if "coord" not in arrays:
        found = ", ".join(map(str, arrays)) or "nothing"
        raise UserError(f"{path} has no coord, only {found}; name its points coord, (N, 3) in metres")
    return {field: arrays[field] for field in FIELDS if field in arrays}


def _read_npy(path):
    return scene_formats.name_columns(np.load(path, allow_pickle=False), path)


def write_scene_file(path: Path, arrays: Mapping) -> None:
    """Write arrays in the format of the suffix; without one, as a folder of `.npy`. A file is whole or not there."""
    kind = path.suffix.lower()
    if kind not in ("", *SUFFIXES):
        raise UserError(f"{path} ends in {path.suffix!r}, allowed are no suffix (a folder) and {', '.join(SUFFIXES)}")
    (path.parent if kind else path).mkdir(parents=True, exist_ok=True)
    if not kind:
        for key, values in arrays.items():
            np.save(path / f"{key}.npy", values)
        return
    with replace_file(path) as file:
        if kind == ".npz":
            np.savez_compressed(file, **arrays)
        elif kind == ".pth":
            import torch

            torch.save({key: torch.from_numpy(values) for key, values in arrays.items()}, file)
        else:
            scene_formats.write_ply(file, arrays)
