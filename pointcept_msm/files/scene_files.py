"""The file formats behind `scene_io`: each reader returns the file's arrays by name, unchecked.

Errors are UserErrors that name the file.
"""

from pathlib import Path

import numpy as np

from pointcept_msm.files.torch_files import read_torch_file, require_regular
from pointcept_msm.runtime.errors import UserError

SUFFIXES = (".npz", ".ply", ".pth")
# Other names under which a field is found, in Pointcept's folders and in its older .pth files; the best come first.
ALIASES = {
    "segment20": "segment",
    "semantic_gt20": "segment",
    "semantic_gt": "segment",
    "segment200": "segment",
    "semantic_gt200": "segment",
    "instance_gt": "instance",
}
KNOWN = ("coord", "color", "normal", "segment", "instance", *ALIASES)
PLY_COLORS = (("red", "green", "blue"), ("diffuse_red", "diffuse_green", "diffuse_blue"), ("r", "g", "b"))
PLY_LABELS = {"segment": ("segment", "label", "class"), "instance": ("instance", "instance_id")}


def is_scene(path) -> bool:
    """Whether `path` looks like a scene: a folder with coord.npy, or a file of a known format."""
    path = Path(path)
    return (path / "coord.npy").is_file() or (path.suffix.lower() in SUFFIXES and path.is_file())


def read_scene_file(path: Path) -> dict:
    """The arrays of a scene folder or file by field name."""
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix == ".npy" and file.stem in KNOWN)
        if path / "coord.npy" not in files:
            raise UserError(f"{path} has no coord.npy; give a scene folder in Pointcept's format, or a scene file")
        return _prefer_known_names({file.stem: load_array(file) for file in files})
    if not path.exists() and not path.is_symlink():
        raise UserError(f"{path} does not exist; give a scene folder with coord.npy, or a {', '.join(SUFFIXES)} file")
    readers = {".npz": _read_npz, ".ply": _read_ply, ".pth": _read_pth}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"{path} is a {path.suffix!r} file, allowed are a folder of .npy and {', '.join(SUFFIXES)}")
    return _prefer_known_names(_guarded(reader, path))


def load_array(path) -> np.ndarray:
    """One `.npy` array. UserError names the file when it is damaged or holds pickled objects."""
    return _guarded(lambda path: np.load(path, allow_pickle=False), Path(path))


def count_points(path) -> int:
    """The number of points of a scene, from a header where the format has one."""
    path = Path(path)
    if path.is_dir():
        return len(_guarded(lambda path: np.load(path, mmap_mode="r", allow_pickle=False), path / "coord.npy"))
    return len(read_scene_file(path)["coord"])


def _guarded(reader, path: Path):
    """Run a reader; whatever a damaged file raises becomes a UserError that names the file."""
    require_regular(path)
    try:
        return reader(path)
    except (UserError, PermissionError):
        raise
    except Exception as error:  # readers of damaged files fail in any way
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(
            f"{path} cannot be read ({reason}); it is damaged, too large or of another format, write it again"
        ) from error


def _prefer_known_names(arrays: dict) -> dict:
    """Aliases under their field's name, unless that or a better alias is there."""
    for alias, field in ALIASES.items():
        if alias in arrays:
            arrays.setdefault(field, arrays.pop(alias))
    return {field: values for field, values in arrays.items() if field not in ALIASES}


def _read_npz(path: Path) -> dict:
    with np.load(path, allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files if key in KNOWN}


def _read_pth(path: Path) -> dict:
    return {key: value for key, value in read_torch_file(path, arrays=True).items() if key in KNOWN}


def _read_ply(path: Path) -> dict:
    """The vertices of a `.ply` file; names of properties in any case."""
    from plyfile import PlyData

    ply = PlyData.read(str(path))
    if "vertex" not in ply:
        raise UserError(f"{path} has no vertex element; write it with its points")
    columns = {name.lower(): np.asarray(ply["vertex"].data[name]) for name in ply["vertex"].data.dtype.names}
    arrays = {"coord": _columns(columns, ("x", "y", "z")), "normal": _columns(columns, ("nx", "ny", "nz"))}
    colors = (_columns(columns, names) for names in PLY_COLORS)
    arrays["color"] = next((color for color in colors if color is not None), None)
    for field, names in PLY_LABELS.items():
        arrays[field] = next((columns[name] for name in names if name in columns), None)
    return {field: values for field, values in arrays.items() if values is not None}


def _columns(columns: dict, names):
    if not all(name in columns for name in names):
        return None
    return np.stack([columns[name] for name in names], axis=1)  # (N, 3)


def write_scene_file(path: Path, arrays: dict) -> None:
    """Write arrays in the format of the suffix; without one, as a folder of `.npy`."""
    kind = path.suffix.lower()
    if kind not in ("", *SUFFIXES):
        raise UserError(f"{path} ends in {path.suffix!r}, allowed are no suffix (a folder) and {', '.join(SUFFIXES)}")
    (path.parent if kind else path).mkdir(parents=True, exist_ok=True)
    if kind == ".npz":
        np.savez_compressed(path, **arrays)
    elif kind == ".pth":
        import torch

        torch.save({key: torch.from_numpy(values) for key, values in arrays.items()}, path)
    elif kind == ".ply":
        _write_ply(path, arrays)
    else:
        for key, values in arrays.items():
            np.save(path / f"{key}.npy", values)


def _write_ply(path: Path, arrays: dict) -> None:
    """The points as the vertices of a binary `.ply`."""
    from plyfile import PlyData, PlyElement

    names = {"coord": ("x", "y", "z"), "color": PLY_COLORS[0], "normal": ("nx", "ny", "nz")}
    columns = {}
    for key, values in arrays.items():
        columns.update(zip(names.get(key, (key,)), values.reshape(len(values), -1).T))
    vertices = np.empty(len(arrays["coord"]), dtype=[(name, column.dtype) for name, column in columns.items()])
    for name, column in columns.items():
        vertices[name] = column
    PlyData([PlyElement.describe(vertices, "vertex")]).write(str(path))
