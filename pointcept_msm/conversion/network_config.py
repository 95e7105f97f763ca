"""Which network a foreign checkpoint belongs to: a config file, or the run's own beside the checkpoint."""

import json
from pathlib import Path

from pointcept_msm.embedded.training_state import to_plain
from pointcept_msm.engines.probe_networks import read_run_config
from pointcept_msm.host import Config

from .sources import released_config

RUN_KEYS = ("grid_size", "feat_keys")


def read_network_config(path) -> tuple[dict, dict]:
    """(backbone's config, {grid_size, feat_keys} as far as given) of a `.py` or `.json` file.

    The backbone is under `backbone` or `model.backbone`, or it is the whole `.json`. A `.py` config is Python and runs:
    give only your own. FileNotFoundError, ValueError: no file, no backbone in it.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no config at {path}: give a .py config or a .json of the backbone's arguments")
    content = _read_json(path) if path.suffix == ".json" else dict(Config.fromfile(str(path)))
    backbone = content.get("backbone") or (content.get("model") or {}).get("backbone")
    if backbone is None and "type" in content:
        return to_plain(content), {}
    if not backbone or "type" not in backbone:
        raise ValueError(
            f"{path} names no network, only {', '.join(content) or 'nothing'}: it needs backbone=dict(type=...)"
        )
    return to_plain(backbone), {key: to_plain(content[key]) for key in RUN_KEYS if content.get(key) is not None}


def choose_config(source: str, checkpoint, config_file=None) -> tuple[dict, dict]:
    """The network of a checkpoint: of `config_file`, else the released one, else of config.py beside the run."""
    if config_file is not None:
        return read_network_config(config_file)
    if source == "released":
        return released_config(), {}
    config, run = read_run_config(Path(checkpoint))
    if not config:
        raise ValueError(f"{checkpoint} has no config.py beside or above it: give the run's with --network-config FILE")
    return config, run


def _read_json(path):
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not JSON ({error}): write the backbone's arguments as one object") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}: write the backbone's arguments as one object")
    return content
