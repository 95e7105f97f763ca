"""A foreign checkpoint into an exported network of this package."""

import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

from pointcept_msm import __version__
from pointcept_msm.conversion.sources import (
    SOURCES,
    describe_network,
    find_run_network,
    released_config,
    select_network,
)
from pointcept_msm.conversion.spunet import TYPE, infer_spunet_config, spunet_tensors
from pointcept_msm.features.extractor import check_input_width
from pointcept_msm.files.state_match import Match, list_names, match_state
from pointcept_msm.files.torch_files import find_state_dict, read_torch_file, require_regular
from pointcept_msm.files.weights import digest_file, save_checkpoint
from pointcept_msm.host import Config, build_model
from pointcept_msm.runtime.errors import UserError

LOGGER = logging.getLogger("msm")
NEXT_STEP = (
    "give the --network-config it was trained with, or accept unknown and missing ones with --ignore PATTERN ('head.*')"
)


def add_convert_arguments(parser) -> None:
    """Arguments of `convert_command`."""
    parser.add_argument("input", metavar="IN", help="a .pth file; nothing in it is run")
    parser.add_argument("output", metavar="OUT", help="a .safetensors file")
    parser.add_argument("--source", required=True, choices=SOURCES, help="where IN comes from (docs/custom_data.md)")
    parser.add_argument("--network", help="student (default) or teacher; backbone of a spunet")
    parser.add_argument("--network-config", metavar="FILE", help=".json, or .py (it is run), of the network")
    parser.add_argument("--ignore", action="append", default=[], metavar="PATTERN", help="names to accept: 'head.*'")
    parser.add_argument("--grid-size", type=float, metavar="METRES", help="voxel size of its training, if nothing says")
    parser.add_argument("--feat-keys", nargs="+", metavar="KEY", help="inputs in order: color normal coord")
    parser.add_argument(
        "--color-range",
        nargs=2,
        type=float,
        metavar=("LOW", "HIGH"),
        help="what black and white were in training: -1 1, but for spunet 0 1, as Pointcept scales today",
    )


def convert_command(args) -> None:
    """One file from a checkpoint: `msm convert`, tools/convert_checkpoint.py. UserError: of `convert_checkpoint`."""
    meta = {"grid_size": args.grid_size, "feat_keys": args.feat_keys, "color_range": args.color_range}
    meta = {key: value for key, value in meta.items() if value is not None}
    match = convert_checkpoint(
        args.input, args.output, args.source, args.network, args.network_config, args.ignore, meta
    )
    left = f", {len(match.unknown)} left behind" if match.unknown else ""
    left += f", {len(match.missing)} at initial values" if match.missing else ""
    print(f"{args.output}: {len(match.state)} tensors{left}")
    print(f"next: msm show SCENE --weights {args.output}")


def convert_checkpoint(
    path, out, source: str, network: str | None = None, config_file=None, ignore: Iterable[str] = (), meta=None
) -> Match:
    """Read `path` (.pth), match it with the network strictly, and write `out` (.safetensors).

    source: a key of SOURCES. network: student, teacher or backbone, as the source has (None: its first). meta: entries
    that override the table's, such as grid_size, but not what the run itself says. UserError: the file, its network or
    its inputs are not what the source's are; `out` is written only when all went well.
    """
    table = SOURCES[source]
    if Path(out).suffix != ".safetensors":
        raise UserError(f"the output is {str(out)!r}; its name must end in .safetensors")
    network, content = network or next(iter(table.prefixes)), read_torch_file(path)
    state = find_state_dict(content, path, table.containers)
    state, strangers = select_network(state, table, network, path)
    config, run = choose_config(source, path, content, state, config_file)
    facts = {**table.meta, **run, **(meta or {})}
    check_inputs(facts, run, config, path)
    expected = spunet_tensors(**config) if config["type"] == TYPE else build_model(dict(config)).state_dict()
    match = match_state(state, expected, path, ignore, strangers, NEXT_STEP)
    tensors = {name: match.state.get(name, value) for name, value in expected.items()}
    if any(value.is_meta for value in tensors.values()):
        raise UserError(
            f"{path} lacks {list_names(match.missing)}, and this network's initial values are not known here"
        )
    if match.missing:
        LOGGER.warning("%d tensors keep initial values: %s", len(match.missing), list_names(match.missing))
    tensors = {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}
    provenance = {
        "method": "MSM",
        "network": network,
        "source": source,
        "source_file": Path(path).name,  # without the folder it lay in
        "source_sha256": digest_file(path),
        "left_at_initial_values": match.missing,
        "version": __version__,
    }
    save_checkpoint(out, tensors, config, {**provenance, **facts})
    return match


def choose_config(source: str, checkpoint, content, state, config_file=None) -> tuple[dict, dict]:
    """The network of a checkpoint with that content, whose tensors are `state`: of `config_file`, else the released
    one, else inferred from the tensors (SpUNet), else what a run wrote into the checkpoint or into config.py beside it.
    """
    if config_file is not None:
        return read_network_config(config_file)
    if source == "released":
        return released_config(), {}
    if source == "spunet":
        config, (_, run) = infer_spunet_config(state, checkpoint), find_run_network(content, checkpoint)
        return config, ({"feat_keys": ["color", "normal"]} if config["in_channels"] == 6 else {}) | run
    config, run = find_run_network(content, checkpoint)
    if not config:
        raise UserError(
            f"{checkpoint} has no config.py with a backbone beside or above it: give the run's with --network-config"
        )
    return config, run


def read_network_config(path) -> tuple[dict, dict]:
    """(backbone's config, {grid_size, feat_keys, fill} as far as given) of a `.py` or `.json` file.

    The backbone is under `backbone` or `model.backbone`, or it is the whole `.json`. A `.py` config is Python and runs:
    give only your own. UserError: no file, no backbone in it.
    """
    path = Path(path)
    require_regular(path)
    try:
        content = {**json.loads(path.read_bytes())} if path.suffix == ".json" else None
    except (ValueError, TypeError) as error:
        raise UserError(f"{path} is no JSON object ({error}): write the backbone's arguments as one") from error
    content = Config.fromfile(str(path)) if content is None else content
    backbone, meta = describe_network(content)
    if not backbone and "type" in content:
        return dict(content), {}
    if "type" not in backbone:
        raise UserError(f"{path} names no network, only {list_names(content)}: it needs backbone=dict(type=...)")
    return backbone, meta


def check_inputs(facts: Mapping, run: Mapping, config: Mapping, path) -> None:
    """UserError unless the inputs are known, as wide as the network takes them, and the voxels those of the run."""
    if not facts.get("feat_keys"):
        raise UserError(
            f"nothing says what the {config.get('in_channels')} inputs of {path} are: name them in order, such as "
            "--feat-keys color normal"
        )
    check_input_width(facts["feat_keys"], config.get("in_channels"))
    if not facts.get("grid_size"):
        raise UserError(f"nothing says what voxels {path} was trained with: give them in metres with --grid-size")
    if facts["grid_size"] != run.get("grid_size", facts["grid_size"]):
        raise UserError(
            f"{path} was trained with voxels of {run['grid_size']} m, --grid-size is {facts['grid_size']}: leave it out"
        )
