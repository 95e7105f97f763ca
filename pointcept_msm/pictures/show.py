"""Pictures of features: layers to colour a scene by, the files that tools/visualize_pca.py writes, one call for
notebooks.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pointcept_msm.datasets.inputs import EVERYWHERE
from pointcept_msm.datasets.normals import estimate_normals
from pointcept_msm.features.batch import Extraction
from pointcept_msm.features.extractor import FeatureExtractor, load
from pointcept_msm.files.atomic import replace_file
from pointcept_msm.files.scene_files import write_scene_file
from pointcept_msm.files.scene_io import load_scene
from pointcept_msm.files.weights import DEFAULT_WEIGHTS
from pointcept_msm.pictures.labels import SPREAD, color_table, list_entries, number_instances
from pointcept_msm.pictures.page import Layer, build_page
from pointcept_msm.pictures.pca import PcaBasis, color_features, color_values, fit_bases, project
from pointcept_msm.pictures.render import Camera, make_sheet, place_camera, render
from pointcept_msm.runtime.errors import UserError

LABELS = ("segment", "prediction", "instance")


def show(scenes, extractor: FeatureExtractor | str | Path | None = None, level="all", **view) -> Image.Image:
    """A picture of a scene's features beside its colours, if it has any; of several scenes a row for each.

    scenes: what `extract` takes, or paths, or a list of either. extractor: one, or the name or path of its weights, or
    None for the shipped ones. level: all, or the number of one. view: of `draw_layer`, such as azimuth and size.
    """
    if not isinstance(extractor, FeatureExtractor):
        extractor = load(extractor or DEFAULT_WEIGHTS)
    done = []
    for scene in scenes if isinstance(scenes, (list, tuple)) else [scenes]:
        scene = extractor.prepare(load_scene(scene) if isinstance(scene, (str, Path)) else scene)
        done.append(Extraction(scene.name, scene.arrays, scene.filled, extractor.extract(scene), 0.0))
    bases = fit_bases([each.features for each in done], extractor.levels)
    return draw_sheet(done, bases, extractor.levels, [find_level(level, extractor.levels)], **view)


def find_level(level, levels) -> str:
    """Name of the layer with the features of a level: all of them, or that with a number. UserError: no such level."""
    names = {"all": "PCA"} | {str(i): f"level {i}" for i in range(len(levels))}
    if str(level) not in names:
        raise UserError(f"level {level}: allowed are all and 0 to {len(levels) - 1}")
    return names[str(level)]


def draw_sheet(done: Sequence[Extraction], bases, levels, shown: Sequence[str], **view) -> Image.Image:
    """Scenes as rows of one sheet, their colours (if all have any) and the layers `shown` as columns."""
    background, pictures = view.get("background", "white"), []
    for each in done:
        layers, _ = color_layers(each, bases, levels)
        normal = find_normals(each)
        columns = (["RGB"] if all("color" in d.scene and "color" not in d.filled for d in done) else []) + [*shown]
        pictures.append([draw_layer(each.scene["coord"], normal, layers, key, **view)[0] for key in columns])
    titles = ["colours" if key == "RGB" else layers[key].title for key in columns]
    return make_sheet(pictures, titles, [each.name for each in done], background)


def draw_layer(
    coord, normal, layers: Mapping[str, Layer], key: str, size=(900, 600), camera=None, background="white", **view
) -> tuple[Image.Image, Camera]:
    """(picture of one layer, where it was taken from); view: of `place_camera`, when no camera is given."""
    camera = camera or place_camera(coord, normal, size, **view)
    shade = 0.3 if key == "RGB" else 0.45  # a camera's colours have their light already
    return render(coord, normal, layers[key].colors, camera, size, background, shade), camera


def draw_scene(
    folder,
    done: Extraction,
    bases: dict[str, PcaBasis],
    levels,
    shown: str,
    prediction: np.ndarray | None = None,
    names: Sequence[str] | None = None,
    max_points: int | None = None,
    **view,
) -> tuple[list[Path], Camera]:
    """Write `<name>.ply`, `.png` and `.html`; returns their paths and the picture's camera.

    shown: the layer whose colours the `.ply` and `.png` have. prediction (N,): a layer of its own, as labels. names: of
    the classes. view: of `draw_layer`.
    """
    done = done if prediction is None else done._replace(scene={**done.scene, "prediction": prediction})
    coord, normal = done.scene["coord"], find_normals(done)
    layers, embedding = color_layers(done, bases, levels, names)
    paths = [Path(folder) / f"{done.name}.{kind}" for kind in ("ply", "png", "html")]
    write_scene_file(paths[0], {"coord": coord, "color": layers[shown].colors, "normal": normal})
    picture, camera = draw_layer(coord, normal, layers, shown, **view)
    picture.save(paths[1])
    with replace_file(paths[2], "w") as file:
        file.write(build_page(done.name, coord, normal, layers, embedding, shown, max_points))
    return paths, camera


def color_layers(done: Extraction, bases: dict[str, PcaBasis], levels, names=None) -> tuple[dict, np.ndarray]:
    """(everything a scene can be coloured by, features in the basis of all levels (N, K))."""
    layers, scene = {}, done.scene
    if "color" in scene and "color" not in done.filled:
        layers["RGB"] = Layer("RGB", scene["color"].astype(np.uint8))
    embedding = project(bases["all"], done.features)
    layers["PCA"] = Layer("PCA", _to_bytes(color_values(bases["all"], embedding)))
    for i, (name, edge, columns) in enumerate(levels):
        colors = _to_bytes(color_features(bases[name], done.features[:, columns]))
        layers[f"level {i}"] = Layer(f"level {i} · {100 * edge:g} cm", colors)
    return layers | label_layers(scene, names), embedding


def label_layers(scene: Mapping, names: Sequence[str] | None = None) -> dict[str, Layer]:
    """Layers of the labels that a scene has, with colours and legends; names: of the classes."""
    layers = {}
    for key in LABELS:
        labels = np.maximum(scene.get(key, -1), -1)
        if (labels < 0).all():
            continue
        if key == "instance":
            found, place = np.unique(labels, return_inverse=True)
            number = np.zeros(len(found), dtype=np.int64)
            number[place] = number_instances(labels, scene["coord"])
            colors, named = color_table(len(SPREAD), ())[number], ["unknown" if i < 0 else str(i) for i in found]
            layers[key] = Layer(key, place, [(tuple(c.tolist()), name) for c, name in zip(colors, named)])
            continue
        table = color_table(max(int(labels.max()) + 1, len(names or ())), names)
        legend, order = list_entries(labels, table, names)
        layers[key] = Layer(key, order[labels], legend)
    return layers


def find_normals(done: Extraction) -> np.ndarray:
    """Normals (N, 3) to draw with: the scan's own, else estimated; never a constant that the network was given."""
    if "normal" in done.scene and not done.filled.get("normal", "").endswith(EVERYWHERE):
        return done.scene["normal"]
    return estimate_normals(done.scene["coord"])


def _to_bytes(rgb):
    return np.rint(255 * rgb).astype(np.uint8)
