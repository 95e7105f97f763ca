"""What tools/visualize_pca.py writes for a scene: a coloured `.ply`, a rendered `.png` and a web page."""

from pathlib import Path

import numpy as np

from pointcept_msm.datasets.inputs import EVERYWHERE
from pointcept_msm.datasets.normals import estimate_normals
from pointcept_msm.features.batch import Extraction
from pointcept_msm.files.atomic import replace_file
from pointcept_msm.files.scene_files import load_array, write_scene_file
from pointcept_msm.pictures.page import build_page, median_spacing
from pointcept_msm.pictures.pca import PcaBasis, color_features, color_values, project
from pointcept_msm.pictures.render import POINT_RADIUS, color_labels, save_picture

LABELS = ("segment", "instance", "prediction")


def draw_scene(
    folder,
    done: Extraction,
    bases: dict[str, PcaBasis],
    levels,
    shown: str,
    max_points: int | None = None,
    prediction: np.ndarray | None = None,
    size: tuple[int, int] = (1200, 800),
) -> list[Path]:
    """Write the three files and return their paths.

    shown: the basis whose colours the `.ply` and `.png` have. prediction (N,): a layer of the page, coloured as labels.
    size: of the picture, pixels.
    """
    if prediction is not None:
        done = done._replace(scene={**done.scene, "prediction": prediction})
    coord, normal = done.scene["coord"], find_normals(done)
    layers, embedding = color_layers(done, bases, levels)
    name, colors = _layer_name(shown), layers[_layer_name(shown)]
    paths = [Path(folder) / f"{done.name}.{kind}" for kind in ("ply", "png", "html")]
    write_scene_file(paths[0], {"coord": coord, "color": colors, "normal": normal})
    save_picture(paths[1], coord, normal, colors, size=size, radius=max(POINT_RADIUS, 0.8 * median_spacing(coord)))
    rows = choose_rows(len(coord), max_points)
    some = {key: values[rows] for key, values in layers.items()}
    page = build_page(done.name, coord[rows], normal[rows], some, embedding[rows], name)
    with replace_file(paths[2], "w") as file:
        file.write(page)
    return paths


def find_prediction(folder, name: str, points: int) -> np.ndarray | None:
    """Class numbers (N,) int64 of `<name>.npy` or `<name>_pred.npy` in `folder`, None where there is none.

    ValueError: they are not one whole number a point.
    """
    paths = [Path(folder or ".") / f"{name}{ending}.npy" for ending in ("", "_pred")]
    path = next((p for p in paths if folder is not None and p.is_file()), None)
    if path is None:
        return None
    values = load_array(path).squeeze()
    if values.shape != (points,) or values.dtype.kind not in "iu":
        raise ValueError(
            f"{path} holds {values.dtype} of shape {values.shape}; allowed are integers, one for each of the {points} "
            "points of the scene's file"
        )
    return values.astype(np.int64)


def find_normals(done: Extraction) -> np.ndarray:
    """Normals (N, 3) to draw with: the scan's own, else estimated; never a constant that the network was given."""
    if "normal" in done.scene and not done.filled.get("normal", "").endswith(EVERYWHERE):
        return done.scene["normal"]
    return estimate_normals(done.scene["coord"])


def color_layers(done: Extraction, bases: dict[str, PcaBasis], levels) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """(name -> colours (N, 3) uint8 of everything that can be shown, features in the basis of all levels (N, K))."""
    layers = {}
    if "color" in done.scene and "color" not in done.filled:
        layers["RGB"] = done.scene["color"].astype(np.uint8)
    embedding = project(bases["all"], done.features)
    layers["PCA"] = _to_bytes(color_values(bases["all"], embedding))
    for name, _, columns in levels:
        layers[_layer_name(name)] = _to_bytes(color_features(bases[name], done.features[:, columns]))
    for key in LABELS:
        if key in done.scene and (done.scene[key] >= 0).any():
            layers[key] = color_labels(np.maximum(done.scene[key], -1))
    return layers, embedding


def choose_rows(count: int, limit: int | None) -> np.ndarray:
    """All rows, or `limit` evenly spaced ones."""
    return np.arange(count) if limit is None or limit >= count else np.linspace(0, count - 1, limit).astype(np.int64)


def _layer_name(basis):
    return "PCA" if basis == "all" else basis.replace("level", "level ")


def _to_bytes(rgb):
    return np.rint(255 * rgb).astype(np.uint8)
