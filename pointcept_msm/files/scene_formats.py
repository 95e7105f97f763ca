"""Formats of other tools: `.ply`, `.pcd`, text with columns, and through kept libraries (the extra `formats`) laser
scans and meshes. Each reader gives arrays under the fields' names; legend: N points.
"""

import logging
import re
import warnings
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

import numpy as np

from pointcept_msm.runtime.errors import UserError

LOGGER = logging.getLogger("msm")
COORDS = (("x", "y", "z"),)
COLORS = (("red", "green", "blue"), ("diffuse_red", "diffuse_green", "diffuse_blue"), ("r", "g", "b"))
NORMALS = (("nx", "ny", "nz"), ("normal_x", "normal_y", "normal_z"), ("normalx", "normaly", "normalz"))
HARMONICS = ("f_dc_0", "f_dc_1", "f_dc_2")  # of Gaussian splats
LABELS = {
    "segment": ("segment", "label", "labels", "class", "classification", "semantic", "semantic_label"),
    "instance": ("instance", "instance_id", "instance_label", "object_id"),
}
PLY_TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4", "double": "f8"
} | {f"{kind}{8 * size}": f"{kind[0]}{size}" for kind in ("int", "uint", "float") for size in (1, 2, 4, 8)}  # fmt: skip
MESH_POINTS = 200_000  # drawn from the surface of a mesh that is too coarse to be a scan
COARSE = 0.01  # of a mesh's diagonal: triangles longer than that are no scan's


def name_fields_of(columns: Mapping[str, np.ndarray]) -> dict:
    """The fields among named columns (N,): names in any case, CloudCompare's `scalar_<name>` counts as `<name>`."""
    columns = {str(name).strip("/ \"'").lower(): values for name, values in columns.items()}
    columns = {name.removeprefix("scalar_"): values for name, values in columns.items()} | columns
    fields = {}
    for field, choices in (("coord", COORDS), ("color", COLORS), ("normal", NORMALS)):
        names = next((names for names in choices if all(name in columns for name in names)), None)
        if names:
            fields[field] = np.stack([columns[name] for name in names], axis=1)  # (N, 3)
    if "color" not in fields and all(name in columns for name in HARMONICS):
        harmonics = np.stack([columns[name] for name in HARMONICS], axis=1)
        fields["color"] = 255 * np.clip(0.5 + 0.28209479 * harmonics, 0, 1)  # the zeroth spherical harmonic
    for field, names in LABELS.items():
        name = next((name for name in names if name in columns), None)
        if name:
            fields[field] = columns[name]
    return fields


def name_columns(values, source) -> dict:
    """The fields in (N, C) columns without names: x y z, then colours, unit normals or both, then a label.

    UserError: no such array, or columns of which that cannot be told.
    """
    values = np.asarray(values)
    if values.ndim != 2 or values.dtype.kind not in "fiu" or not 3 <= values.shape[1] <= 10:
        raise UserError(
            f"{source} is an array of shape {values.shape} and type {values.dtype}; give (N, 3) points, (N, 6) or "
            '(N, 9) with colours and normals, or a dictionary such as {"coord": xyz, "color": rgb}'
        )
    fields, start, width = {"coord": values[:, :3]}, 3, values.shape[1]
    while width - start >= 3:
        triple = values[:, start : start + 3].astype(np.float64)
        length = np.linalg.norm(triple, axis=1)
        unit = np.mean((length > 0.95) & (length < 1.05)) > 0.9 or not triple.any()
        field = "normal" if unit and "normal" not in fields else "color"
        if field in fields or (field == "color" and not (triple.min() >= 0 and triple.max() <= 65535)):
            raise _puzzled(source, width)
        fields[field] = values[:, start : start + 3]
        start += 3
    if width - start == 1 and np.array_equal(values[:, start], np.rint(values[:, start])):
        fields["segment"] = values[:, start]
    elif width > start:
        raise _puzzled(source, width)
    return fields


def _puzzled(source, width):
    return UserError(
        f"{source} has {width} columns, and what they are cannot be told; name them in a first line, such as x y z red "
        "green blue, or write a .ply"
    )


def read_ply(path: Path) -> dict:
    """The vertices of a `.ply`, also where the header is not ASCII, lines end as on a Mac, or rows run over lines."""
    with open(path, "rb") as file:
        start = file.read(1 << 20)
    end = re.search(rb"end_header(\r\n|\n|\r)", start)
    if not start.startswith(b"ply") or end is None:
        raise UserError(f"{path} is no .ply: its header has no {'end' if start[:3] == b'ply' else 'beginning'}")
    lines = (line.decode("latin-1").split() for line in start[: end.start()].splitlines())
    form, elements = None, []  # (name, rows, [(property, type), ...], has lists)
    for words in filter(None, lines):
        if words[0] == "format":
            form = words[1]
        elif words[0] == "element":
            elements.append((words[1].lower(), int(words[2]), []))
        elif words[0] == "property":
            elements[-1][2].append((words[-1], "list" if words[1] == "list" else PLY_TYPES[words[1]]))
    names = [name for name, _, _ in elements]
    if "vertex" not in names:
        raise UserError(f"{path} has no vertices, only {', '.join(names) or 'nothing'}; write it with its points")
    before, (_, count, properties) = elements[: names.index("vertex")], elements[names.index("vertex")]
    if len({name for name, _ in properties}) < len(properties):
        raise UserError(
            f"{path} has a property of its vertices twice, of {', '.join(n for n, _ in properties)}; rename one"
        )
    if any(kind == "list" for _, _, row in (*before, (0, 0, properties)) for _, kind in row):
        return _read_ply_lists(path)
    if form == "ascii":
        values = _read_numbers(path, end.end(), before, count, properties)
        columns = {name: values[:, i].astype(kind) for i, (name, kind) in enumerate(properties)}
    else:
        order = ">" if form == "binary_big_endian" else "<"
        offset = end.end() + sum(rows * _row_type(row, order).itemsize for _, rows, row in before)
        rows = np.fromfile(path, _row_type(properties, order), count, offset=offset)
        if len(rows) < count:
            raise UserError(f"{path} is cut short: {len(rows)} of {count} vertices are there; write or copy it again")
        columns = {name: np.ascontiguousarray(rows[name]) for name, _ in properties}
    columns = {name: values.astype(values.dtype.newbyteorder("=")) for name, values in columns.items()}
    return name_fields_of(columns)


def _row_type(properties, order):
    return np.dtype([(name, order + kind) for name, kind in properties])


def _read_numbers(path, offset, before, count, properties):
    """Numbers of a text `.ply` from `offset` on, (count, properties) float64."""
    with open(path, "rb") as file:
        file.seek(offset)
        values = _parse(file.read(), path)
    skipped, width = sum(rows * len(row) for _, rows, row in before), len(properties)
    if len(values) < skipped + count * width:
        there = max((len(values) - skipped) // width, 0)
        raise UserError(f"{path} is cut short: {there} of {count} vertices are there; write or copy it again")
    return values[skipped : skipped + count * width].reshape(count, width)


def _parse(text, path):
    """The numbers of a text. UserError: it holds something else."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # how older numpy says that it met something else
            return np.fromstring(text, dtype=np.float64, sep=" ")
    except (ValueError, DeprecationWarning) as error:
        raise UserError(f"{path} holds more than numbers written as 0.5, perhaps as 0,5; write it again") from error


def _read_ply_lists(path):
    """By plyfile, which reads vertices that have lists as properties."""
    from plyfile import PlyData

    vertices = PlyData.read(str(path))["vertex"].data
    return name_fields_of({name: vertices[name] for name in vertices.dtype.names if vertices.dtype[name].kind != "O"})


def read_text(path: Path) -> dict:
    """Columns of numbers, with or without a line of names; comments, a leading count (.pts), any separator."""
    with open(path, encoding="latin-1") as file:
        lines = [file.readline(10_000) for _ in range(50)]
    skip, names = 0, None
    for line in filter(None, lines):
        words = re.split(r"[\s,;]+", line.strip().strip("#/").strip())
        if _is_number(words[0]) and not line.lstrip().startswith(("#", "//")) and len(words) > 1:
            break
        skip += 1
        names = words if len(words) >= 3 and {"x", "y", "z"} <= {word.lower() for word in words} else names
    separator = next((s for s in (";", ",") if skip < len(lines) and s in lines[skip]), None)
    values = np.loadtxt(path, delimiter=separator, skiprows=skip, comments=("#", "//"), ndmin=2, encoding="latin-1")
    if not values.size:
        raise UserError(f"{path} holds no numbers; write a point a line: x y z, or x y z red green blue")
    if names is not None and len(names) == values.shape[1]:
        return name_fields_of(dict(zip(names, values.T)))
    if path.suffix.lower() == ".pts" and values.shape[1] == 7:  # x y z intensity r g b
        values = np.delete(values, 3, 1)
    elif values.shape[1] == 4:
        LOGGER.info("%s: its fourth column has no name and is left out", path)
        values = values[:, :3]
    return name_columns(values, path)


def _is_number(word):
    try:
        float(word)
    except ValueError:
        return False
    return True


def read_pcd(path: Path) -> dict:
    """A `.pcd` of the Point Cloud Library, text or binary."""
    with open(path, "rb") as file:
        header = {}
        for line in file:
            words = line.decode("latin-1").split()
            if words and not words[0].startswith("#"):
                header[words[0]] = words[1:]
            if words[:1] == ["DATA"]:
                break
        names, count = header["FIELDS"], int(header["POINTS"][0])
        repeats = [int(x) for x in header.get("COUNT", ["1"] * len(names))]
        types = [f"<{t.lower()}{s}" for t, s in zip(header["TYPE"], header["SIZE"])]
        if header["DATA"] == ["binary"]:
            row = np.dtype([(f"{n}{i}", t, (c,)) for i, (n, t, c) in enumerate(zip(names, types, repeats))])
            rows = np.fromfile(file, row, count)
            columns = {n: rows[f"{n}{i}"][:, 0] for i, n in enumerate(names)}
        elif header["DATA"] == ["ascii"]:
            width, numbers = sum(repeats), _parse(file.read(), path)
            rows = numbers[: len(numbers) // width * width].reshape(-1, width)[:count]
            places = np.cumsum([0, *repeats[:-1]])
            columns = {n: rows[:, p].astype(t) for n, p, t in zip(names, places, types)}
        else:
            raise UserError(f"{path} is compressed; unpack it: pcl_convert_pcd_ascii_binary {path.name} OUT.pcd 1")
    if len(rows) < count:
        raise UserError(f"{path} is cut short: {len(rows)} of {count} points are there; write or copy it again")
    packed = next((columns.pop(name) for name in ("rgb", "rgba") if name in columns), None)
    if packed is not None:
        bits = np.ascontiguousarray(packed).view("<u4") if packed.dtype.itemsize == 4 else packed.astype("<u4")
        columns |= {name: ((bits >> shift) & 255).astype(np.uint8) for name, shift in (("r", 16), ("g", 8), ("b", 0))}
    return name_fields_of(columns)


def _import(name, path):
    try:
        return import_module(name)
    except ImportError as error:
        raise UserError(f"{path} needs {name}: pip install 'pointcept_msm[formats]', or convert it to .ply") from error


def read_las(path: Path) -> dict:
    """A `.las` or `.laz`; coordinates in float64, the classification as segment."""
    cloud = _import("laspy", path).read(path)
    columns = {name: np.asarray(cloud[name]) for name in cloud.point_format.dimension_names}
    return name_fields_of(columns | dict(zip("xyz", np.asarray(cloud.xyz).T)))


def read_e57(path: Path) -> dict:
    """All scans of an `.e57`, in their common frame, coordinates in float64."""
    file = _import("pye57", path).E57(str(path))
    scans = [file.read_scan(i, colors=True, ignore_missing_fields=True) for i in range(file.scan_count)]
    shared = set.intersection(*map(set, scans))
    columns = {name: np.concatenate([scan[name] for scan in scans]) for name in shared}
    rename = {"cartesianX": "x", "cartesianY": "y", "cartesianZ": "z"}
    rename |= {"colorRed": "r", "colorGreen": "g", "colorBlue": "b"}
    return name_fields_of({rename.get(name, name.removeprefix("nor:")): values for name, values in columns.items()})


def read_mesh(path: Path) -> dict:
    """A mesh: its vertices where they are as dense as a scan's, else points drawn evenly from it; it says which."""
    trimesh = _import("trimesh", path)
    mesh = trimesh.load(path, process=False)
    mesh = mesh.to_geometry() if hasattr(mesh, "to_geometry") else mesh
    if not len(mesh.vertices):
        raise UserError(f"{path} holds no points; write it again")
    fields = {"up": "y"} if path.suffix.lower() in (".glb", ".gltf") else {}  # as the format says
    if not len(getattr(mesh, "faces", ())):
        colors = getattr(mesh, "colors", None)
        has_colors = colors is not None and len(colors) == len(mesh.vertices)
        return fields | {"coord": np.asarray(mesh.vertices)} | ({"color": colors[:, :3]} if has_colors else {})
    colored = mesh.visual.kind is not None
    if np.median(mesh.edges_unique_length) < COARSE * np.linalg.norm(mesh.extents):
        LOGGER.warning("%s is a mesh: its %d vertices are taken as points", path, len(mesh.vertices))
        colors = mesh.visual.to_color().vertex_colors if mesh.visual.kind == "texture" else mesh.visual.vertex_colors
        found = {"coord": mesh.vertices, "normal": mesh.vertex_normals} | ({"color": colors} if colored else {})
    else:
        LOGGER.warning("%s is a mesh of few, large triangles: %d points are drawn from it", path, MESH_POINTS)
        drawn = trimesh.sample.sample_surface(mesh, MESH_POINTS, sample_color=colored, seed=0)
        found = {"coord": drawn[0], "normal": mesh.face_normals[drawn[1]]} | ({"color": drawn[2]} if colored else {})
    fields |= {key: np.asarray(values)[:, :3] for key, values in found.items()}
    return fields


SCANS = {".pcd": read_pcd, ".las": read_las, ".laz": read_las, ".e57": read_e57}
READERS = SCANS | dict.fromkeys((".xyz", ".txt", ".csv", ".pts", ".asc"), read_text)
READERS |= dict.fromkeys((".obj", ".glb", ".gltf", ".stl", ".off"), read_mesh)


def write_ply(file, arrays: Mapping) -> None:
    """The points as the vertices of a binary `.ply`, each array in its own type."""
    from plyfile import PlyData, PlyElement

    names = {"coord": COORDS[0], "color": COLORS[0], "normal": NORMALS[0]}
    columns = {}
    for key, values in arrays.items():
        columns.update(zip(names.get(key, (key,)), values.reshape(len(values), -1).T))
    vertices = np.empty(len(arrays["coord"]), dtype=[(name, column.dtype) for name, column in columns.items()])
    for name, column in columns.items():
        vertices[name] = column
    PlyData([PlyElement.describe(vertices, "vertex")]).write(file)
