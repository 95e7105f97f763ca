"""Where each kind of checkpoint keeps its networks, what else stands beside them, and what a run says of its network.

`released` is the authors' file (`phermosilla/msm`): the main network's 208 tensors under `module.student.`. `pointcept`
is a `model_last.pth` or `model_best.pth` of a pre-training run, in either host. `spunet` is a checkpoint of Pointcept
whose backbone is its SpUNet: MSC, or a segmentor, whose head is left behind. DDP's `module.` is optional everywhere.
"""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch

from pointcept_msm.datasets.inputs import find_fills, find_grid_size
from pointcept_msm.files.state_match import list_names, matches
from pointcept_msm.files.torch_files import read_literal_config
from pointcept_msm.models.hunet_v1m1 import MSMHUNet
from pointcept_msm.runtime.errors import UserError
from pointcept_msm.runtime.training_state import to_plain

# Where a training checkpoint keeps each network.
TRAINING_PREFIXES = {"student": "student.backbone.", "teacher": "teacher.backbone."}
LICENCE_OF_RELEASED = (
    "weights by the authors of the paper (github: phermosilla/msm, code under MIT, no separate licence for the "
    "weights), trained on ScanNet, whose terms of use allow non-commercial research and education"
)


class Source(NamedTuple):
    """containers: keys of the file that may hold the state dict, best first. prefixes: of each network in it, without
    DDP's, the usual one first. beside: patterns of keys that belong to training alone and are left behind. meta: what
    the export says. bare: how some key begins where the file holds the network alone, without a prefix.
    """

    containers: tuple[str, ...]
    prefixes: Mapping[str, str]
    beside: tuple[str, ...]
    meta: Mapping[str, object]
    bare: str | None = None


SOURCES = {
    "released": Source(
        ("state_dict", "model"),
        {"student": "student.", "teacher": "teacher."},
        (),
        {"grid_size": 0.02, "feat_keys": ["color", "normal"], "licence": LICENCE_OF_RELEASED},
    ),
    "pointcept": Source(
        ("state_dict",),
        TRAINING_PREFIXES,
        ("student.predictor.*", "student.tokens.*", "train_step"),
        {"licence": "that of the run's author and data"},
    ),
    "spunet": Source(
        ("state_dict", "model"),
        {"backbone": "backbone."},
        ("backbone.final.*", "final.*", "seg_head.*", "bias_head.*", "mask_token", "color_head.*", "normal_head.*"),
        # Pointcept's NormalizeColor gives 0 to 1; releases before it gave -1 to 1.
        {"color_range": [0.0, 1.0], "licence": "that of the weights' author and data"},
        bare="conv_input.",
    ),
}


def select_network(
    state: Mapping, source: Source, network: str, path="the file"
) -> tuple[dict[str, torch.Tensor], list[str]]:
    """(tensors of one network of the source by its own names, keys that belong to no network and not to training).

    UserError: the source has no network of that name, or the file none of its keys.
    """
    prefixes = source.prefixes
    if network not in prefixes:
        raise UserError(f"this source has no {network}; there is: {', '.join(prefixes)}")
    prefix = prefixes[network]
    others = [p for n, p in prefixes.items() if n != network]
    if not any(key.startswith(prefix) for key in state):
        if not (source.bare and any(key.startswith(source.bare) for key in state)):
            there = [n for n, p in prefixes.items() if any(key.startswith(p) for key in state)]
            hint = f"it has the {there[0]}: use --network {there[0]}" if there else "choose the --source it comes from"
            raise UserError(f"{path} has no key that begins with {prefix!r}, only {list_names(state)}: {hint}")
        prefix = ""
    useful = {key: value for key, value in state.items() if not matches(key, source.beside)}
    selected = {key.removeprefix(prefix): value for key, value in useful.items() if key.startswith(prefix)}
    return selected, [key for key in useful if not key.startswith((prefix, *others))]


def released_config() -> dict:
    """Config of the released main network: the defaults of MSM-HUNet-v1m1, written out so that the file says all."""
    arguments = inspect.signature(MSMHUNet).parameters.values()
    return {"type": "MSM-HUNet-v1m1", **{a.name: a.default for a in arguments if a.name != "output"}}


def describe_network(config) -> tuple[dict, dict]:
    """(backbone's config, its {grid_size, feat_keys, fill} as far as known) of a run's config.

    The backbone is under `backbone` or `model.backbone` ({} when there is none). grid_size is that of the views that
    the run trained on, else what the top of the config says. UserError: the views differ in it.
    """
    config = to_plain(dict(config))
    train = (config.get("data") or {}).get("train") or {}
    meta = {"grid_size": find_grid_size(train) or config.get("grid_size"), "feat_keys": config.get("feat_keys")}
    meta |= {"fill": find_fills(train) or None}
    backbone = config.get("backbone") or (config.get("model") or {}).get("backbone") or {}
    return backbone, {key: value for key, value in meta.items() if value is not None}


def find_run_network(content: Mapping, path) -> tuple[dict, dict]:
    """`describe_network` for a run's checkpoint with that content: what stands in it, else in the config.py beside it
    or above it, which is read as data and never run; ({}, {}) when nothing says. UserError: more than data in it.
    """
    own = (content.get("msm") or {}).get("network") if isinstance(content.get("msm"), Mapping) else None
    if isinstance(own, Mapping) and isinstance(own.get("config"), Mapping) and own["config"]:
        return to_plain(own["config"]), to_plain(own.get("meta") or {})
    for folder in Path(path).resolve().parents[:2]:
        if (folder / "config.py").is_file():
            return describe_network(read_literal_config(folder / "config.py"))
    return {}, {}
