"""From a config name and `key=value` options to a run that can start, in either host.

Config files repeat some values: `data_root` and `grid_size` stand at the top and, written out, in every dataset and
transform. Changing such a scalar at the top level also changes every deeper entry with the same key that held the same
value, so `data_root=elsewhere` does what it says; `data.train.data_root=...` changes one place only.
"""

import ast
import difflib
import inspect
import logging
import os
import secrets
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path

from pointcept_msm.files.atomic import replace_file
from pointcept_msm.host import REGISTRIES, Config
from pointcept_msm.runtime import comm
from pointcept_msm.runtime.environment import ROOT
from pointcept_msm.runtime.errors import UserError
from pointcept_msm.runtime.training_state import DEFAULTS, format_config, to_plain, warn_unread

LOGGER = logging.getLogger("msm")
RESTORED = ("optimizer", "scheduler", "param_dicts")  # from the checkpoint: a new value would be ignored in silence
HARMLESS = ("resume", "weight", "save_path", "num_worker", "log_every", "evaluate")  # how a run is done, not its result
WORDS = {"true": True, "false": False, "none": None}


def find_config(name, roots=None):
    """Path of a config given as a file, as `msm/<name>`, as `<name>` (which Pointcept's scripts take with `-d msm`) or
    by its stem; UserError names the nearest one."""
    if Path(name).is_file():
        return Path(name)
    known = {}
    places = (Path.cwd() / "configs", ROOT / "configs", ROOT / "pointcept_msm" / "configs")  # the last: of a wheel
    for root in reversed(places if roots is None else roots):
        for path in Path(root).rglob("*.py"):
            if "_base_" not in path.parts:
                whole = path.relative_to(root).with_suffix("").as_posix()
                known |= {whole: path, whole.removeprefix("msm/"): path, path.stem: path}
    wanted = str(name).removesuffix(".py").removeprefix("./").removeprefix("configs/")
    if wanted in known:
        return known[wanted]
    hint = nearest(Path(wanted).name, {path.stem for path in known.values()}, cutoff=0.3)
    raise UserError(f"no config {str(name)!r}: it is neither a file nor a name under configs/{hint}")


def nearest(name, names, cutoff=0.0):
    """The valid name closest to `name`, as the tail of an error message."""
    near = difflib.get_close_matches(name, sorted(names), 1, cutoff)
    return f"; did you mean {near[0]!r}?" if near else "."


def load_run_config(config_file, options=(), resume_from_run=True):
    """The complete config of a run, changing nothing on disk: file, defaults, options, save path.

    With `resume=true` the config that the run itself wrote is read, if there is one, and its last checkpoint taken.
    """
    cfg = read_config(find_config(config_file), options)
    written = Path(cfg.save_path) / "config.py"
    if resume_from_run and cfg.resume:
        if written.is_file():
            before, cfg = read_config(written), read_config(written, [*options, f"save_path={cfg.save_path}"])
            cfg.resume_changes = check_changes(to_plain(before._cfg_dict), to_plain(cfg._cfg_dict))
        cfg.weight = find_last_checkpoint(cfg.save_path)
        cfg.resume = cfg.weight is not None  # killed before its first checkpoint: start over
    if cfg.epoch % cfg.eval_epoch:
        raise UserError(f"epoch is {cfg.epoch} and eval_epoch is {cfg.eval_epoch}: epoch must be a multiple of it.")
    if (cfg.get("data") or {}).get("train"):
        cfg.data.train.loop = cfg.epoch // cfg.eval_epoch
    return cfg


def read_config(path, options=()):
    """A config file with defaults and options."""
    try:
        cfg = Config.fromfile(str(path))
    except FileNotFoundError as error:
        if "_base_" not in Path(path).read_text(encoding="utf-8"):
            raise
        raise UserError(
            f"{path} extends a config that is not there ({error.filename}): one that extends Pointcept's own is given "
            "by its path in Pointcept's checkout, configs linked (docs/pointcept.md)"
        ) from None
    if cfg.get("save_path") in (None, "exp/msm/default"):
        cfg.save_path = f"exp/msm/{Path(path).stem}"
    warn_unread(cfg)
    for key, value in DEFAULTS.items():
        if key not in cfg:
            cfg[key] = deepcopy(value)
    return merge_options(cfg, options)


def find_last_checkpoint(save_path):
    """Path of the checkpoint a resumed run starts from, as a string; None when the run has not written one."""
    folder = Path(save_path) / "model"
    names = ("model_last.pth", "model_last.prev.pth")
    return str(folder / names[0]) if any((folder / name).is_file() for name in names) else None


def refuse_overwrite(cfg):
    """A new run must not write over the checkpoints of another one."""
    last = find_last_checkpoint(cfg.save_path)
    if last and not cfg.resume:
        raise UserError(
            f"{cfg.save_path} holds a run already ({Path(last).name}): choose another name (-n), "
            "go on with it (-r true), or delete it."
        )


def prepare_run(cfg, file_name="config.py"):
    """Seed shared by every process, folder made, config written there by rank 0 unless the run is resumed."""
    cfg.seed = comm.all_gather(secrets.randbits(31) if cfg.seed is None else cfg.seed)[0]
    if comm.is_main_process():
        os.makedirs(Path(cfg.save_path) / "model", exist_ok=True)
        if not cfg.resume:
            with replace_file(Path(cfg.save_path) / file_name, "w") as file:
                file.write(format_config(cfg))
    comm.synchronize()
    return cfg


def check_changes(before, after):
    """Sentences for the log about what options change in a run that is resumed; UserError for what cannot change."""
    changed = [key for key in {**before, **after} if before.get(key) != after.get(key) and key not in HARMLESS]
    for key in changed:
        if key in RESTORED:
            raise UserError(
                f"{key} cannot be changed from {before.get(key)} to {after.get(key)} when a run is resumed: it comes "
                "from the checkpoint; leave the option out, or start a new run from its weights with -w."
            )
    return [f"{key} is not what the run was started with: it goes on, but not as it would have" for key in changed]


def parse_value(text: str):
    """What the right-hand side of an option stands for: a Python literal, true, false or none in any case, a list of
    words as `a,b` or `[a,b]`, otherwise the text itself."""
    text = text.strip()
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    try:
        value = ast.literal_eval(text)
        return list(value) if isinstance(value, tuple) and not text.startswith("(") else value
    except (ValueError, SyntaxError):
        inner = text[1:-1] if text[:1] == "[" and text[-1:] == "]" else text
        if (inner is text and "," not in text) or any(sign in inner for sign in "([{'\""):
            return text
        return [parse_value(part) for part in inner.split(",") if part.strip()]


def merge_options(config, options):
    """Apply `key=value` strings to a config in place, in order, and return it.

    A dotted key must exist, or be an argument of the class that its dictionary is given to; UserError names the next.
    """
    for option in options or ():
        key, equals, text = option.partition("=")
        if not equals or not key:
            raise UserError(f"option {option!r} is not of the form key=value, such as epoch=10 or model.mask_ratio=0.5")
        value, node, steps = parse_value(text), config, key.split(".")
        if "." not in key:
            set_repeats(config, key, value)
        for step in steps[:-1]:
            node = node[find_step(config, node, step, key)]
        node[find_step(config, node, steps[-1], key, last=True)] = value
    return config


def find_step(config, node, step, key, last=False):
    """The index or name that `step` of the option `key` means in `node`; UserError when nothing reads it."""
    if isinstance(node, list) and step.lstrip("-").isdigit() and -len(node) <= int(step) < len(node):
        return int(step)
    known = list_names(node) if isinstance(node, Mapping) or node is config else ()
    if step in known or (last and None in known):
        return step
    names = [
        f"{path}.{name}".lstrip(".") for place, path in list_dictionaries(config) for name in list_names(place) if name
    ]
    same_end = [name for name in names if name.rpartition(".")[2] == key.rpartition(".")[2]]
    raise UserError(f"option {key!r} is unknown: nothing reads {step!r} there{nearest(key, same_end or names)}")


def list_names(node):
    """Entries of a dictionary of a config, arguments of the class that it is for, and None where it takes any."""
    found = (registry.get(node.get("type")) for registry in REGISTRIES if node.get("type") in registry.module_dict)
    names, kinds = [*node], []
    for base in inspect.getmro(next(found, object))[:-1]:
        if "__init__" in vars(base):
            kinds = [(p.name, p.kind is p.VAR_KEYWORD) for p in inspect.signature(base.__init__).parameters.values()]
            names += [name for name, any_name in kinds if name not in ("self", "cfg") and not any_name]
            if not any(any_name for _, any_name in kinds):
                return names  # else what is left goes to the next class above
    return [*names, None] if kinds else names


def set_repeats(config, key, value):
    """Give the entries below the top level which repeat the scalar `config[key]` the new value as well."""
    old = config.get(key)
    if not isinstance(old, (str, int, float)):
        return
    for node, path in list_dictionaries(config):
        if path and key in node and type(node[key]) is type(old) and node[key] == old:
            node[key] = value
            LOGGER.info("option %s=%r also sets %s.%s", key, value, path, key)


def list_dictionaries(node, path=""):
    """Every dictionary of a nested config with its dotted path."""
    if hasattr(node, "items"):
        yield node, path
    items = node.items() if hasattr(node, "items") else enumerate(node) if isinstance(node, (list, tuple)) else ()
    for key, child in list(items):
        yield from list_dictionaries(child, f"{path}.{key}" if path else str(key))
