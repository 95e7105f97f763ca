"""The file formats behind `scene_io`: each reader returns the file's arrays by name, unchecked.

Errors are ValueErrors that name the file, FileNotFoundError when there is none.
"""

import zipfile
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from pointcept_msm.files.file_claims import (
    check_npy,
    check_npz,
    check_ply,
    check_torch_file,
    read_npy_header,
    require_regular,
)

SUFFIXES = (".npz", ".ply", ".pth")
# Other names under which a field is found, in Pointcept's folders and in its older .pth files.
ALIASES = {
    "segment20": "segment",
    "semantic_gt20": "segment",
    "semantic_gt": "segment",
    "instance_gt": "instance",
}
FALLBACK_ALIASES = {"segment200": "segment", "semantic_gt200": "segment"}
KNOWN = ("coord", "color", "normal", "segment", "instance", *ALIASES, *FALLBACK_ALIASES)
PLY_COLORS = (("red", "green", "blue"), ("diffuse_red", "diffuse_green", "diffuse_blue"), ("r", "g", "b"))
PLY_LABELS = {"segment": ("segment", "label", "class"), "instance": ("instance", "instance_id")}


def is_scene(path) -> bool:
    """Whether `path` looks like a scene: a folder with coord.npy, or a file of a known format."""
    path = Path(path)
    return (path / "coord.npy").is_file() or (path.suffix.lower() in SUFFIXES and path.is_file())


def read_scene_file(path: Path) -> dict:
    """The arrays of a scene folder or file by field name."""
    if path.is_dir():
        return read_folder(path)
    if not path.exists() and not path.is_symlink():
        raise FileNotFoundError(
            f"{path} does not exist; give a scene folder with coord.npy, or a {', '.join(SUFFIXES)} file"
        )
    readers = {".npz": read_npz, ".ply": read_ply, ".pth": read_pth}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise ValueError(f"{path} is a {path.suffix!r} file, allowed are a folder of .npy and {', '.join(SUFFIXES)}")
    return _prefer_known_names(_guarded(reader, path))


def _guarded(reader, path: Path):
    """Run a reader; whatever a damaged file raises becomes a ValueError that names the file."""
    require_regular(path)
    try:
        return reader(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path} is gone; it was there when the scenes were listed") from error
    except PermissionError as error:
        raise PermissionError(f"{path} may not be read by this user; change its permissions") from error
    except MemoryError as error:
        raise ValueError(f"{path} does not fit into memory ({error}); cut the scene, if it is that large") from error
    except Exception as error:
        detail = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"{path} cannot be read ({detail}); it is damaged or of another format, write it again"
        ) from error


def load_array(path) -> np.ndarray:
    """One `.npy` array; raises ValueError naming the file when it is truncated or holds pickled objects."""
    return _guarded(_read_npy, Path(path))


def _read_npy(path: Path) -> np.ndarray:
    check_npy(path)
    return np.load(path, allow_pickle=False)


def read_folder(path: Path) -> dict:
    """A Pointcept scene folder: every `.npy` in it."""
    try:
        files = sorted(file for file in path.iterdir() if file.suffix == ".npy" and file.stem in KNOWN)
    except PermissionError as error:
        raise PermissionError(f"{path} may not be read by this user; change its permissions") from error
    if path / "coord.npy" not in files:
        raise FileNotFoundError(f"{path} has no coord.npy; give a scene folder in Pointcept's format, or a scene file")
    return _prefer_known_names({file.stem: load_array(file) for file in files})


def _prefer_known_names(arrays: dict) -> dict:
    """Drop an alias when the field is there under a better name: segment, then segment20, then segment200."""
    for names in ((*ALIASES.items(),), (*FALLBACK_ALIASES.items(),)):
        for alias, field in names:
            if alias in arrays:
                values = arrays.pop(alias)
                arrays.setdefault(field, values)
    return arrays


def read_npz(path: Path) -> dict:
    check_npz(path, KNOWN)
    with np.load(path, allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files if key in KNOWN}


def read_pth(path: Path) -> dict:
    """A torch file holding a dictionary; only tensors, arrays and plain values are unpickled."""
    import torch

    check_torch_file(path)
    # Without numpy's names, as before torch 2.6, a file may hold tensors only.
    arrays_allowed = torch.__version__ >= (2, 6)
    with torch.serialization.safe_globals(_array_globals()) if arrays_allowed else nullcontext():
        content = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__}, allowed is a dictionary of tensors")
    return {key: value for key, value in content.items() if key in KNOWN}


def _array_globals() -> list:
    """What a pickled numpy array names, under the module paths of numpy 1 and 2; none of it runs foreign code."""
    import _codecs

    rebuild = np.zeros(1).__reduce__()[0]
    dtypes = {type(np.dtype(code)) for code in "?bBhHiIlLqQefd"}
    paths = [f"numpy.{core}.multiarray._reconstruct" for core in ("core", "_core")]
    return [np.ndarray, np.dtype, _codecs.encode, *dtypes, *((rebuild, path) for path in paths)]


def read_ply(path: Path) -> dict:
    """The vertices of a `.ply` file; names of properties in any case."""
    from plyfile import PlyData

    check_ply(path)
    ply = PlyData.read(str(path))
    if "vertex" not in ply:
        raise ValueError("it has no vertex element")
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
    if path.suffix.lower() not in ("", *SUFFIXES):
        raise ValueError(f"{path} ends in {path.suffix!r}, allowed are no suffix (a folder) and {', '.join(SUFFIXES)}")
    folder = path.parent if path.suffix else path
    folder.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".npz":
        np.savez_compressed(path, **arrays)
    elif path.suffix.lower() == ".pth":
        import torch

        torch.save({key: torch.from_numpy(values) for key, values in arrays.items()}, path)
    elif path.suffix.lower() == ".ply":
        write_ply(path, arrays)
    else:
        for key, values in arrays.items():
            np.save(path / f"{key}.npy", values)


def write_ply(path: Path, arrays: dict) -> None:
    """Write the points as the vertices of a binary `.ply`."""
    from plyfile import PlyData, PlyElement

    names = {"coord": ("x", "y", "z"), "color": PLY_COLORS[0], "normal": ("nx", "ny", "nz")}
    columns = {}
    for key, values in arrays.items():
        columns.update(zip(names.get(key, (key,)), values.reshape(len(values), -1).T))
    vertices = np.empty(len(arrays["coord"]), dtype=[(name, column.dtype) for name, column in columns.items()])
    for name, column in columns.items():
        vertices[name] = column
    PlyData([PlyElement.describe(vertices, "vertex")]).write(str(path))


def count_points(path) -> int:
    """The number of points of a scene, from the file's header where the format has one."""
    path = Path(path)
    if path.is_dir():
        return _guarded(_npy_rows, path / "coord.npy")
    if path.suffix.lower() == ".npz":
        return _guarded(_npz_rows, path)
    if path.suffix.lower() == ".ply":
        return _guarded(_ply_rows, path)
    return len(read_scene_file(path)["coord"])


def _npy_rows(path: Path) -> int:
    with open(path, "rb") as file:
        return _first(read_npy_header(file)[0])


def _npz_rows(path: Path) -> int:
    with zipfile.ZipFile(path) as archive, archive.open("coord.npy") as file:
        return _first(read_npy_header(file)[0])


def _first(shape) -> int:
    if not shape:
        raise ValueError("coord is a single number")
    return shape[0]


def _ply_rows(path: Path) -> int:
    with open(path, "rb") as file:
        for line in file:
            words = line.split()
            if words[:2] == [b"element", b"vertex"]:
                return int(words[2])
            if words[:1] == [b"end_header"]:
                break
    raise ValueError("its header has no vertex element")
