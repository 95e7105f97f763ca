"""The embedded host's registries and builders: the names and rules of Pointcept's, held by mmengine."""

import difflib
from copy import deepcopy

from mmengine.registry import Registry

from pointcept_msm.runtime.errors import UserError


class HostRegistry(Registry):
    """A registry of classes; UserError names the nearest class when a config names one that is not there."""

    def build(self, cfg, *args, **kwargs):
        name = cfg.get("type")
        if isinstance(name, str) and name not in self.module_dict:
            near = difflib.get_close_matches(name, sorted(self.module_dict), n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(sorted(self.module_dict))}."
            raise UserError(f"{name!r} is not in the registry {self.name} of the embedded host: {hint}")
        return super().build(cfg, *args, **kwargs)


MODELS = HostRegistry("msm_models")
LOSSES = HostRegistry("msm_losses")
DATASETS = HostRegistry("msm_datasets")
TRANSFORMS = HostRegistry("msm_transforms")
HOOKS = HostRegistry("msm_hooks")
TRAINERS = HostRegistry("msm_trainers")
TESTERS = HostRegistry("msm_testers")
OPTIMIZERS = HostRegistry("msm_optimizers")
SCHEDULERS = HostRegistry("msm_schedulers")


class Compose:
    """Build the transforms of a list of configs and apply them in order; None means no transform."""

    def __init__(self, cfg=None):
        self.transforms = [TRANSFORMS.build(transform) for transform in cfg or ()]

    def __call__(self, data_dict):
        for transform in self.transforms:
            data_dict = transform(data_dict)
        return data_dict


def build_model(cfg):
    """Build a model from a copy of its config, so that constructors may change theirs."""
    return MODELS.build(deepcopy(cfg))


def build_dataset(cfg):
    """Build a dataset from its config."""
    return DATASETS.build(cfg)
