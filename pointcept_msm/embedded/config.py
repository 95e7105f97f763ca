"""Config files of the embedded host: Python files with `_base_`, `custom_imports` and dotted access, read by mmengine.

The file format is Pointcept's (configs are plain literals), so one config serves both hosts. Keys that every run needs
and a config leaves out take the values of `RUNTIME_DEFAULTS`, which are those of Pointcept's default runtime, with
wandb off.
"""

import importlib
from copy import deepcopy
from pathlib import Path
from pprint import pformat

from mmengine.config import Config as MMEngineConfig

from pointcept_msm.runtime.training_state import to_plain

WIDTH = 100  # of the lines of a config that is written down

RUNTIME_DEFAULTS = dict(
    weight=None,
    resume=False,
    evaluate=True,
    test_only=False,
    seed=None,
    save_path="exp/msm/default",
    num_worker=16,
    batch_size=16,
    gradient_accumulation_steps=1,
    batch_size_val=None,
    batch_size_test=None,
    epoch=100,
    eval_epoch=100,
    clip_grad=None,
    sync_bn=False,
    enable_amp=False,
    amp_dtype="float16",
    empty_cache=False,
    empty_cache_per_epoch=False,
    find_unused_parameters=False,
    enable_wandb=False,
    mix_prob=0,
    param_dicts=None,
)


class Config(MMEngineConfig):
    """A configuration with attribute and item access, `get`, `dump` and `pretty_text`.

    It lives in this package on purpose: unpickling it in a spawned process imports pointcept_msm first, so every
    registered class is there.
    """

    @classmethod
    def fromfile(cls, filename, import_custom_modules: bool = True, **kwargs) -> "Config":
        """Read a config file, run its `custom_imports` and fill in `RUNTIME_DEFAULTS`.

        Raises FileNotFoundError when the file is missing and ImportError when a custom import fails.
        """
        if not Path(filename).is_file():
            raise FileNotFoundError(f"config file {str(filename)!r} does not exist; give the path of a .py config file")
        kwargs.setdefault("lazy_import", False)
        plain = MMEngineConfig.fromfile(filename, import_custom_modules=False, **kwargs)
        config = cls(plain._cfg_dict, cfg_text=plain.text, filename=plain.filename, env_variables=plain.env_variables)
        if import_custom_modules:
            run_custom_imports(config.get("custom_imports"), source=str(filename))
        fill_defaults(config)
        return config

    @property
    def pretty_text(self) -> str:
        """The config as a Python file that reads back as the same config (mmengine's takes yapf two seconds)."""
        entries = to_plain(self._cfg_dict).items()
        return "".join(f"{key} = {pformat(value, width=WIDTH, sort_dicts=False)}\n" for key, value in entries)


def fill_defaults(config) -> None:
    """Set every key of RUNTIME_DEFAULTS that the config lacks."""
    for key, value in RUNTIME_DEFAULTS.items():
        if key not in config:
            config[key] = deepcopy(value)


def run_custom_imports(custom_imports, source: str = "config") -> None:
    """Import the modules listed in `custom_imports = dict(imports=[...], allow_failed_imports=False)`."""
    if not custom_imports:
        return
    names = custom_imports["imports"]
    for name in [names] if isinstance(names, str) else names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            if custom_imports.get("allow_failed_imports", False):
                continue
            raise ImportError(
                f"{source}: custom_imports names {name!r}, which cannot be imported ({error}); install it, or put its "
                "folder on PYTHONPATH"
            ) from error
