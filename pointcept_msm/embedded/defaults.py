"""From a config name and `key=value` options to a run that can start (Pointcept's default_config_parser and setup)."""

import difflib
import os
from pathlib import Path

from pointcept_msm.embedded.config import fill_defaults
from pointcept_msm.embedded.config_check import check_values
from pointcept_msm.embedded.options import merge_options
from pointcept_msm.embedded.resume_changes import check_changes
from pointcept_msm.files.atomic import replace_file
from pointcept_msm.runtime import comm
from pointcept_msm.runtime.environment import ROOT, draw_seed, set_seed
from pointcept_msm.runtime.training_state import to_plain

RUN_DEFAULTS = {
    "max_steps": None,  # optimizer steps after which the run ends early; also the length of the schedule
    "max_skipped": 50,  # steps in a row with a NaN or infinite loss or gradient before the run gives up
    "log_every": 10,  # iterations between two lines of the log
    "amp_on_cpu": False,  # bfloat16 autocast on a CPU, where it is seldom faster
    "train": {"type": "DefaultTrainer"},
    "test": {"type": "MSMProbeTester", "verbose": True},
    "hooks": [
        {"type": "CheckpointLoader"},
        {"type": "ModelHook"},
        {"type": "IterationTimer", "warmup_iter": 2},
        {"type": "InformationWriter"},
        {"type": "MSMCheckpointer"},
    ],
}


class UsageError(ValueError):
    """A mistake in the call of a script rather than in its data; the exit code is 2."""


def find_config(name, roots=None):
    """Path of a config given as a file, as `msm/<stem>` or as `<stem>`; FileNotFoundError names the nearest one."""
    if Path(name).is_file():
        return Path(name)
    roots = [Path.cwd() / "configs", ROOT / "configs"] if roots is None else roots
    known = {}
    for root in reversed(roots):
        for path in Path(root).rglob("*.py"):
            if "_base_" not in path.parts:
                relative = path.relative_to(root).with_suffix("").as_posix()
                known |= {relative: path, path.stem: path}
    wanted = str(name).removesuffix(".py").removeprefix("./").removeprefix("configs/")
    if wanted in known:
        return known[wanted]
    stems = sorted({path.stem for path in known.values()})
    near = difflib.get_close_matches(Path(wanted).name, stems, 1, 0.3)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(stems) or 'none'}."
    raise FileNotFoundError(f"no config {str(name)!r}: it is neither a file nor a name under configs/; {hint}")


def load_run_config(config_file, options=(), resume_from_run=True):
    """The complete config of a run, changing nothing on disk: file, defaults, options, save path.

    With `resume=true` the config that the run itself wrote is read, if there is one, and its last checkpoint taken.
    """
    from pointcept_msm.host import Config  # here: the host itself imports the embedded modules

    cfg = _read_config(Config, find_config(config_file), options)
    check_values(cfg)
    written = Path(cfg.save_path) / "config.py"
    if resume_from_run and cfg.resume and written.is_file():
        before, options = _read_config(Config, written, ()), [*options, f"save_path={cfg.save_path}"]
        cfg = _read_config(Config, written, options)
        check_values(cfg)
        cfg.resume_changes = check_changes(to_plain(before._cfg_dict), to_plain(cfg._cfg_dict))
    if resume_from_run and cfg.resume:
        cfg.weight = find_last_checkpoint(cfg.save_path)
        cfg.resume = cfg.weight is not None  # killed before its first checkpoint: start over
    if cfg.get("data") and cfg.data.get("train"):
        check_divisible("epoch", cfg.epoch, "eval_epoch", cfg.eval_epoch)
        cfg.data.train.loop = cfg.epoch // cfg.eval_epoch
    return cfg


def read_config_file(Config, path):
    """The config in a file; ValueError with the file's name when it cannot be read as one."""
    try:
        return Config.fromfile(str(path))
    except FileNotFoundError:
        raise
    except ImportError as error:
        named = str(path) in str(error)
        raise error if named else ImportError(f"config {path} imports what is not there ({error})") from error
    except Exception as error:  # a config is Python: it can fail in any way
        lines = str(error).strip().splitlines() or ["no reason given"]
        raise ValueError(
            f"config {path} cannot be read ({type(error).__name__}: {lines[0]}): correct the file; it is Python with "
            "plain values only."
        ) from error


def _read_config(Config, path, options):
    cfg = read_config_file(Config, path)
    named = cfg.get("save_path")
    fill_defaults(cfg)
    for key, value in RUN_DEFAULTS.items():
        if cfg.get(key) is None:
            cfg[key] = value
    if named in (None, "exp/msm/default"):
        cfg.save_path = f"exp/msm/{Path(path).stem}"
    try:
        return merge_options(cfg, list(options))
    except ValueError as error:
        raise UsageError(str(error)) from error


def find_last_checkpoint(save_path):
    """Path of the checkpoint a resumed run starts from, as a string; None when the run has not written one."""
    folder = Path(save_path) / "model"
    names = ("model_last.pth", "model_last.prev.pth")
    return str(folder / names[0]) if any((folder / name).is_file() for name in names) else None


def check_divisible(name, number, by, divisor):
    if not isinstance(divisor, int) or divisor < 1 or number % divisor:
        raise ValueError(f"{name} is {number} and {by} is {divisor}: {name} must be a multiple of {by}.")


def refuse_overwrite(cfg):
    """A new run must not write over the checkpoints of another one."""
    last = find_last_checkpoint(cfg.save_path)
    if last and not cfg.resume:
        raise FileExistsError(
            f"{cfg.save_path} holds a run already ({Path(last).name}): choose another name (-n), "
            "go on with it (-r true), or delete it."
        )


def prepare_run(cfg, file_name="config.py"):
    """Seed shared by every process, folder made, config written there by rank 0 unless the run is resumed."""
    cfg.seed = comm.broadcast(draw_seed() if cfg.seed is None else cfg.seed)
    if comm.is_main_process():
        os.makedirs(Path(cfg.save_path) / "model", exist_ok=True)
        if not cfg.resume:
            with replace_file(Path(cfg.save_path) / file_name, "w") as file:
                file.write(cfg.pretty_text)
    comm.synchronize()
    return cfg


def default_config_parser(file_path, options=()):
    """Pointcept's name for the two steps in one."""
    return prepare_run(load_run_config(file_path, options))


def default_setup(cfg):
    """Share batch sizes and workers among the processes and seed this one."""
    world = comm.get_world_size()
    cfg.num_worker = os.cpu_count() if cfg.num_worker is None else cfg.num_worker
    cfg.num_worker_per_gpu = cfg.num_worker // world
    for key in ("batch_size", "batch_size_val", "batch_size_test"):
        total = cfg.get(key)
        if total is not None:
            check_divisible(key, total, "the number of processes", world)
        cfg[f"{key}_per_gpu"] = 1 if total is None else total // world
    check_divisible("epoch", cfg.epoch, "eval_epoch", cfg.eval_epoch)
    set_seed(cfg.seed + comm.get_rank() * cfg.num_worker_per_gpu)
    return cfg
