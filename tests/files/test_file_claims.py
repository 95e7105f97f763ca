"""Headers that promise more than a file holds, and files that are none: refused before anything is read."""

import io
import os
import tracemalloc
import zipfile

import numpy as np
import pytest
import torch

from pointcept_msm.files import file_claims
from pointcept_msm.files.scene_io import check_scene, load_scene, save_scene

MANY = [10**9, 10**12, 10**18, 2**63]
PLY = "ply\nformat {form} 1.0\nelement vertex {vertices}\nproperty float x\nproperty float y\nproperty float z\n"
FACES = "element face {faces}\nproperty list uchar int vertex_indices\n"


def header(shape):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, dict(descr="<f4", fortran_order=False, shape=shape))
    return buffer.getvalue() + b"\0" * 120


def refuse(path, match):
    """The sentence of a refusal that took next to no memory."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=match) as caught:
            load_scene(path)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000, "bytes were taken for what is not there"
    finally:
        tracemalloc.stop()
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("rows", MANY)
def test_npy(tmp_path, rows):
    (tmp_path / "coord.npy").write_bytes(header((rows, 3)))
    refuse(tmp_path, r"claims [\d,]+ bytes of numbers, 120 are there")


@pytest.mark.parametrize("rows", MANY)
def test_npz(tmp_path, rows):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("coord.npy", header((rows, 3)))
    refuse(tmp_path / "a.npz", r"coord.npy claims [\d,]+ bytes of numbers, 120 are there")


@pytest.mark.parametrize("form", ["ascii", "binary_little_endian", "binary_big_endian"])
@pytest.mark.parametrize(("vertices", "faces"), [(10**9, 1), (10**13, 1), (1, 10**9), (1, 10**13)])
def test_ply(tmp_path, form, vertices, faces):
    text = (PLY + FACES + "end_header\n").format(form=form, vertices=vertices, faces=faces)
    (tmp_path / "a.ply").write_bytes(text.encode() + b"\0" * 120)
    refuse(tmp_path / "a.ply", r"claims at least [\d,]+ bytes of numbers, 120 are there")


def test_the_shortest_text_is_no_lie(tmp_path):
    text = PLY.format(form="ascii", vertices=2) + "end_header\n0 0 0\n1 1 1"
    (tmp_path / "a.ply").write_text(text)
    assert load_scene(tmp_path / "a.ply")["coord"].tolist() == [[0, 0, 0], [1, 1, 1]]


def test_a_zip_bomb_is_not_unpacked(tmp_path, monkeypatch):
    """48 MB of zeros in 50 kB, on a machine with 10 MB to spare."""
    np.savez_compressed(tmp_path / "a.npz", coord=np.zeros((4_000_000, 3), np.float32))
    assert (tmp_path / "a.npz").stat().st_size < 100_000
    monkeypatch.setattr(file_claims, "free_memory", lambda: 1e7)
    refuse(tmp_path / "a.npz", r"claims 0.0 GiB, 0.0 GiB are free")


def test_a_view_of_one_number_gets_no_memory(tmp_path):
    torch.save(dict(coord=torch.zeros(1).expand(10**13, 3)), tmp_path / "a.pth")
    refuse(tmp_path / "a.pth", r"coord claims [\d,.]+ GiB")
    with pytest.raises(ValueError, match="a dictionary: coord claims"):
        check_scene(dict(coord=np.broadcast_to(np.float32(0), (10**13, 3))), "a dictionary")


@pytest.mark.parametrize("name", ["a.npz", "a.ply", "a.pth", "folder"])
def test_a_pipe_is_not_waited_for(tmp_path, name):
    if name == "folder":
        save_scene(tmp_path / name, dict(coord=np.zeros((2, 3))))
        os.mkfifo(tmp_path / name / "color.npy")
    else:
        os.mkfifo(tmp_path / name)
    refuse(tmp_path / name, "is no regular file")


def test_links(tmp_path):
    save_scene(tmp_path / "a.npz", dict(coord=np.zeros((2, 3))))
    (tmp_path / "good.npz").symlink_to("a.npz")
    (tmp_path / "torn.npz").symlink_to("nowhere.npz")
    (tmp_path / "loop.npz").symlink_to("loop.npz")
    assert len(load_scene(tmp_path / "good.npz")["coord"]) == 2
    for name in ("torn.npz", "loop.npz"):
        with pytest.raises(FileNotFoundError, match=f"{name} is a link to nothing"):
            load_scene(tmp_path / name)


def test_what_may_not_be_read_is_said(tmp_path, monkeypatch):
    save_scene(tmp_path / "a", dict(coord=np.zeros((2, 3))))

    def refuse_reading(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(np, "load", refuse_reading)
    with pytest.raises(PermissionError, match=r"coord.npy may not be read by this user; change its permissions"):
        load_scene(tmp_path / "a")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_closed_folder_is_said(tmp_path):
    save_scene(tmp_path / "a", dict(coord=np.zeros((2, 3))))
    (tmp_path / "a").chmod(0)
    try:
        with pytest.raises((PermissionError, FileNotFoundError)):
            load_scene(tmp_path / "a")
    finally:
        (tmp_path / "a").chmod(0o700)


def test_flipped_bits_do_not_become_numbers(tmp_path):
    """A bit of the points themselves, in formats with checksums; torch alone would read it."""
    scene = dict(coord=np.random.default_rng(0).uniform(size=(500, 3)).astype(np.float32))
    for name in ("a.pth", "a.npz"):
        save_scene(tmp_path / name, scene)
        data = bytearray((tmp_path / name).read_bytes())
        at = data.find(scene["coord"].tobytes()[:12]) + 8 if name == "a.pth" else len(data) // 2
        data[at] ^= 16
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match="cannot be read"):
            load_scene(tmp_path / name)
    assert torch.load(tmp_path / "a.pth", weights_only=True)["coord"].shape == (500, 3)


def test_a_name_in_no_encoding(tmp_path):
    path = os.fsencode(tmp_path) + b"/r\xe4um.npz"
    save_scene(os.fsdecode(path), dict(coord=np.zeros((2, 3))))
    assert load_scene(os.fsdecode(path))["name"] == "r\udce4um"
