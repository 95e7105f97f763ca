"""Features of many scenes, as `msm extract` writes them to disk: one bad scene is reported and the others go on.

On disk: `<name>.npz` with the arrays `feat` (N, C) and `coord` (N, 3), the points as they are in the scene's file, and
`<name>.json` beside it that says what it is.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from pointcept_msm.datasets.inputs import ESTIMATE
from pointcept_msm.features.extractor import QUIET, FeatureExtractor, PreparedScene, load
from pointcept_msm.files.atomic import replace_file
from pointcept_msm.files.scene_io import TURNS, read_scene, scene_name
from pointcept_msm.files.weights import DEFAULT_WEIGHTS
from pointcept_msm.runtime.environment import peak_memory
from pointcept_msm.runtime.errors import UserError

HALF_REACH = float(np.finfo(np.float16).max)


class Extraction(NamedTuple):
    """A scene as the network saw it, and its features (N, C) float32."""

    scene: PreparedScene
    features: np.ndarray


def add_input_arguments(parser) -> None:
    """Arguments of every command that looks at scenes for a network."""
    parser.add_argument("scenes", nargs="+", metavar="SCENE", help="folders of .npy, or files (docs/custom_data.md)")
    parser.add_argument(
        "--weights",
        default=DEFAULT_WEIGHTS,
        metavar="W",
        help=f"a .safetensors file, a run's folder, hf:owner/repo or a shipped name (default: {DEFAULT_WEIGHTS})",
    )
    parser.add_argument("--up", choices=TURNS, help="axis of the scenes that points up (default: their format's, or z)")
    parser.add_argument("--scale", type=float, default=1.0, help="metres a unit of theirs: 0.001 for millimetres")
    parser.add_argument("--voxel-size", type=float, metavar="METRES", help="instead of that of the network's training")


def add_scene_arguments(parser, out: str = "pictures") -> None:
    """Arguments of every command that extracts features; out: the folder of its files unless --out names another."""
    add_input_arguments(parser)
    parser.add_argument("--out", default=out, metavar="DIR", help=f"folder of the files (default: {out})")
    parser.add_argument("--device", help="cpu, cuda, cuda:1 (default: cuda if there is one)")
    parser.add_argument("--max-voxels", type=int, default=500_000, help="a larger scene runs in tiles of this many")
    parser.add_argument("--fill-color", type=float, metavar="0-255", help="stands for the colour of scenes without it")
    parser.add_argument(
        "--estimate-normals",
        action="store_true",
        help="where normals are absent, also for a network that was trained to do without",
    )


def add_extract_arguments(parser) -> None:
    """Arguments of `extract_command`."""
    add_scene_arguments(parser, "features")
    parser.add_argument("--half", action="store_true", help="write float16")
    parser.add_argument("--mode", choices=("exact", "nearest", "released"), default="exact", help="voxels to points")


def extract_command(args) -> None:
    """Features of scenes to files: `msm extract`, tools/extract_features.py. UserError: scenes that gave nothing."""
    named, failures = name_scenes(args.scenes), []
    check_outputs(args.out, named, ("npz", "json"))
    extractor = load_extractor(args)
    common = describe_extractor(extractor, args.weights) | {"mode": args.mode}
    for scene, features in extract_files(extractor, named, failures, args.mode):
        facts = {"scene": named[scene.name].name or scene.name, **common}
        facts |= {"filled": scene.filled, "notes": scene.notes}
        try:
            path = save_features(args.out, scene.name, features, scene.coord, facts, args.half)
        except UserError as error:
            failures.append((scene.name, str(error)))
    print(
        f"{args.out}: features of {len(named) - len(failures)} scenes, {extractor.channels} channels; "
        f"peak memory {peak_memory():.1f} GiB"
    )
    report_failures(failures, len(named))
    print(f'next, in Python: numpy.load({str(path)!r})["feat"]')


def load_extractor(args) -> FeatureExtractor:
    """The extractor that the arguments name; the output folder exists afterwards."""
    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    fill = {} if args.fill_color is None else {"color": args.fill_color}
    fill |= {"normal": ESTIMATE} if args.estimate_normals else {}
    placed = dict(up=args.up, scale=args.scale, voxel_size=args.voxel_size)
    extractor = load(args.weights, device=device, max_voxels=args.max_voxels, fill=fill, **placed)
    extractor.fill.setdefault("normal", ESTIMATE)
    Path(args.out).mkdir(parents=True, exist_ok=True)
    return extractor


def name_scenes(paths: Sequence) -> dict[str, Path]:
    """Scenes by the name of their outputs. UserError when two would share one."""
    named = {}
    for path in (Path(path).expanduser() for path in paths):
        name = scene_name(path)
        if name in named:
            raise UserError(
                f"{named[name]} and {path} are both named {name!r} and would write the same files: call twice, with "
                "two --out folders"
            )
        named[name] = path
    return named


def check_outputs(folder, named: dict[str, Path], kinds: Sequence[str]) -> None:
    """UserError where a file `<name>.<kind>` in `folder` would replace one of the scenes that are read."""
    scenes = {path.resolve() for path in named.values()}
    for path in (Path(folder).resolve() / f"{name}.{kind}" for name in named for kind in kinds):
        if path in scenes:
            raise UserError(f"{path} is a scene that is read, and would be written over: give another folder as --out")


def extract_files(extractor, named, failures: list[tuple[str, str]], mode: str = "exact") -> Iterator[Extraction]:
    """Features of every scene in turn, with a progress bar; failures, (name, reason), go to the list and are shown."""
    for name, path in (bar := tqdm(named.items(), unit="scene", disable=None)):
        bar.set_postfix_str(name)
        try:
            scene = extractor.prepare(read_scene(path) | {"name": name}, tell=False)
            features = extractor.extract(scene, mode)
        except (UserError, OSError, MemoryError, torch.OutOfMemoryError) as error:
            reason = str(error).removeprefix(f"{name}: ")
            if not isinstance(error, (UserError, OSError)):
                reason = "it does not fit into memory: cut it, or lower --max-voxels"
            failures.append((name, reason))
            tqdm.write(f"{name}: left out, {reason}", file=sys.stderr)
            continue
        for note in (note for key, note in scene.notes.items() if key not in QUIET):
            tqdm.write(f"{name}: {note}", file=sys.stderr)
        yield Extraction(scene, features)


def report_failures(failures: Sequence[tuple[str, str]], total: int) -> None:
    """UserError that lists (name, reason) of the scenes without features, if there are any."""
    if failures:
        listed = "; ".join(f"{name} ({reason})" for name, reason in failures)
        raise UserError(f"{len(failures)} of {total} scenes gave nothing: {listed}")


def save_features(folder, name: str, features: np.ndarray, coord, facts: dict, half: bool = False) -> Path:
    """Write both files, each whole or not at all, the description last. UserError: beyond float16's range."""
    folder = Path(folder)
    if half:
        reach = float(np.abs(features).max())
        if reach > HALF_REACH:
            raise UserError(f"{name}: features reach {reach:g}, more than float16 holds: leave out --half")
        features = features.astype(np.float16)
    facts = {"points": len(features), "channels": features.shape[1], "dtype": str(features.dtype), **facts}
    text = json.dumps(facts, indent=1) + "\n"
    with replace_file(folder / f"{name}.npz") as file:
        np.savez(file, feat=features, coord=coord)
    with replace_file(folder / f"{name}.json", "w") as file:
        file.write(text)
    return folder / f"{name}.npz"


def describe_extractor(extractor: FeatureExtractor, weights) -> dict:
    """What a set of features owes to its extractor, for the description: no folder names."""
    levels = [
        {"name": name, "voxel": round(edge, 6), "start": columns.start, "stop": columns.stop}
        for name, edge, columns in extractor.levels
    ]
    return {
        "weights": Path(weights).name,
        "weights_sha256": extractor.digest,
        "inputs": list(extractor.feat_keys),
        "voxel_size": extractor.voxel_size,
        "up": extractor.up,
        "scale": extractor.scale,
        "levels": levels,
    }
