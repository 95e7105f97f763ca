"""The seam between this package and what runs it: registries and builders of Pointcept or of the embedded host.

The host is chosen once, when this module is first imported (see `selection`). Only this subpackage imports Pointcept
and the embedded host; everything else takes these names from here.
"""

from pointcept_msm.host.selection import LOGGER, broken_pointcept, select_host
from pointcept_msm.host.selection import register as register

HOST = select_host()

if HOST == "pointcept":
    try:
        from pointcept_msm.host import pointcept as _host
    except Exception as error:  # a half-installed Pointcept can fail in any way, e.g. OSError from a CUDA library
        raise broken_pointcept(error) from error
else:
    from pointcept_msm import embedded as _host

MODELS = _host.MODELS
LOSSES = _host.LOSSES
HOOKS = _host.HOOKS
DATASETS = _host.DATASETS
TRANSFORMS = _host.TRANSFORMS
TESTERS = _host.TESTERS
TRAINERS = _host.TRAINERS
OPTIMIZERS = _host.OPTIMIZERS
SCHEDULERS = _host.SCHEDULERS
REGISTRIES = (MODELS, LOSSES, DATASETS, TRANSFORMS, HOOKS, TRAINERS, TESTERS, OPTIMIZERS, SCHEDULERS)

HookBase = _host.HookBase
Config = _host.Config
Compose = _host.Compose
DefaultDataset = _host.DefaultDataset
build_model = _host.build_model
build_dataset = _host.build_dataset
open_test_log = _host.open_test_log

LOGGER.info("host: %s", HOST)
