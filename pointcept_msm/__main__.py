"""The package's command: msm inspect, extract, show, convert, probe or models; python -m pointcept_msm is the same."""

import shlex
import sys

import numpy as np
import torch

from pointcept_msm import __version__
from pointcept_msm.conversion.convert import add_convert_arguments, convert_command
from pointcept_msm.features.batch import (
    add_extract_arguments,
    add_input_arguments,
    extract_command,
    report_failures,
)
from pointcept_msm.features.extractor import load
from pointcept_msm.features.voxels import centre_coord, voxelise
from pointcept_msm.files.inspection import inspect_scene
from pointcept_msm.files.scene_io import load_scene
from pointcept_msm.files.weights import SHIPPED, find_weights, list_shipped, load_checkpoint
from pointcept_msm.host.runner import add_probe_arguments, probe_command
from pointcept_msm.link import PACKAGE, find_configs
from pointcept_msm.pictures.show import add_show_arguments, show_command
from pointcept_msm.runtime.command_line import OneSentenceParser, run_command
from pointcept_msm.runtime.errors import UserError


def inspect_command(args) -> None:
    """What scenes measure and hold, what is doubtful of them, and how many voxels they fill for the weights."""
    weights, failures = find_weights(args.weights), []
    voxel_size = args.voxel_size or load_checkpoint(weights)[2]["grid_size"]
    for path in args.scenes:
        try:
            scene = load_scene(path, up=args.up, scale=args.scale)
        except UserError as error:
            failures.append((path, str(error)))
            continue
        seen, doubts = inspect_scene(scene["coord"], voxel_size)
        voxels = count_voxels(scene["coord"], voxel_size)
        print(f"{path}: {seen}; {voxels} for {weights.stem}", *doubts, sep="\n  doubt: ")
        for field in ("color", "normal", "segment", "instance"):
            print(f"  {field:<9}{describe_field(field, scene.get(field))}")
    report_failures(failures, len(args.scenes))
    print(f"next: msm show {shlex.join(args.scenes)}")


def count_voxels(coord: np.ndarray, voxel_size: float) -> str:
    """How many voxels points (N, 3) fill, in words: a scene in a wrong unit may span more than can be numbered."""
    try:
        return f"{len(voxelise(centre_coord(torch.from_numpy(coord)), voxel_size).grid):,} voxels of {voxel_size:g} m"
    except UserError:
        return f"too large for voxels of {voxel_size:g} m"


def describe_field(field: str, values: np.ndarray | None) -> str:
    """The range of an array of a scene, in its own terms."""
    if values is None:
        return "none"
    if field == "color":
        return f"{values.min():g} to {values.max():g}"
    if field == "normal":
        length = np.linalg.norm(values, axis=1)
        return f"lengths {length.min():.3g} to {length.max():.3g}"
    known = np.unique(values[values >= 0])
    if not len(known):
        return "all unknown"
    return f"{len(known)} values, {known[0]} to {known[-1]}; {(values < 0).mean():.1%} unknown"


def models_command(args) -> None:
    """The shipped weights, each with what it takes and gives."""
    for name in list_shipped():
        path = SHIPPED / f"{name}.safetensors"
        cards = [folder / f"{name}.md" for folder in (SHIPPED, PACKAGE.parent / "docs" / "models")]
        card = next((str(card) for card in cards if card.is_file()), "none")
        extractor = load(name)
        absent = ", ".join(f"{key} ({value})" for key, value in extractor.fill.items()) or "none"
        print(f"{name}: {path.stat().st_size / 1e6:.2f} MB; may be absent: {absent}; card: {card}\n{extractor}")
    print("next: msm show SCENE --weights NAME")


SUBCOMMANDS = {  # summary for --help, what adds the arguments to a parser, what carries them out
    "inspect": ("look at scans before use: size, density, fields", add_input_arguments, inspect_command),
    "extract": ("features of scans, one vector a point, to files", add_extract_arguments, extract_command),
    "show": ("pictures of features: .png, .ply, a page to click in", add_show_arguments, show_command),
    "convert": ("other people's checkpoints to one safe file", add_convert_arguments, convert_command),
    "probe": ("judge weights on labelled scenes, by a packaged config", add_probe_arguments, probe_command),
    "models": ("the weights inside the package", lambda parser: None, models_command),
}


def main(argv=None) -> int:
    """The command with these arguments (default: those of the process): its exit code, 2 for a mistake of the user."""
    return run_command(run, argv)


def run(argv) -> int | None:
    """One of the subcommands, as named by the first argument."""
    parser = OneSentenceParser(prog="msm", description="Masked Scene Modeling: features of 3D scenes without labels.")
    parser.add_argument("--version", action="version", version=__version__)
    some = parser.add_subparsers(dest="name", metavar="COMMAND", required=True)
    for name, (summary, add_arguments, carry_out) in SUBCOMMANDS.items():
        epilog = list_probes() if argv[:1] == [name] == ["probe"] else None
        command = some.add_parser(name, help=summary, description=summary, epilog=epilog)
        command.set_defaults(carry_out=carry_out)
        add_arguments(command)
    args = parser.parse_args(argv or ["--help"])
    return args.carry_out(args)


def run_subcommand(name: str, argv) -> int | None:
    """What a script in tools/ does that stands for one subcommand."""
    summary, add_arguments, carry_out = SUBCOMMANDS[name]
    parser = OneSentenceParser(description=summary)
    add_arguments(parser)
    return carry_out(parser.parse_args(argv))


def list_probes() -> str:
    """What the help of `msm probe` ends with."""
    return f"configs: {', '.join(sorted(path.stem for path in find_configs().rglob('probe-*.py')))}"


if __name__ == "__main__":
    sys.exit(main())
