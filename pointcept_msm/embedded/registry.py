"""The embedded host's registries: the same names and building rules as Pointcept's, held by mmengine."""

import difflib
import inspect

from mmengine.registry import Registry


def nearest_name(name: str, names, cutoff: float = 0.5) -> str:
    """The valid name closest to `name`, as the tail of an error message; empty when nothing is close."""
    match = difflib.get_close_matches(name, sorted(names), n=1, cutoff=cutoff)
    return f"; did you mean {match[0]!r}?" if match else ""


class HostRegistry(Registry):
    """A registry of classes which names the nearest class when a name is unknown (KeyError)."""

    def build(self, cfg, *args, **kwargs):
        name = cfg.get("type") if isinstance(cfg, dict) else None
        if isinstance(name, str) and name not in self.module_dict:
            valid = ", ".join(sorted(self.module_dict)) or "none"
            hint = nearest_name(name, self.module_dict)
            raise KeyError(f"{name!r} is not in the {self.name} registry (registered: {valid}){hint}")
        return super().build(cfg, *args, **kwargs)

    def _register_module(self, module, module_name=None, force=False):
        if not inspect.isclass(module):
            raise TypeError(f"{self.name} holds classes only, got {module!r}; wrap it in a class")
        super()._register_module(module, module_name, force)


MODELS = HostRegistry("msm_models")
LOSSES = HostRegistry("msm_losses")
DATASETS = HostRegistry("msm_datasets")
TRANSFORMS = HostRegistry("msm_transforms")
HOOKS = HostRegistry("msm_hooks")
TRAINERS = HostRegistry("msm_trainers")
TESTERS = HostRegistry("msm_testers")
OPTIMIZERS = HostRegistry("msm_optimizers")
SCHEDULERS = HostRegistry("msm_schedulers")
