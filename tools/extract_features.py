"""Features of scenes: python tools/extract_features.py SCENE... --out DIR [--weights W]

For each scene `<name>.npz` (feat: one row a point) and `<name>.json` (levels, weights, what was filled). A scene that
cannot be used is reported, the others go on, and the exit code says so.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pointcept_msm.runtime.command_line import OneSentenceParser, run_command


def main(argv):
    args = build_parser().parse_args(argv)
    from pointcept_msm.features.batch import (
        Failure,
        describe_extractor,
        extract_files,
        load_extractor,
        name_scenes,
        report_failures,
        save_features,
    )
    from pointcept_msm.runtime.environment import peak_memory

    named, failures, seconds = name_scenes(args.scenes), [], 0.0
    extractor = load_extractor(args)
    common = describe_extractor(extractor, args.weights) | {"mode": args.mode}
    for done in extract_files(extractor, named, failures, args.mode):
        facts = {"scene": named[done.name].name or done.name, **common, "filled": done.filled}
        facts["seconds"] = round(done.seconds, 2)
        seconds += done.seconds
        try:
            save_features(args.out, done.name, done.features, facts, args.half)
        except ValueError as error:
            failures.append(Failure(done.name, str(error)))
    print(
        f"{args.out}: features of {len(named) - len(failures)} scenes, {extractor.channels} channels; "
        f"{seconds:.1f} s, peak memory {peak_memory():.1f} GiB"
    )
    report_failures(failures, len(named))


def build_parser():
    from pointcept_msm.features.batch import add_scene_arguments

    parser = OneSentenceParser(description=__doc__.splitlines()[0])
    add_scene_arguments(parser)
    parser.add_argument("--half", action="store_true", help="write float16")
    parser.add_argument("--mode", choices=("exact", "nearest", "released"), default="exact", help="voxels to points")
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
