"""Which network a foreign checkpoint belongs to: by a config file, by the checkpoint, or by the run's config beside it.

The run's config.py is read as data and never run; one that is named with --network-config is Python and runs.
"""

import json
from pathlib import Path

from pointcept_msm.datasets.drop_inputs import find_fills
from pointcept_msm.host import Config
from pointcept_msm.runtime.training_state import to_plain

from .literal_config import read_literal_config
from .sources import released_config
from .spunet import infer_spunet_config

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
    return find_backbone(content, path)


def find_backbone(content, path) -> tuple[dict, dict]:
    """(backbone's config, what the run says of its inputs) in the content of a config. ValueError: no backbone."""
    backbone = content.get("backbone") or (content.get("model") or {}).get("backbone")
    if backbone is None and "type" in content:
        return to_plain(content), {}
    if not backbone or "type" not in backbone:
        raise ValueError(
            f"{path} names no network, only {', '.join(content) or 'nothing'}: it needs backbone=dict(type=...)"
        )
    run = {key: to_plain(content[key]) for key in RUN_KEYS if content.get(key) is not None}
    fill = find_fills((content.get("data") or {}).get("train") or {})
    return to_plain(backbone), run | ({"fill": fill} if fill else {})


def choose_config(source: str, checkpoint, content, state, config_file=None) -> tuple[dict, dict]:
    """The network of a checkpoint with that content, whose tensors are `state`: of `config_file`, else the released
    one, else inferred from the tensors (SpUNet), else what a run wrote into the checkpoint or into config.py beside it.
    """
    if config_file is not None:
        return read_network_config(config_file)
    if source == "released":
        return released_config(), {}
    if source == "spunet":
        config = infer_spunet_config(state, checkpoint)
        return config, {"feat_keys": ["color", "normal"]} if config["in_channels"] == 6 else {}
    own = (content.get("msm") or {}).get("network") if isinstance(content.get("msm"), dict) else None
    if isinstance(own, dict) and isinstance(own.get("config"), dict):
        return to_plain(own["config"]), to_plain(own.get("meta") or {})
    for folder in Path(checkpoint).resolve().parents[:2]:
        if (folder / "config.py").is_file():
            return find_backbone(read_literal_config(folder / "config.py"), folder / "config.py")
    raise ValueError(f"{checkpoint} has no config.py beside or above it: give the run's with --network-config FILE")


def _read_json(path):
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not JSON ({error}): write the backbone's arguments as one object") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}: write the backbone's arguments as one object")
    return content
