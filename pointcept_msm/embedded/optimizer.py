"""Optimizers and their parameter groups (Pointcept's `param_dicts`: the first keyword found in a name decides)."""

import copy
import difflib
import logging

import torch

from pointcept_msm.embedded.registry import OPTIMIZERS

GROUP_KEYS = ("keyword", "lr", "momentum", "weight_decay")

for _cls in (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW):
    OPTIMIZERS.register_module(module=_cls, name=_cls.__name__)


def build_optimizer(cfg, model, param_dicts=None):
    """Build `cfg.type` over the model's trainable parameters.

    `param_dicts`: list of dict(keyword, lr, momentum, weight_decay); a group each after group 0, which takes the rest.
    """
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    if not named:
        raise ValueError("the model has no trainable parameter, nothing to optimise: check what it freezes.")
    groups = group_parameters(named, param_dicts or [])
    cfg = copy.deepcopy(dict(cfg))
    if all(parameter.is_cuda for _, parameter in named):
        cfg.setdefault("fused", not cfg.get("foreach"))  # all parameters in a launch or two
    return OPTIMIZERS.build(dict(cfg, params=groups))


def group_parameters(named, param_dicts):
    """Split (name, parameter) pairs into optimizer groups; group 0 holds what no keyword matches."""
    for entry in param_dicts:
        _check_entry(entry)
    groups = [{"params": []}] + [{k: v for k, v in e.items() if k != "keyword"} | {"params": []} for e in param_dicts]
    for name, parameter in named:
        matches = (i for i, entry in enumerate(param_dicts, start=1) if entry["keyword"] in name)
        groups[next(matches, 0)]["params"].append(parameter)
    _log_groups(groups, param_dicts)
    return groups


def _check_entry(entry):
    if "keyword" not in entry:
        raise ValueError(
            f"param_dicts entry {dict(entry)} has no 'keyword': give the part of the name that selects it."
        )
    for key in entry:
        if key not in GROUP_KEYS:
            near = difflib.get_close_matches(key, GROUP_KEYS, 1, 0)[0]
            raise ValueError(f"param_dicts key '{key}' is unknown (allowed: {', '.join(GROUP_KEYS)}); use '{near}'?")


def _log_groups(groups, param_dicts):
    logger = logging.getLogger("msm")
    for entry, group in zip(param_dicts, groups[1:]):
        size = len(group["params"])
        level = logging.INFO if size else logging.WARNING
        logger.log(level, f"Parameter group '{entry['keyword']}': {size} tensors, {dict(entry)}")
