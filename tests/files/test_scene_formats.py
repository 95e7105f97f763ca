"""Files as other tools and people write them: the same scene out of each, or one sentence."""

import gzip
import re

import numpy as np
import pytest
from plyfile import PlyData, PlyElement

from pointcept_msm.files.scene_files import is_scene
from pointcept_msm.files.scene_io import load_scene, read_scene
from tests.files.box_room import make_room

ROOM = make_room(600)
COORD, COLOR, NORMAL, LABEL = (ROOM[key] for key in ("coord", "color", "normal", "segment"))


def columns(names, kind, values):
    return [(name, kind, values[:, i]) for i, name in enumerate(names)]


XYZ, RGB = columns("xyz", "f4", COORD), columns(("red", "green", "blue"), "u1", COLOR)
NXYZ = columns(("nx", "ny", "nz"), "f4", NORMAL)


def write_ply(path, *parts, more=(), **how):
    rows = np.empty(len(COORD), [(name, kind) for part in parts for name, kind, _ in part])
    for name, _, values in (column for part in parts for column in part):
        rows[name] = values
    PlyData([PlyElement.describe(rows, "vertex"), *more], **how).write(str(path))
    return path


def same(scene, color=True, normal=True, segment=False, atol=1e-5):
    """The fields that are meant, with the room's values, and no others."""
    wanted = {"coord": COORD} | ({"color": COLOR} if color else {}) | ({"normal": NORMAL} if normal else {})
    wanted |= {"segment": LABEL} if segment else {}
    assert {"coord", "color", "normal", "segment"} & scene.keys() == wanted.keys()
    for field, values in wanted.items():
        np.testing.assert_allclose(scene[field], values, atol=atol, err_msg=field)


def refused(path, words):
    with pytest.raises(ValueError, match=words) as caught:
        load_scene(path)
    assert path.name in str(caught.value) and "\n" not in str(caught.value)


PLY = {
    "double": (columns("xyz", "f8", COORD), NXYZ, RGB),
    "capitals": ([(n.upper(), k, v) for n, k, v in XYZ + NXYZ + RGB],),
    "diffuse": (XYZ, NXYZ, columns(("diffuse_red", "diffuse_green", "diffuse_blue"), "u1", COLOR)),
    "short": (XYZ, NXYZ, columns("RGB", "u1", COLOR)),
    "fractions": (XYZ, NXYZ, columns(("red", "green", "blue"), "f4", COLOR / 255)),
    "16 bit": (XYZ, NXYZ, columns(("red", "green", "blue"), "u2", COLOR.astype(int) * 257)),
    "bgr and alpha": (XYZ, RGB[::-1], [("alpha", "u1", 255)], NXYZ),
    "normal_x": (XYZ, columns(("normal_x", "normal_y", "normal_z"), "f4", NORMAL), RGB),
    "long normals": (XYZ, columns(("nx", "ny", "nz"), "f4", NORMAL * 3), RGB),
}


@pytest.mark.parametrize("kind", PLY)
def test_names_and_ranges_in_a_ply(tmp_path, kind):
    same(load_scene(write_ply(tmp_path / "a.ply", *PLY[kind])), atol=1e-3 if kind == "fractions" else 1e-5)


@pytest.mark.parametrize("name", ["label", "class", "segment", "scalar_Label", "scalar_Classification"])
def test_labels_in_a_ply(tmp_path, name):
    same(load_scene(write_ply(tmp_path / "a.ply", XYZ, RGB, NXYZ, [(name, "f4", LABEL)])), segment=True)


def test_splats_have_their_colour_in_harmonics_and_no_normals(tmp_path):
    harmonics = columns(("f_dc_0", "f_dc_1", "f_dc_2"), "f4", (COLOR / 255 - 0.5) / 0.28209479)
    none = columns(("nx", "ny", "nz"), "f4", NORMAL * 0)
    same(
        load_scene(write_ply(tmp_path / "a.ply", XYZ, none, harmonics, [("opacity", "f4", 2)])), normal=False, atol=1e-3
    )


def edit_text(change):
    return lambda text: change(*text.split(b"end_header\n"))


TEXTS = {
    "crlf": lambda text: text.replace(b"\n", b"\r\n"),
    "cr": lambda text: text.replace(b"\n", b"\r"),
    "blank end": lambda text: text + b"\n\n",
    "no last line end": lambda text: text.rstrip(),
    "tabs": edit_text(lambda head, body: head + b"end_header\n" + body.replace(b" ", b"\t").replace(b"\n", b" \n")),
    "a number a line": edit_text(lambda head, body: head + b"end_header\n" + body.replace(b" ", b" \n")),
    "latin-1 comment": lambda text: text.replace(b"format ascii 1.0\n", b"format ascii 1.0\ncomment K\xfcche\n"),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_texts_of_other_hands(tmp_path, kind):
    path = write_ply(tmp_path / "a.ply", XYZ, NXYZ, RGB, text=True)
    path.write_bytes(TEXTS[kind](path.read_bytes()))
    same(load_scene(path))


@pytest.mark.parametrize("order", ["<", ">"])
def test_binary_with_other_elements_around(tmp_path, order):
    face = np.array([([0, 1, 2],)], [("vertex_indices", "i4", (3,))])
    camera = np.array([(1.0, 2.0)], [("view_px", "f4"), ("view_py", "f4")])
    more = [PlyElement.describe(camera, "camera"), PlyElement.describe(face, "face")]
    path = write_ply(tmp_path / "a.ply", XYZ, NXYZ, RGB, more=more, byte_order=order)
    same(load_scene(path))
    data = path.read_bytes()
    head, body = data.split(b"end_header\n", 1)
    path.write_bytes(head.replace(b"\n", b"\r\n") + b"end_header\r\n" + body + b"more")
    same(load_scene(path))
    vertices = PlyData.read(str(write_ply(tmp_path / "b.ply", XYZ, NXYZ, RGB, byte_order=order)))["vertex"]
    PlyData([more[0], vertices], byte_order=order).write(str(path))  # something before the vertices
    same(load_scene(path))


def test_vertices_with_lists(tmp_path):
    rows = np.empty(len(COORD), [("x", "f4"), ("y", "f4"), ("z", "f4"), ("descriptor", "O")])
    for name, _, values in XYZ:
        rows[name] = values
    rows["descriptor"] = [np.ones(2)] * len(rows)
    element = PlyElement.describe(rows, "vertex", val_types={"descriptor": "f8"}, len_types={"descriptor": "u4"})
    PlyData([element]).write(str(tmp_path / "a.ply"))
    same(load_scene(tmp_path / "a.ply"), color=False, normal=False)


def test_broken_plys(tmp_path):
    path = write_ply(tmp_path / "a.ply", XYZ, NXYZ, RGB, text=True)
    text, binary = path.read_bytes(), write_ply(path, XYZ).read_bytes()
    more = text.replace(b"vertex %d" % len(COORD), b"vertex %d" % (len(COORD) + 5))
    faces = np.array([([0, 1, 2],)], [("vertex_indices", "i4", (3,))])
    for data, words in (
        (more, f"is cut short: {len(COORD)} of {len(COORD) + 5} vertices are there"),
        (binary[:-100], "is cut short: .* vertices are there"),
        (text.replace(b".", b","), "holds more than numbers written as 0.5, perhaps as 0,5"),
        (
            text.replace(b"property float ny", b"property float nx"),
            "has a property .* twice, of x, y, z, nx, nx",
        ),
        (text[:40], "its header has no end"),
        (b"", "its header has no beginning"),
    ):
        path.write_bytes(data.replace(b"ascii 1,0", b"ascii 1.0"))
        refused(path, words)
    PlyData([PlyElement.describe(faces, "face")]).write(str(path))
    refused(path, "has no vertices, only face")


def table(path, values, **how):
    np.savetxt(path, values, **{"fmt": "%.6f", **how})
    return path


def test_columns_of_numbers(tmp_path):
    whole, labelled = np.c_[COORD, COLOR, NORMAL], np.c_[COORD, COLOR, LABEL]
    same(load_scene(table(tmp_path / "a.txt", whole)))
    same(load_scene(table(tmp_path / "b.xyz", np.c_[COORD, NORMAL, COLOR])))
    same(load_scene(table(tmp_path / "c.asc", labelled, delimiter=";")), normal=False, segment=True)
    same(load_scene(table(tmp_path / "d.csv", whole, delimiter=",", header="X,Y,Z,R,G,B,nx,ny,nz", comments="")))
    table(tmp_path / "e.txt", np.c_[COORD, LABEL], header="//X Y Z Scalar_Label", comments="")
    same(load_scene(tmp_path / "e.txt"), False, False, True)
    same(load_scene(table(tmp_path / "f.xyz", np.c_[COORD, LABEL])), False, False)  # a fourth column without a name
    intensity = np.full((len(COORD), 1), -7)
    table(tmp_path / "g.pts", np.c_[COORD, intensity, COLOR], header=str(len(COORD)), comments="")
    same(load_scene(tmp_path / "g.pts"), normal=False)
    for values in (np.c_[COORD, COLOR - 300.0], np.c_[COORD, COORD[:, :2]]):
        refused(table(tmp_path / "h.txt", values), f"has {values.shape[1]} columns, and what they are cannot be told")
    (tmp_path / "i.csv").write_text("name\nchair\n")
    refused(tmp_path / "i.csv", "holds no numbers")


def test_arrays(tmp_path):
    for values, color, normal in ((np.c_[COORD, COLOR], True, False), (np.c_[COORD, NORMAL], False, True)):
        np.save(tmp_path / "a.npy", values)
        same(load_scene(tmp_path / "a.npy"), color, normal)
        same(read_scene(values), color, normal)
    with pytest.raises(ValueError, match=r"array of shape \(600,\) .* give \(N, 3\) points"):
        read_scene(COORD[:, 0])
    with pytest.raises(ValueError, match=r"a scene is a path, an array .*; got a int"):
        read_scene(3)


def test_near_names(tmp_path):
    np.savez(tmp_path / "a.npz", points=COORD, colors=COLOR, normals=NORMAL)
    same(load_scene(tmp_path / "a.npz"))
    same(read_scene(dict(coord=COORD, rgb=COLOR, normals=NORMAL)))
    np.savez(tmp_path / "b.npz", coord=COORD, colorz=COLOR)
    refused(tmp_path / "b.npz", "has 'colorz' and no color; rename it, if that is what it holds")
    np.savez(tmp_path / "c.npz", scene=COORD)
    refused(tmp_path / "c.npz", "has no coord, only scene")


def write_pcd(path, data, **columns_):
    kinds = {"f": "F", "u": "U", "i": "I"}
    rows = np.empty(len(COORD), [(name, values.dtype) for name, values in columns_.items()])
    for name, values in columns_.items():
        rows[name] = values
    types = [values.dtype for values in columns_.values()]
    header = [
        "# .PCD v0.7", "FIELDS " + " ".join(columns_), "SIZE " + " ".join(str(t.itemsize) for t in types),
        "TYPE " + " ".join(kinds[t.kind] for t in types), "COUNT" + " 1" * len(types), f"WIDTH {len(rows)}", "HEIGHT 1",
        f"POINTS {len(rows)}", f"DATA {data}",
    ]  # fmt: skip
    body = rows.tobytes() if data == "binary" else "\n".join(" ".join(map(str, row)) for row in rows.tolist()).encode()
    path.write_bytes("\n".join(header).encode() + b"\n" + body)
    return path


@pytest.mark.parametrize("data", ["ascii", "binary"])
def test_pcd(tmp_path, data):
    xyz = {name: COORD[:, i].astype(np.float32) for i, name in enumerate("xyz")}
    normals = {f"normal_{name}": NORMAL[:, i] for i, name in enumerate("xyz")}
    bits = (COLOR.astype(np.uint32) << np.uint32([16, 8, 0])).sum(1).astype(np.uint32)
    path = write_pcd(tmp_path / "a.pcd", data, **xyz, rgb=bits, **normals, label=LABEL.astype(np.uint32))
    same(load_scene(path), segment=True)
    if data == "binary":
        same(load_scene(write_pcd(path, data, **xyz, rgb=bits.view(np.float32))), normal=False)
    path.write_bytes(path.read_bytes()[:-500])
    refused(path, "is cut short")
    refused(write_pcd(path, "binary_compressed", **xyz), "is compressed; unpack it: pcl_convert_pcd_ascii_binary")


def test_gzipped(tmp_path):
    plain = write_ply(tmp_path / "a.ply", XYZ, NXYZ, RGB)
    (tmp_path / "b.ply.gz").write_bytes(gzip.compress(plain.read_bytes()))
    scene = load_scene(tmp_path / "b.ply.gz")
    same(scene)
    assert scene["name"] == "b" and is_scene(tmp_path / "b.ply.gz")
    (tmp_path / "c.ply.gz").write_bytes(b"no archive")
    refused(tmp_path / "c.ply.gz", "cannot be read")


def test_las(tmp_path):
    laspy = pytest.importorskip("laspy", reason="the extra `formats` is not installed")
    far = COORD + [400_000, 4_000_000, 300]
    cloud = laspy.create(point_format=2, file_version="1.2")
    cloud.header.scales, cloud.header.offsets = [1e-4] * 3, [400_000, 4_000_000, 0]
    cloud.x, cloud.y, cloud.z = far.T
    cloud.red, cloud.green, cloud.blue = COLOR.astype(np.uint16).T * 257
    cloud.classification = LABEL.astype(np.uint8)
    for name in ("a.las", "a.laz"):
        cloud.write(str(tmp_path / name))
        same(load_scene(tmp_path / name), normal=False, segment=True, atol=1e-4)
        np.testing.assert_allclose(read_scene(tmp_path / name)["coord"], far, atol=1e-4)


def test_e57(tmp_path):
    pye57 = pytest.importorskip("pye57", reason="the extra `formats` is not installed")
    file = pye57.E57(str(tmp_path / "a.e57"), mode="w")
    names = dict(zip(("cartesianX", "cartesianY", "cartesianZ"), COORD.T))
    names |= dict(zip(("colorRed", "colorGreen", "colorBlue"), COLOR.T))
    for part in (slice(0, 200), slice(200, None)):  # two scans
        file.write_scan_raw({name: np.ascontiguousarray(values[part]) for name, values in names.items()})
    file.close()
    same(load_scene(tmp_path / "a.e57"), normal=False)


def test_meshes(tmp_path, caplog):
    trimesh = pytest.importorskip("trimesh", reason="the extra `formats` is not installed")
    box = trimesh.creation.box((2, 3, 1))
    for name in ("a.stl", "a.obj", "a.off"):
        box.export(str(tmp_path / name))
        scene = load_scene(tmp_path / name)
        assert np.allclose(np.ptp(scene["coord"], axis=0), (2, 3, 1), atol=0.01) and len(scene["normal"]) == 200_000
    assert "a.stl is a mesh of few, large triangles: 200000 points are drawn from it" in caplog.text
    box.export(str(tmp_path / "a.glb"))
    assert np.allclose(np.ptp(load_scene(tmp_path / "a.glb")["coord"], axis=0), (2, 1, 3), atol=0.01), "y is up in it"
    assert np.allclose(np.ptp(load_scene(tmp_path / "a.glb", up="z")["coord"], axis=0), (2, 3, 1), atol=0.01)
    fine = trimesh.creation.icosphere(subdivisions=6)
    fine.visual.vertex_colors = np.tile([9, 20, 30, 255], (len(fine.vertices), 1))
    fine.export(str(tmp_path / "b.obj"))
    scene = load_scene(tmp_path / "b.obj")
    assert len(scene["coord"]) == len(fine.vertices) and (scene["color"] == [9, 20, 30]).all()
    assert "its 40962 vertices are taken as points" in caplog.text


@pytest.mark.parametrize("suffix", [".las", ".laz", ".e57", ".obj", ".glb", ".stl"])
def test_without_the_extra_the_refusal_names_it(tmp_path, monkeypatch, suffix):
    import sys

    for name in ("laspy", "pye57", "trimesh"):
        monkeypatch.setitem(sys.modules, name, None)
    (tmp_path / f"a{suffix}").write_bytes(bytes(300))
    refused(tmp_path / f"a{suffix}", re.escape("pip install 'pointcept_msm[formats]', or convert it to .ply"))


def test_hidden_files_and_folders_of_scenes(tmp_path):
    write_ply(tmp_path / "a.ply", XYZ)
    (tmp_path / "._a.ply").write_bytes(b"\0\5\26\7")
    assert is_scene(tmp_path / "a.ply") and not is_scene(tmp_path / "._a.ply")
    refused(tmp_path, r"has no coord.npy; it holds 1 scenes, such as a.ply: give those")
