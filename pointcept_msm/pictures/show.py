"""Pictures of features: layers to colour a scene by, one call for notebooks, and the command `msm show`."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image
from tqdm import tqdm

from pointcept_msm.datasets.inputs import EVERYWHERE
from pointcept_msm.datasets.normals import estimate_normals
from pointcept_msm.features.batch import (
    Extraction,
    add_scene_arguments,
    check_outputs,
    extract_files,
    load_extractor,
    name_scenes,
    report_failures,
)
from pointcept_msm.features.extractor import FeatureExtractor, PreparedScene, load
from pointcept_msm.files.atomic import replace_file
from pointcept_msm.files.scene_files import load_array, write_scene_file
from pointcept_msm.files.scene_io import turn_back
from pointcept_msm.files.weights import DEFAULT_WEIGHTS
from pointcept_msm.pictures.labels import SPREAD, color_table, find_names, list_entries
from pointcept_msm.pictures.page import Layer, build_page
from pointcept_msm.pictures.pca import (
    PcaBasis,
    color_features,
    color_values,
    explained_share,
    fit_bases,
    load_bases,
    project,
    save_bases,
)
from pointcept_msm.pictures.render import (
    Camera,
    add_view_arguments,
    make_sheet,
    place_camera,
    read_view,
    render,
    save_view,
)
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
        scene = extractor.prepare(scene)
        done.append(Extraction(scene, extractor.extract(scene)))
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
    columns, pictures = [*(["RGB"] if all(has_colors(each.scene) for each in done) else []), *shown], []
    for each in done:
        coord, normal = each.scene.arrays["coord"], find_normals(each.scene)
        layers, _ = color_layers(each, bases, levels)
        pictures.append([draw_layer(coord, normal, layers, key, **view)[0] for key in columns])
    titles = ["colours" if key == "RGB" else layers[key].title for key in columns]
    return make_sheet(pictures, titles, [each.scene.name for each in done], view.get("background", "white"))


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
) -> tuple[list[Path], Camera, np.ndarray]:
    """Write `<name>.ply`, `.png` and `.html`; returns their paths, the picture's camera, and how much of each component
    shown as a colour coordinates explain (`explained_share`).

    shown: the layer whose colours the `.ply` and `.png` have. prediction (N,): a layer of its own, as labels. names: of
    the classes. view: of `draw_layer`.
    """
    scene = done.scene
    coord, normal = scene.arrays["coord"], find_normals(scene)
    layers, embedding = color_layers(done, bases, levels, names, prediction)
    paths = [Path(folder) / f"{scene.name}.{kind}" for kind in ("ply", "png", "html")]
    own = {"coord": scene.coord, "normal": turn_back(normal, scene.up)}
    write_scene_file(paths[0], own | {"color": layers[shown].colors})
    picture, camera = draw_layer(coord, normal, layers, shown, **view)
    picture.save(paths[1])
    with replace_file(paths[2], "w") as file:
        file.write(build_page(scene.name, coord, normal, layers, embedding, shown, max_points))
    return paths, camera, explained_share(embedding[:, :3], coord)


def has_colors(scene: PreparedScene) -> bool:
    """Whether the scan has colours of its own."""
    return "color" in scene.arrays and "color" not in scene.filled


def color_layers(
    done: Extraction, bases: dict[str, PcaBasis], levels, names=None, prediction=None
) -> tuple[dict, np.ndarray]:
    """(everything a scene can be coloured by, features in the basis of all levels (N, K))."""
    layers, arrays = {}, done.scene.arrays
    if has_colors(done.scene):
        layers["RGB"] = Layer("RGB", arrays["color"].astype(np.uint8))
    embedding = project(bases["all"], done.features)
    layers["PCA"] = Layer("PCA", _to_bytes(color_values(bases["all"], embedding)))
    for i, (name, edge, columns) in enumerate(levels):
        colors = _to_bytes(color_features(bases[name], done.features[:, columns]))
        layers[f"level {i}"] = Layer(f"level {i} · {100 * edge:g} cm", colors)
    labelled = arrays if prediction is None else arrays | {"prediction": prediction}
    return layers | label_layers(labelled, names), embedding


def label_layers(scene: Mapping, names: Sequence[str] | None = None) -> dict[str, Layer]:
    """Layers of the labels that a scene has, with colours and legends; names: of the classes."""
    layers = {}
    for key in LABELS:
        labels = np.maximum(scene.get(key, -1), -1)
        if (labels < 0).all():
            continue
        if key == "instance":
            found, place = np.unique(labels, return_inverse=True)
            number = np.where(found < 0, -1, np.arange(len(found)) % len(SPREAD))
            colors, named = color_table(len(SPREAD), ())[number], ["unknown" if i < 0 else str(i) for i in found]
            layers[key] = Layer(key, place, [(tuple(c.tolist()), name) for c, name in zip(colors, named)])
            continue
        table = color_table(max(int(labels.max()) + 1, len(names or ())), names)
        legend, order = list_entries(labels, table, names)
        layers[key] = Layer(key, order[labels], legend)
    return layers


def find_normals(scene: PreparedScene) -> np.ndarray:
    """Normals (N, 3) to draw with: the scan's own, else estimated; never a constant that the network was given."""
    if "normal" in scene.arrays and not scene.filled.get("normal", "").endswith(EVERYWHERE):
        return scene.arrays["normal"]
    return estimate_normals(scene.arrays["coord"])


def _to_bytes(rgb):
    return np.rint(255 * rgb).astype(np.uint8)


def add_show_arguments(parser) -> None:
    """Arguments of `show_command`."""
    add_scene_arguments(parser, "pictures")
    parser.add_argument("--basis", metavar="FILE", help="basis.npz of an earlier call, for the same colours")
    parser.add_argument("--level", default="all", metavar="L", help="of .ply and .png: all, 0 (finest), 1, ...")
    add_view_arguments(parser)
    parser.add_argument("--names", metavar="A,B,...", help="of the classes (default: from a classes.json above it)")
    parser.add_argument("--predictions", metavar="DIR", help="class numbers: <scene>.npy or <scene>_pred.npy (N,)")
    parser.add_argument("--max-points", type=int, metavar="N", help="of the page (default: as many as 30 MB hold)")


def show_command(args) -> None:
    """A `.ply`, a `.png` and a page of each scene, in colours of one basis, and of several a sheet: `msm show`,
    tools/visualize_pca.py. UserError: scenes that gave nothing, a basis of other weights.
    """
    view, named, failures, drawn = read_view(args), name_scenes(args.scenes), [], []
    if args.save_view and len(named) > 1:
        raise UserError("--save-view with several scenes: each is seen from elsewhere; show one of them")
    check_outputs(args.out, named, ("ply", "png", "html"))
    extractor = load_extractor(args)
    shown, bases = find_level(args.level, extractor.levels), None
    if args.basis:
        bases, meta = load_bases(args.basis)
        if meta.get("weights_sha256") != extractor.digest:
            raise UserError(f"{args.basis} was fitted with other weights, its colours would mean nothing here")
    with TemporaryDirectory(dir=args.out, prefix=".features-") as folder:
        scenes = (_keep_on_disk(done, folder) for done in extract_files(extractor, named, failures))
        if bases is None:  # one basis over all scenes: their features wait on disk
            scenes = list(scenes)
            bases = fit_bases([done.features for done in scenes], extractor.levels) if scenes else {}
            save_bases(Path(args.out) / "basis.npz", bases, {"weights_sha256": extractor.digest})
            scenes = tqdm(scenes, unit="picture", disable=None)
        for done in scenes:
            name = done.scene.name
            names = args.names.split(",") if args.names else find_names(named[name])
            try:
                prediction = find_prediction(args.predictions, name, len(done.features))
            except UserError as error:
                failures.append((name, str(error)))
                continue
            if args.predictions and prediction is None:
                tqdm.write(f"{name}: no predictions in {args.predictions}", file=sys.stderr)
            some = dict(max_points=args.max_points, prediction=prediction, names=names)
            paths, camera, shares = draw_scene(args.out, done, bases, extractor.levels, shown, **some, **view)
            drawn.append(done)
            said = ", ".join(f"{share:.0%}" for share in shares)
            tqdm.write(f"{' '.join(map(str, paths))}; coordinates explain {said} of the colours' components")
        if args.save_view and drawn:
            save_view(args.save_view, camera)
        if len(drawn) > 1:
            sheet = draw_sheet(drawn, bases, extractor.levels, [shown], **view | dict(size=(600, 400)))
            sheet.save(Path(args.out) / "sheet.png")
            print(Path(args.out) / "sheet.png")
    report_failures(failures, len(named))
    print(f"next: open {paths[-1]} in a browser")


def _keep_on_disk(done: Extraction, folder) -> Extraction:
    """The same with its features in a file of `folder`, read back piece by piece."""
    path = Path(folder) / f"{done.scene.name}.npy"
    np.save(path, done.features)
    return done._replace(features=np.load(path, mmap_mode="r"))


def find_prediction(folder, name: str, points: int) -> np.ndarray | None:
    """Class numbers (N,) int64 of `<name>.npy` or `<name>_pred.npy` in `folder`, None where there is none.

    UserError: they are not one whole number a point.
    """
    paths = [Path(folder or ".") / f"{name}{ending}.npy" for ending in ("", "_pred")]
    path = next((p for p in paths if folder is not None and p.is_file()), None)
    if path is None:
        return None
    values = load_array(path).reshape(-1)
    if values.shape != (points,) or values.dtype.kind not in "iu":
        raise UserError(
            f"{path} holds {values.dtype} of shape {values.shape}; allowed are integers, one for each of the {points} "
            "points of the scene's file"
        )
    return values.astype(np.int64)
