"""Values of a run's config checked before anything is built: one sentence instead of a failure deep inside."""

import difflib
import logging
import math
from collections.abc import Mapping

LOGGER = logging.getLogger("msm")
MOST_WORKERS = 1024  # more processes than any machine feeds; a slip of the keyboard would start them all
MISSPELT = 0.8  # how alike two names must be for one to be taken for a slip of the other


def _is_whole(value, least):
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _whole(least):
    return lambda value: _is_whole(value, least), f"a whole number of at least {least}"


def _or_none(rule):
    return lambda value: value is None or rule[0](value), f"{rule[1]}, or None"


def _fits_workers(value):
    return value is None or (_is_whole(value, 0) and value <= MOST_WORKERS)


def _to_int(value):
    """The value itself if it is a whole number, otherwise one outside every range."""
    return value if isinstance(value, int) and not isinstance(value, bool) else -(10**9)


def _is_typed(value):
    return isinstance(value, Mapping) and isinstance(value.get("type"), (str, type))


def _is_list(value):
    return isinstance(value, (list, tuple))


def is_number(value):
    """Whether it is a finite int or float, and no truth value."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


BOOL = (lambda value: isinstance(value, bool), "True or False")
TEXT = (lambda value: isinstance(value, str) and value != "" and "\0" not in value, "a text")
SECTION = (lambda value: isinstance(value, Mapping), "a dictionary")
TYPED = (_is_typed, "a dictionary with a type")
TYPED_LIST = (lambda value: _is_list(value) and all(map(_is_typed, value)), "a list of dictionaries with a type each")
POSITIVE = (lambda value: is_number(value) and value > 0, "a positive number")
RULES = {
    "epoch": _whole(1),
    "eval_epoch": _whole(1),
    "batch_size": _whole(1),
    "batch_size_val": _or_none(_whole(1)),
    "batch_size_test": _or_none(_whole(1)),
    "gradient_accumulation_steps": _whole(1),
    "max_steps": _or_none(_whole(1)),
    "max_skipped": _whole(0),
    "log_every": _whole(1),
    "num_worker": (_fits_workers, f"a whole number from 0 to {MOST_WORKERS}, or None"),
    "seed": _or_none(_whole(0)),
    "clip_grad": _or_none(POSITIVE),
    "mix_prob": (lambda value: is_number(value) and 0 <= value <= 1, "a number from 0 to 1"),
    "grid_size": _or_none(POSITIVE),
    "resume": BOOL,
    "evaluate": BOOL,
    "enable_amp": BOOL,
    "amp_on_cpu": BOOL,
    "sync_bn": BOOL,
    "amp_dtype": TEXT,
    "save_path": TEXT,
    "weight": _or_none((lambda value: isinstance(value, str) and "\0" not in value, "a text")),
    "hooks": TYPED_LIST,
    "train": TYPED,
    "test": TYPED,
    "data": SECTION,
    "param_dicts": _or_none((lambda value: _is_list(value) and all(map(SECTION[0], value)), "a list of dictionaries")),
}
# Inside `data`, where a config has them.
DATA_RULES = {
    "train": _or_none(TYPED),
    "val": _or_none(TYPED),
    "test": _or_none(TYPED),
    "num_classes": (lambda value: value is None or 1 <= _to_int(value) <= 65_536, "a whole number from 1 to 65,536"),
    "ignore_index": (lambda value: abs(_to_int(value)) <= 65_536, "a whole number such as -1"),
    "names": _or_none(
        (lambda value: _is_list(value) and all(isinstance(name, str) for name in value), "a list of texts")
    ),
}
MOST_RATE = 1e6
TRAINING = ("model", "optimizer", "scheduler", "data.train")
# Names that configs of this package and of Pointcept use beside those of RULES.
FURTHER = {
    "custom_imports", "data_root", "feat_keys", "backbone", "augment", "color_augment", "class_names", "model",
    "optimizer", "scheduler", "test_only", "empty_cache", "empty_cache_per_epoch", "find_unused_parameters",
    "enable_wandb", "wandb_project", "wandb_key", "dataset_type", "num_classes", "names",
}  # fmt: skip
RATES = ("lr", "max_lr", "weight_decay", "eta_min")


def check_values(cfg) -> None:
    """ValueError for the first value of RULES that the config has and that no run could use."""
    for key, rule in RULES.items():
        if key in cfg:
            _check(key, cfg[key], rule)
    for key, rule in DATA_RULES.items():
        if key in (cfg.get("data") or {}):
            _check(f"data.{key}", cfg.data[key], rule)
    for section in ("optimizer", "scheduler"):
        _check_rates(section, cfg.get(section))
    for index, entry in enumerate(cfg.get("param_dicts") or ()):
        _check_rates(f"param_dicts.{index}", entry)
    for key, near in find_slips(list(cfg.keys())):
        LOGGER.warning("the config has %r, which nothing reads; did you mean %r?", key, near)


def check_training(cfg) -> None:
    """ValueError when something is missing without which nothing can be trained."""
    for key in TRAINING:
        node = cfg
        for step in key.split("."):
            node = node.get(step) if hasattr(node, "get") else None
        if node is None:
            raise ValueError(f"the config has no {key}, without which nothing can be trained: give {TYPED[1]}.")
        _check(key, node, TYPED)


def _check(key, value, rule):
    fits, allowed = rule
    if not fits(value):
        raise ValueError(f"{key} is {value!r}: give {allowed}.")


def _check_rates(section, entry):
    """Learning rates: a negative one would climb, a text would fail far from here."""
    for key in RATES if isinstance(entry, Mapping) else ():
        value = entry.get(key)
        numbers = value if _is_list(value) else [] if value is None else [value]
        if not all(is_number(number) and 0 <= number <= MOST_RATE for number in numbers):
            raise ValueError(f"{section}.{key} is {value!r}: give a number from 0 to {MOST_RATE:g}.")


def find_slips(keys):
    """(name, the known name that it seems to be meant for) of top-level names: unread, they would go unnoticed."""
    slips = []
    for key in keys:
        near = difflib.get_close_matches(key, {*RULES, *FURTHER}, 1, MISSPELT)
        if near and near[0] != key:
            slips.append((key, near[0]))
    return slips
