"""Which networks a probe judges: exported files, a folder of them, a training checkpoint, or a model in memory."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch

from pointcept_msm.conversion.sources import TRAINING_PREFIXES, find_run_network
from pointcept_msm.engines.export import NETWORKS, find_networks
from pointcept_msm.files.torch_files import find_state_dict, read_torch_file
from pointcept_msm.files.weights import digest_file, find_weights, load_checkpoint
from pointcept_msm.runtime.errors import UserError


class ProbeNetwork(NamedTuple):
    """One network to judge: its name (student, teacher, ...), weights, the config that builds it, its meta, and the
    SHA-256 of the file that it came from."""

    name: str
    state_dict: Mapping[str, torch.Tensor] | None
    config: dict
    meta: dict
    checkpoint: str = "in memory"


def load_networks(
    weight: str | Path, wanted=NETWORKS, config: dict | None = None, meta: dict | None = None
) -> list[ProbeNetwork]:
    """Networks at `weight`: a folder with <name>.safetensors, a .safetensors file, a shipped name, or a training .pth.

    config and meta: of the backbone, for a .pth (default: what the run wrote into it or beside it); entries of meta
    override a file's own. UserError: nothing there, or nothing that is wanted.
    """
    path, meta = Path(weight), dict(meta or {})
    if path.suffix in (".pth", ".pt"):
        return load_training_checkpoint(path, wanted, config, meta)
    files = [path / f"{name}.safetensors" for name in wanted] if path.is_dir() else [find_weights(weight)]
    files = [file for file in files if file.is_file()]
    if not files:
        raise UserError(
            f"{path} holds none of {', '.join(f'{n}.safetensors' for n in wanted)}; give a file or a run's folder"
        )
    networks = []
    for file in files:
        state_dict, own_config, own_meta = load_checkpoint(file)
        own_meta = {**own_meta, **meta}
        networks.append(
            ProbeNetwork(str(own_meta.get("network") or file.stem), state_dict, own_config, own_meta, digest_file(file))
        )
    return networks


def load_training_checkpoint(path: Path, wanted, config: dict | None, meta: dict) -> list[ProbeNetwork]:
    """The wanted networks of a model_last.pth or model_best.pth; nothing in it, or in config.py beside it, is run."""
    checkpoint = read_torch_file(path)
    if not config:
        config, run = find_run_network(checkpoint, path)
        meta = {**run, **meta}
    if not config:
        raise UserError(
            f"{path} holds weights only; the config needs model.backbone, which says what network they belong to"
        )
    state, digest = find_state_dict(checkpoint, path), digest_file(path)
    networks = []
    for name in wanted:
        prefix = TRAINING_PREFIXES[name]
        own = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        if own:
            networks.append(ProbeNetwork(name, own, dict(config), dict(meta, network=name), digest))
    if not networks:
        kinds = sorted({".".join(key.split(".")[:2]) for key in state})
        raise UserError(
            f"{path} has no {' or '.join(TRAINING_PREFIXES[n] + '*' for n in wanted)}, only {', '.join(kinds[:6])}"
        )
    return networks


def collect_networks(model: torch.nn.Module, wanted, config: dict, meta: dict) -> list[ProbeNetwork]:
    """The wanted networks of a model in memory, as copies of their weights."""
    networks = []
    for name, network in find_networks(model).items():
        if name in wanted:
            state = {key: value.detach().cpu().clone() for key, value in network.state_dict().items()}
            networks.append(ProbeNetwork(name, state, dict(config), dict(meta, network=name)))
    if not networks:
        raise UserError(f"the model has no {' or '.join(wanted)} with a backbone; give weight=FILE instead")
    return networks
