"""A foreign checkpoint into an exported network of this package."""

import hashlib
import logging
from collections.abc import Iterable
from pathlib import Path

from pointcept_msm.checkpoints import save_checkpoint
from pointcept_msm.embedded.environment import package_version

from .match import Match, find_state, list_names, match_state, select_network
from .network_config import choose_config
from .sources import find_source
from .torch_files import read_torch_file

LOGGER = logging.getLogger("msm")


def convert_checkpoint(
    path, out, source: str, network: str = "student", config_file=None, ignore: Iterable[str] = (), meta=None
) -> Match:
    """Read `path` (.pth), match it with the network strictly, and write `out` (.safetensors).

    network: student or teacher. meta: entries that override the table's, such as grid_size. Errors: one sentence each,
    see the modules beside this one; `out` is written only when all went well.
    """
    from pointcept_msm.host import build_model

    table = find_source(source)
    if Path(out).suffix != ".safetensors":
        raise ValueError(f"the output is {str(out)!r}; its name must end in .safetensors")
    state, strangers = select_network(find_state(read_torch_file(path), table, path), table, network, path)
    config, run = choose_config(source, path, config_file)
    model = build_model(dict(config))
    match = match_state(state, model.state_dict(), strangers, ignore, path)
    model.load_state_dict(match.state, strict=not match.missing)
    if match.missing:
        LOGGER.warning("%d tensors keep initial values: %s", len(match.missing), list_names(match.missing))
    facts = {**table.meta, **run, **(meta or {})}
    save_checkpoint(out, model.state_dict(), config, {**describe(path, source, network, match), **facts})
    return match


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
