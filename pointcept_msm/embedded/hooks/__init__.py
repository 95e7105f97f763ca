"""The embedded host's hooks: importing this package registers them, `build_hooks` makes them from a config list."""

from pointcept_msm.embedded.hooks.base import HookBase
from pointcept_msm.embedded.registry import HOOKS


def build_hooks(cfg_list):
    """Build the hooks named by a list of dicts with `type`, in order."""
    return [HOOKS.build(dict(cfg)) for cfg in cfg_list]


from pointcept_msm.embedded.hooks import (  # noqa: E402  registration needs HOOKS and HookBase above
    checkpoint_loader,
    checkpoint_saver,
    information_writer,
    iteration_timer,
    model_hook,
)

__all__ = [
    "HookBase",
    "build_hooks",
    "checkpoint_loader",
    "checkpoint_saver",
    "information_writer",
    "iteration_timer",
    "model_hook",
]
