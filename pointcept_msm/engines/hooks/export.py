"""Student and teacher of a trained model as files of their own: weights, config and provenance."""

import datetime
from pathlib import Path

from pointcept_msm.checkpoints import save_checkpoint
from pointcept_msm.embedded.environment import git_revision, package_version
from pointcept_msm.embedded.training_state import to_plain
from pointcept_msm.engines.hooks.progress import unwrap

NETWORKS = ("student", "teacher")


def count_steps(trainer):
    """Optimizer steps taken so far, in either host (the schedule moves once a step)."""
    return getattr(trainer, "global_step", trainer.scheduler.last_epoch)


def find_networks(model):
    """The backbones of `model.student` and `model.teacher` that exist, by name; DDP is unwrapped."""
    holders = {name: getattr(unwrap(model), name, None) for name in NETWORKS}
    return {name: holder["backbone"] for name, holder in holders.items() if holder is not None and "backbone" in holder}


def describe_run(trainer):
    """Provenance that every exported network of a run shares."""
    cfg, output = trainer.cfg, trainer.comm_info.get("model_output_dict", {})
    loss = output["loss"].item() if "loss" in output else None
    return to_plain(
        {
            "method": "MSM",
            "grid_size": cfg.get("grid_size"),
            "features": cfg.get("feat_keys"),
            "dataset": cfg.data.train.type,
            "steps": count_steps(trainer),
            "epochs": cfg.epoch,
            "loss": loss if loss is not None and abs(loss) < float("inf") else None,
            "seed": cfg.seed,
            "git_revision": git_revision(),
            "version": package_version(),
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        }
    )


def export_networks(trainer):
    """Write `<save_path>/<network>.safetensors` for student and teacher, if there are any; returns the paths."""
    networks, paths = find_networks(trainer.model), []
    if not networks:
        trainer.logger.info("Nothing to export: the model has no student or teacher with a backbone")
        return paths
    config, run = to_plain(trainer.cfg.model.get("backbone") or {}), describe_run(trainer)
    for name, network in networks.items():
        paths.append(Path(trainer.cfg.save_path) / f"{name}.safetensors")
        save_checkpoint(paths[-1], network.state_dict(), config, {**run, "network": name})
        trainer.logger.info(f"Exported the {name}: {paths[-1]}")
    return paths
