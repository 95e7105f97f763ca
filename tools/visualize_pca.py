"""Features as colours: python tools/visualize_pca.py SCENE... --out DIR [--weights W]

For each scene a coloured `<name>.ply`, a picture `<name>.png` and a page `<name>.html` that opens from disk. One basis
over all scenes, saved as `basis.npz`; give it as --basis to keep colours comparable from call to call.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pointcept_msm.runtime.command_line import OneSentenceParser, run_command


def main(argv):
    args = build_parser().parse_args(argv)
    from tempfile import TemporaryDirectory

    from pointcept_msm.features.batch import Failure, extract_files, load_extractor, name_scenes, report_failures
    from pointcept_msm.pictures.feature_pictures import draw_scene, find_prediction

    named, failures = name_scenes(args.scenes), []
    extractor = load_extractor(args)
    shown = find_level(args.level, extractor)
    bases = read_bases(args.basis, extractor) if args.basis else None
    with TemporaryDirectory(dir=args.out, prefix=".features-") as folder:
        scenes = extract_files(extractor, named, failures)
        if bases is None:  # one basis over all scenes: their features wait on disk
            scenes = [keep_on_disk(done, folder) for done in scenes]
            bases = fit_and_save(scenes, extractor, Path(args.out) / "basis.npz") if scenes else None
        for done in scenes:
            try:
                prediction = find_prediction(args.predictions, done.name, len(done.features))
            except ValueError as error:
                failures.append(Failure(done.name, str(error)))
                continue
            some = dict(max_points=args.max_points, prediction=prediction, size=tuple(args.size))
            print(*draw_scene(args.out, done, bases, extractor.levels, shown, **some))
    report_failures(failures, len(named))


def find_level(level, extractor):
    """Name of the basis to show: "all", or that of a level number."""
    names = ["all", *(name for name, _, _ in extractor.levels)]
    if level == "all" or f"level{level}" in names:
        return level if level == "all" else f"level{level}"
    raise ValueError(f"--level {level}: allowed are all and 0 to {len(names) - 2}")


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
    """The bases of a file; ValueError when they were fitted to other weights."""
    from pointcept_msm.pictures.pca import load_bases

    bases, meta = load_bases(path)
    if meta.get("weights_sha256") != extractor.digest:
        raise ValueError(
            f"{path} was fitted with other weights, its colours would mean nothing here: leave out --basis"
        )
    return bases


def build_parser():
    from pointcept_msm.features.batch import add_scene_arguments

    parser = OneSentenceParser(description=__doc__.splitlines()[0])
    add_scene_arguments(parser)
    parser.add_argument("--basis", metavar="FILE", help="basis.npz of an earlier call")
    parser.add_argument(
        "--level", default="all", metavar="L", help="level of the .ply and .png: all, 0 (finest), 1, ..."
    )
    parser.add_argument(
        "--size", type=int, nargs=2, default=(1200, 800), metavar=("WIDTH", "HEIGHT"), help="of the .png"
    )
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
