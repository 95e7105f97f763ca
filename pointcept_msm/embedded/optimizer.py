"""Optimizer, its parameter groups (Pointcept's `param_dicts`: the first keyword found in a name decides), schedule."""

import logging

import torch
from torch.optim import lr_scheduler

from pointcept_msm.embedded.registry import OPTIMIZERS, SCHEDULERS
from pointcept_msm.runtime.errors import UserError

LOGGER = logging.getLogger("msm")

for _cls in (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW):
    OPTIMIZERS.register_module(module=_cls, name=_cls.__name__)


def build_optimizer(cfg, model, param_dicts=None):
    """Build `cfg.type` over the model's trainable parameters.

    param_dicts: dictionaries of a `keyword` and the options of its group; group 0 takes what no keyword matches.
    """
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    if not named:
        raise UserError("the model has no trainable parameter, nothing to optimise: check what it freezes.")
    param_dicts = param_dicts or []
    groups = [{"params": []}] + [{k: v for k, v in e.items() if k != "keyword"} | {"params": []} for e in param_dicts]
    for name, parameter in named:
        matches = (i for i, entry in enumerate(param_dicts, start=1) if entry["keyword"] in name)
        groups[next(matches, 0)]["params"].append(parameter)
    for entry, group in zip(param_dicts, groups[1:]):
        level = logging.INFO if group["params"] else logging.WARNING
        LOGGER.log(level, f"Parameter group '{entry['keyword']}': {len(group['params'])} tensors, {dict(entry)}")
    cfg = dict(cfg)
    if all(parameter.is_cuda for _, parameter in named):
        cfg.setdefault("fused", not cfg.get("foreach"))  # all parameters in a launch or two
    return OPTIMIZERS.build(dict(cfg, params=groups))


def settle_warmup(total_steps, pct_start=0.3):
    """`pct_start` for torch's OneCycleLR: a warm-up of less than one step is no warm-up.

    Such a run starts at `max_lr` and only comes down. Torch itself divides by zero when `pct_start * total_steps` is 1,
    and starts somewhere on the way down when it is less.
    """
    if pct_start * total_steps > 1:
        return float(pct_start)
    return (1 - 1e-9) / max(total_steps, 2)  # the way down starts at step -1e-9


@SCHEDULERS.register_module()
class OneCycleLR(lr_scheduler.OneCycleLR):
    """Torch's OneCycleLR, for runs of any length: see `settle_warmup`; a run of one step takes it at `max_lr`."""

    def __init__(self, optimizer, max_lr, total_steps, pct_start=0.3, **options):
        warmup = settle_warmup(total_steps, pct_start)
        super().__init__(optimizer, max_lr, total_steps=max(total_steps, 2), pct_start=warmup, **options)

    def get_lr(self):
        """The rates of the next step; after the last one they stay: the phase that torch would go on with may be of
        no length."""
        return self.get_last_lr() if self.last_epoch == self.total_steps else super().get_lr()
