"""Features as colours: python tools/visualize_pca.py SCENE... --out DIR [--weights W]

For each scene a coloured `<name>.ply`, a picture `<name>.png` and a page `<name>.html` that opens from disk; of several
scenes `sheet.png`, too, with all of them. One basis over all scenes, saved as `basis.npz`; give it as --basis to keep
colours comparable from call to call.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pointcept_msm.runtime.command_line import OneSentenceParser, run_command


def main(argv):
    args = build_parser().parse_args(argv)
    from tempfile import TemporaryDirectory

    from pointcept_msm.features.batch import Failure, extract_files, load_extractor, name_scenes, report_failures
    from pointcept_msm.pictures.labels import find_names
    from pointcept_msm.pictures.render import read_view, save_view
    from pointcept_msm.pictures.show import draw_scene, draw_sheet, find_level
    from pointcept_msm.runtime.errors import UserError

    view, named, failures, drawn = read_view(args), name_scenes(args.scenes), [], []
    if args.save_view and len(named) > 1:
        raise UserError("--save-view with several scenes: each is seen from elsewhere; draw one of them")
    extractor = load_extractor(args)
    shown = find_level(args.level, extractor.levels)
    bases = read_bases(args.basis, extractor) if args.basis else None
    with TemporaryDirectory(dir=args.out, prefix=".features-") as folder:
        scenes = (keep_on_disk(done, folder) for done in extract_files(extractor, named, failures))
        if bases is None:  # one basis over all scenes: their features wait on disk
            scenes = list(scenes)
            bases = fit_and_save(scenes, extractor, Path(args.out) / "basis.npz") if scenes else None
        for done in scenes:
            try:
                prediction = find_prediction(args.predictions, done.name, len(done.features))
            except UserError as error:
                failures.append(Failure(done.name, str(error)))
                continue
            names = args.names.split(",") if args.names else find_names(named[done.name])
            some = dict(max_points=args.max_points, prediction=prediction, names=names)
            paths, camera = draw_scene(args.out, done, bases, extractor.levels, shown, **some, **view)
            drawn.append(done)
            print(*paths)
        if len(drawn) > 1:
            small = view | dict(size=(600, 400))
            draw_sheet(drawn, bases, extractor.levels, [shown], **small).save(Path(args.out) / "sheet.png")
            print(Path(args.out) / "sheet.png")
    if args.save_view and drawn:
        save_view(args.save_view, camera)
    report_failures(failures, len(named))


def find_prediction(folder, name, points):
    """Class numbers (N,) int64 of `<name>.npy` or `<name>_pred.npy` in `folder`, None where there is none."""
    import numpy as np

    from pointcept_msm.files.scene_files import load_array
    from pointcept_msm.runtime.errors import UserError

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


def keep_on_disk(done, folder):
    """The same with its features in a file of `folder`, read back piece by piece."""
    import numpy as np

    path = Path(folder) / f"{done.name}.npy"
    np.save(path, done.features)
    return done._replace(features=np.load(path, mmap_mode="r"))


def fit_and_save(scenes, extractor, path):
    from pointcept_msm.pictures.pca import fit_bases, save_bases

    bases = fit_bases([done.features for done in scenes], extractor.levels)
    save_bases(path, bases, {"weights_sha256": extractor.digest})
    return bases


def read_bases(path, extractor):
    """The bases of a file; UserError when they were fitted to other weights."""
    from pointcept_msm.pictures.pca import load_bases
    from pointcept_msm.runtime.errors import UserError

    bases, meta = load_bases(path)
    if meta.get("weights_sha256") != extractor.digest:
        raise UserError(f"{path} was fitted with other weights, its colours would mean nothing here: leave out --basis")
    return bases


def build_parser():
    from pointcept_msm.features.batch import add_scene_arguments
    from pointcept_msm.pictures.render import add_view_arguments

    parser = OneSentenceParser(description=__doc__.splitlines()[0])
    add_scene_arguments(parser)
    parser.add_argument("--basis", metavar="FILE", help="basis.npz of an earlier call")
    parser.add_argument(
        "--level", default="all", metavar="L", help="level of the .ply and .png: all, 0 (finest), 1, ..."
    )
    add_view_arguments(parser)
    parser.add_argument("--names", metavar="A,B,...", help="of the classes (default: from a classes.json above it)")
    parser.add_argument(
        "--predictions",
        metavar="DIR",
        help="class numbers as a layer of the page: <scene>.npy or <scene>_pred.npy (N,), as Pointcept writes them",
    )
    parser.add_argument(
        "--max-points", type=int, metavar="N", help="points of the page (default: as many as 30 MB hold)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
