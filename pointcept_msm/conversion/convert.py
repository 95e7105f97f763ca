"""A foreign checkpoint into an exported network of this package."""

import hashlib
import logging
from collections.abc import Iterable
from pathlib import Path

from pointcept_msm.conversion.match import Match, find_state, list_names, match_state, select_network
from pointcept_msm.conversion.network_config import choose_config
from pointcept_msm.conversion.sources import find_source
from pointcept_msm.conversion.spunet import TYPE as SPUNET
from pointcept_msm.conversion.spunet import spunet_tensors
from pointcept_msm.files.torch_files import read_torch_file
from pointcept_msm.files.weights import save_checkpoint
from pointcept_msm.runtime.environment import package_version

LOGGER = logging.getLogger("msm")


def convert_checkpoint(
    path, out, source: str, network: str | None = None, config_file=None, ignore: Iterable[str] = (), meta=None
) -> Match:
    """Read `path` (.pth), match it with the network strictly, and write `out` (.safetensors).

    network: student, teacher or backbone, as the source has (None: its first). meta: entries that override the
    table's, such as grid_size. Errors: one sentence each, see the modules beside this one; `out` is written only when
    all went well.
    """
    table = find_source(source)
    if Path(out).suffix != ".safetensors":
        raise ValueError(f"the output is {str(out)!r}; its name must end in .safetensors")
    network, content = network or next(iter(table.prefixes)), read_torch_file(path)
    state, strangers = select_network(find_state(content, table, path), table, network, path)
    config, run = choose_config(source, path, content, state, config_file)
    facts = {**table.meta, **run, **(meta or {})}
    check_inputs(facts, config, path)
    expected = expected_tensors(config)
    match = match_state(state, expected, strangers, ignore, path)
    tensors = {name: match.state.get(name, value) for name, value in expected.items()}
    if any(value.is_meta for value in tensors.values()):
        raise ValueError(
            f"{path} lacks {list_names(match.missing)}, and this network's initial values are not known here"
        )
    if match.missing:
        LOGGER.warning("%d tensors keep initial values: %s", len(match.missing), list_names(match.missing))
    tensors = {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}
    save_checkpoint(out, tensors, config, {**describe(path, source, network, match), **facts})
    return match


def expected_tensors(config) -> dict:
    """Every tensor of the network by name, with initial values where it can be built in any host."""
    from pointcept_msm.host import build_model

    if config["type"] == SPUNET:
        return spunet_tensors(**config)
    return build_model(dict(config)).state_dict()


def check_inputs(facts, config, path) -> None:
    """ValueError unless the inputs are known and as wide as the network takes them."""
    from pointcept_msm.features.extractor import check_input_width

    if not facts.get("feat_keys"):
        raise ValueError(
            f"nothing says what the {config.get('in_channels')} inputs of {path} are: name them in order, such as "
            "--feat-keys color normal"
        )
    check_input_width(facts["feat_keys"], config.get("in_channels"))


def describe(path, source: str, network: str, match: Match) -> dict:
    """Provenance of a converted file: where it came from, without the folder it lay in."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256") if hasattr(hashlib, "file_digest") else _digest(file)
    return {
        "method": "MSM",
        "network": network,
        "source": source,
        "source_file": Path(path).name,
        "source_sha256": digest.hexdigest(),
        "left_at_initial_values": match.missing,
        "version": package_version(),
    }


def _digest(file):
    """hashlib.file_digest, which Python 3.10 lacks."""
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest
