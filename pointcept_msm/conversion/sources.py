"""Name tables: where each kind of checkpoint keeps its networks, and what else stands beside them.

`released` is the authors' file (`phermosilla/msm`): the main network's 208 tensors under `module.student.`. `pointcept`
is a `model_last.pth` or `model_best.pth` of a pre-training run, in either host. `spunet` is a checkpoint of Pointcept
whose backbone is its SpUNet: MSC, or a segmentor, whose head is left behind. DDP's `module.` is optional everywhere.
"""

import inspect
from collections.abc import Mapping
from typing import NamedTuple

from pointcept_msm.engines.probe_networks import TRAINING_PREFIXES

DDP_PREFIX = "module."
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
        {"grid_size": 0.02, "color_range": [0.0, 1.0], "licence": "that of the weights' author and data"},
        bare="conv_input.",
    ),
}


def find_source(name: str) -> Source:
    """The table of that name; KeyError with the names there are."""
    if name not in SOURCES:
        raise KeyError(f"no source {name!r}; there are: {', '.join(SOURCES)}")
    return SOURCES[name]


def released_config() -> dict:
    """Config of the released main network: the defaults of MSM-HUNet-v1m1, written out so that the file says all."""
    from pointcept_msm.models.hunet_v1m1 import MSMHUNet

    arguments = inspect.signature(MSMHUNet).parameters.values()
    return {"type": "MSM-HUNet-v1m1", **{a.name: a.default for a in arguments if a.name != "output"}}
