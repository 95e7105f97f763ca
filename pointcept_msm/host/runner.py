"""Training and testing from a config, launched by whichever host was chosen."""

import os
from contextlib import nullcontext

from pointcept_msm.embedded.config_check import check_training
from pointcept_msm.embedded.defaults import default_setup, load_run_config, prepare_run, refuse_overwrite
from pointcept_msm.embedded.launch import is_torchrun_child, launch
from pointcept_msm.embedded.run_lock import lock_run
from pointcept_msm.host import HOST, TESTERS, TRAINERS, register

if HOST == "embedded":
    from pointcept_msm.embedded.trainer import DefaultTrainer

    register(TRAINERS, "MSMTrainer")(DefaultTrainer)  # its name in configs for both hosts


def run_training(config_file, options=(), num_gpus=1, num_machines=1, machine_rank=0, dist_url="auto"):
    """Train a config given by path or name with `key=value` options; returns the exit code."""
    cfg = load_run_config(config_file, options)
    check_training(cfg)
    if not is_torchrun_child() or os.environ["RANK"] == "0":
        refuse_overwrite(cfg)
    return _dispatch(train_worker, cfg, (num_gpus, num_machines, machine_rank, dist_url), "config.py")


def run_testing(config_file, options=(), num_gpus=1, num_machines=1, machine_rank=0, dist_url="auto"):
    """Run the tester of a config; returns the exit code."""
    cfg = load_run_config(config_file, options, resume_from_run=False)
    return _dispatch(test_worker, cfg, (num_gpus, num_machines, machine_rank, dist_url), "test_config.py")


def _dispatch(worker, cfg, machines, file_name):
    if HOST == "embedded":
        return launch(worker, *machines, args=(cfg,))
    from pointcept.engines.launch import launch as pointcept_launch

    if cfg.get("max_steps") is not None:
        from pointcept_msm.host.pointcept_trainer import NO_MAX_STEPS

        raise ValueError(NO_MAX_STEPS)
    with lock_run(cfg.save_path) if file_name == "config.py" else nullcontext():  # taken again by the training itself
        prepare_run(cfg, file_name)  # Pointcept's processes take the config as it is here
    pointcept_launch(worker, *machines, cfg=(cfg,))
    return 0


def train_worker(cfg):
    """One process of a training run."""
    with lock_run(cfg.save_path):
        _train(_set_up(cfg, "config.py"))


def _train(cfg):
    TRAINERS.build(dict(type=cfg.train.type, cfg=cfg)).train()


def test_worker(cfg):
    """One process of a test."""
    cfg = _set_up(cfg, "test_config.py")
    TESTERS.build(dict(cfg=cfg, **cfg.test)).test()


def _set_up(cfg, file_name):
    if HOST == "pointcept":
        from pointcept.engines.defaults import default_setup as pointcept_setup

        return pointcept_setup(cfg)
    return default_setup(prepare_run(cfg, file_name))
