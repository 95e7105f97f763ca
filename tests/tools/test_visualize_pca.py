"""tools/visualize_pca.py writes three files a scene, in colours that mean the same in all of them."""

import numpy as np
import pytest
from plyfile import PlyData

from pointcept_msm.features.extractor import load
from pointcept_msm.files.scene_io import save_scene
from pointcept_msm.pictures.pca import color_features, load_bases
from tests.pictures.test_page import unpack
from tests.probe_toy import make_weights
from tests.tools.scene_tools import call, make_scene, write_scenes, write_weights

image = pytest.importorskip("PIL.Image")


def read_colors(path):
    vertex = PlyData.read(str(path))["vertex"]
    return np.stack([vertex[name] for name in ("red", "green", "blue")], 1)


def test_three_files_a_scene(tmp_path, capsys):
    scenes, weights, out = write_scenes(tmp_path), write_weights(tmp_path), tmp_path / "out"
    code, said, errors = call(capsys, "visualize_pca", *scenes[:2], "--weights", weights, "--out", out)
    assert (code, errors) == (0, [])
    names = [f"{name}.{kind}" for name in ("room_a", "room_b") for kind in ("html", "ply", "png")]
    assert sorted(p.name for p in out.iterdir()) == ["basis.npz", *names, "sheet.png"]
    assert str(out / "room_b.html") in said
    assert said.count("% of the colours' components") == 2  # of each scene, how far they follow coordinates
    bases, _ = load_bases(out / "basis.npz")
    expected = color_features(bases["all"], load(weights).extract(make_scene(1)))
    assert np.abs(read_colors(out / "room_b.ply") / 255 - expected).max() < 0.01
    picture = np.asarray(image.open(out / "room_a.png"))
    assert picture.shape == (800, 1200, 3) and picture.std() > 20
    layers = unpack((out / "room_a.html").read_text())[0]["layers"]
    assert [layer["name"] for layer in layers] == ["RGB", "PCA", "level 0", "level 1", "segment"]
    assert [layer["title"] for layer in layers][2:4] == ["level 0 · 10 cm", "level 1 · 20 cm"]
    assert image.open(out / "sheet.png").width == 2 * 600


def test_a_basis_keeps_colors_comparable(tmp_path, capsys):
    scenes, weights = write_scenes(tmp_path), write_weights(tmp_path)
    both, alone = tmp_path / "both", tmp_path / "alone"
    assert call(capsys, "visualize_pca", *scenes[:2], "--weights", weights, "--out", both)[0] == 0
    arguments = (scenes[1], "--weights", weights, "--out", alone, "--basis", both / "basis.npz", "--max-points", "100")
    assert call(capsys, "visualize_pca", *arguments)[0] == 0
    np.testing.assert_array_equal(read_colors(both / "room_b.ply"), read_colors(alone / "room_b.ply"))
    assert not (alone / "basis.npz").exists() and '"points": 100' in (alone / "room_b.html").read_text()


def test_a_level_of_a_bare_scene(tmp_path, capsys):
    scenes, weights = write_scenes(tmp_path), write_weights(tmp_path)
    arguments = ("--weights", weights, "--out", tmp_path / "out", "--fill-color", "127.5", "--level", "1")
    code, _, errors = call(capsys, "visualize_pca", scenes[2], scenes[3], *arguments)
    assert code == 2 and "broken" in errors[-1] and (tmp_path / "out/bare.png").stat().st_size > 1000
    bases, _ = load_bases(tmp_path / "out/basis.npz")
    page = (tmp_path / "out/bare.html").read_text()
    assert [*bases] == ["all", "level0", "level1"] and '"shown": 2' in page and '"name": "RGB"' not in page


def test_predictions_are_a_layer(tmp_path, capsys):
    """Class numbers by the scene's name, as either file name; a wrong one leaves its scene out and says so."""
    scenes, weights, folder = write_scenes(tmp_path), write_weights(tmp_path), tmp_path / "predicted"
    folder.mkdir()
    np.save(folder / "room_a.npy", make_scene(0)["segment"])
    np.save(folder / "room_b_pred.npy", np.zeros(7, dtype=np.int64))
    arguments = ("--weights", weights, "--out", tmp_path / "out", "--predictions", folder, "--fill-color", "127.5")
    code, _, errors = call(capsys, "visualize_pca", *scenes[:3], *arguments)
    assert code == 2 and "room_b_pred.npy holds int64 of shape (7,)" in errors[-1]
    assert not (tmp_path / "out/room_b.html").exists()
    page, bare = (unpack((tmp_path / f"out/{name}.html").read_text()) for name in ("room_a", "bare"))
    assert [layer["name"] for layer in page[0]["layers"][-2:]] == ["segment", "prediction"]
    assert "prediction" not in [layer["name"] for layer in bare[0]["layers"]]
    np.testing.assert_array_equal(page[3][-1], page[3][-2])  # the same class, the same colour


def test_a_picture_never_has_the_networks_fill_for_normals(tmp_path, capsys):
    """A network that was trained to do without normals gets zeros; the picture is drawn with estimated ones."""
    scenes = write_scenes(tmp_path)
    make_weights(tmp_path, ("teacher",), dict(grid_size=0.1, fill=dict(color=127.5, normal=0.0)))
    arguments = ("--weights", tmp_path / "teacher.safetensors", "--out", tmp_path / "out")
    code, _, errors = call(capsys, "visualize_pca", scenes[2], *arguments)
    assert code == 0 and "bare: it has no normal: 0 everywhere" in errors
    assert np.abs(unpack((tmp_path / "out/bare.html").read_text())[2]).max() > 60
    code, _, errors = call(capsys, "visualize_pca", scenes[2], *arguments, "--estimate-normals")
    assert code == 0 and any("it has no normal: estimated" in line for line in errors)


def test_wrong_calls(tmp_path, capsys):
    scenes, weights = write_scenes(tmp_path), write_weights(tmp_path)
    arguments = (scenes[0], "--weights", weights, "--out", tmp_path / "out")
    code, _, errors = call(capsys, "visualize_pca", *arguments, "--level", "7")
    assert code == 2 and errors == ["error: level 7: allowed are all and 0 to 1"]
    code, _, errors = call(capsys, "visualize_pca", *arguments, "--basis", tmp_path / "none.npz")
    assert code == 2 and "none.npz is no basis" in errors[0]
    from pointcept_msm.pictures.pca import save_bases

    save_bases(tmp_path / "old.npz", {}, {"weights_sha256": "of another network"})
    code, _, errors = call(capsys, "visualize_pca", *arguments, "--basis", tmp_path / "old.npz")
    assert code == 2 and "fitted with other weights" in errors[0] and len(errors) == 1


@pytest.mark.parametrize("points", [1, 2])
def test_a_point_or_two(tmp_path, capsys, points):
    scene = {"coord": np.full((points, 3), 2.0) + np.arange(points)[:, None], "color": np.full((points, 3), 90.0)}
    save_scene(tmp_path / "few.ply", scene)
    arguments = ("--weights", write_weights(tmp_path), "--out", tmp_path / "out", "--size", "60", "60")
    code, _, _ = call(capsys, "visualize_pca", tmp_path / "few.ply", *arguments)
    assert code == 0 and image.open(tmp_path / "out/few.png").size == (60, 60)
    assert unpack((tmp_path / "out/few.html").read_text())[0]["points"] == points


def test_a_saved_view_is_used_again_and_classes_have_names(tmp_path, capsys):
    scenes, weights, view = write_scenes(tmp_path), write_weights(tmp_path), tmp_path / "view.json"
    few = ("--weights", weights, "--size", "90", "60", "--names", "wall,rug,lamp")
    first = ("--out", tmp_path / "a", "--azimuth", "80", "--save-view", view)
    assert call(capsys, "visualize_pca", scenes[0], *few, *first)[0] == 0
    again = ("--out", tmp_path / "b", "--view", view, "--basis", tmp_path / "a/basis.npz")
    assert call(capsys, "visualize_pca", scenes[0], *few, *again)[0] == 0
    pictures = [np.asarray(image.open(tmp_path / f"{name}/room_a.png")).astype(int) for name in "ab"]
    assert np.abs(pictures[0] - pictures[1]).mean() < 0.5
    legend = unpack((tmp_path / "a/room_a.html").read_text())[0]["layers"][-1]["legend"]
    assert {name for *_, name in legend} == {"wall", "rug", "lamp", "unknown"}
    code, _, errors = call(capsys, "visualize_pca", *scenes[:2], "--weights", weights, *first)
    assert code == 2 and "--save-view with several scenes" in errors[0]


def test_the_scan_itself_is_never_written_over(tmp_path, capsys):
    save_scene(tmp_path / "scan.ply", make_scene())
    before = (tmp_path / "scan.ply").read_bytes()
    code, _, errors = call(capsys, "visualize_pca", tmp_path / "scan.ply", "--out", tmp_path)
    assert code != 0 and "scan.ply is a scene that is read, and would be written over" in errors[-1]
    assert (tmp_path / "scan.ply").read_bytes() == before and len(list(tmp_path.iterdir())) == 1
