"""Features of many scenes for the scripts in tools/: one bad scene is reported and the others go on."""

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from pointcept_msm.datasets.scene_inputs import ESTIMATE, prepare_scene
from pointcept_msm.files.pretrained import DEFAULT_WEIGHTS
from pointcept_msm.files.scene_io import load_scene
from pointcept_msm.runtime.command_line import EXPECTED_ERRORS, describe_error


class Extraction(NamedTuple):
    """A scene as the network saw it: name, arrays, what was filled and how, its features (N, C) float32, and how long
    they took, without reading the file.
    """

    name: str
    scene: dict
    filled: dict[str, str]
    features: np.ndarray
    seconds: float


class Failure(NamedTuple):
    """A scene that gave no features, and the sentence that says why."""

    name: str
    reason: str


def add_scene_arguments(parser) -> None:
    """Arguments that every script which extracts features takes."""
    parser.add_argument("scenes", nargs="+", metavar="SCENE", help="folders of .npy, .npz, .ply or .pth")
    parser.add_argument(
        "--weights",
        default=DEFAULT_WEIGHTS,
        metavar="W",
        help=f"a .safetensors file, a run's folder, hf:owner/repo or a shipped name (default: {DEFAULT_WEIGHTS})",
    )
    parser.add_argument("--out", required=True, metavar="DIR")
    parser.add_argument("--device", help="cpu, cuda, cuda:1 (default: cuda if there is one)")
    parser.add_argument("--max-voxels", type=int, default=500_000, help="a larger scene runs in tiles of this many")
    parser.add_argument("--fill-color", type=float, metavar="0-255", help="stands for the colour of scenes without it")
    parser.add_argument(
        "--estimate-normals",
        action="store_true",
        help="where normals are absent, also for a network that was trained to do without",
    )


def load_extractor(args):
    """The extractor that the arguments of `add_scene_arguments` name; the output folder exists afterwards."""
    import torch

    import pointcept_msm

    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    fill = {} if args.fill_color is None else {"color": args.fill_color}
    fill |= {"normal": ESTIMATE} if args.estimate_normals else {}
    extractor = pointcept_msm.load(args.weights, device=device, max_voxels=args.max_voxels, fill=fill)
    extractor.fill.setdefault("normal", ESTIMATE)
    Path(args.out).mkdir(parents=True, exist_ok=True)
    return extractor


def name_scenes(paths: Sequence) -> dict[str, Path]:
    """Scenes by the name of their outputs. ValueError when two would share one."""
    named = {}
    for path in map(Path, paths):
        full = path.absolute()
        name = full.stem if path.is_file() else full.name
        if name in named:
            raise ValueError(
                f"{named[name]} and {path} are both named {name!r} and would write the same files: call twice, with "
                "two --out folders"
            )
        named[name] = path
    return named


def extract_files(extractor, named, failures: list[Failure], mode="exact") -> Iterator[Extraction]:
    """Features of every scene in turn, with a progress bar; failures are added to the list and printed."""
    for name, path in (bar := tqdm(named.items(), unit="scene", disable=None)):
        bar.set_postfix_str(name)
        try:
            scene = load_scene(path) | {"name": name}
            start = time.perf_counter()
            scene, filled = prepare_scene(scene, extractor.feat_keys, extractor.fill)
            features = extractor.extract(scene, mode)
            seconds = time.perf_counter() - start
        except (*EXPECTED_ERRORS, MemoryError, RuntimeError) as error:  # torch's out of memory is a RuntimeError
            failures.append(Failure(name, describe_error(error)))
            tqdm.write(f"{name}: left out, {failures[-1].reason}", file=sys.stderr)
            continue
        for key, how in filled.items():
            tqdm.write(f"{name}: no {key} in the file, {how}", file=sys.stderr)
        yield Extraction(name, scene, filled, features, seconds)


def peak_memory() -> float:
    """The most memory that this process has held, GiB (not on Windows)."""
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # kilobytes, but bytes on macOS
    return used / (1 << 30 if sys.platform == "darwin" else 1 << 20)


def report_failures(failures: Sequence[Failure], total: int) -> None:
    """ValueError that lists the scenes without features, if there are any."""
    if failures:
        listed = "; ".join(f"{name} ({reason})" for name, reason in failures)
        raise ValueError(f"{len(failures)} of {total} scenes gave nothing: {listed}")
