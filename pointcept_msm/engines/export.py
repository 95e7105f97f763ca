"""Student and teacher, or a segmentor's backbone, as files of their own: weights, config and provenance."""

import datetime
from pathlib import Path

from torch import nn

from pointcept_msm import __version__
from pointcept_msm.conversion.sources import describe_network as describe_config
from pointcept_msm.engines.method_hooks import unwrap
from pointcept_msm.files.weights import save_checkpoint
from pointcept_msm.runtime.environment import git_revision
from pointcept_msm.runtime.training_state import to_plain

NETWORKS = ("student", "teacher")
LICENCE = "that of the run's author and data"  # unless the config's `licence` says more


def count_steps(trainer):
    """Optimizer steps taken so far, in either host (the schedule moves once a step)."""
    return trainer.global_step if hasattr(trainer, "global_step") else trainer.scheduler.last_epoch


def find_networks(model):
    """The backbones of `model.student` and `model.teacher` that exist, by name, or else `model.backbone` if it is
    trained; DDP is unwrapped."""
    model = unwrap(model)
    holders = {name: getattr(model, name, None) for name in NETWORKS}
    found = {name: holder["backbone"] for name, holder in holders.items() if holder and "backbone" in holder}
    backbone = getattr(model, "backbone", None)
    if not found and isinstance(backbone, nn.Module) and any(p.requires_grad for p in backbone.parameters()):
        found["backbone"] = backbone
    return found


def describe_network(cfg, model=None) -> dict:
    """What builds the network of a run and what goes into it: {config, meta}, kept in every checkpoint and export.

    model: the run's, for a network whose config came with its weights.
    """
    keys = ("data", "model", "grid_size", "feat_keys")
    config, meta = describe_config({key: cfg.get(key) for key in keys})
    config = config or to_plain(getattr(getattr(unwrap(model), "backbone", None), "built_from", {}))
    return dict(config=config, meta=meta | dict(method=name_method(cfg.model)))


def name_method(model):
    """What a run does, from the config of its model."""
    if model.type == "MSM-Segmentor-v1m1":
        return "fine-tuned" if model.get("weight") else "supervised"
    return "contrastive" if model.type == "MSM-Contrastive-v1m1" else "MSM"


def describe_run(trainer) -> dict:
    """Provenance that every exported network of a run shares."""
    cfg, output = trainer.cfg, trainer.comm_info.get("model_output_dict", {})
    loss = output["loss"].item() if "loss" in output else None
    meta = describe_network(cfg)["meta"]
    return to_plain(
        {
            "method": meta["method"],
            "grid_size": meta.get("grid_size"),
            "features": meta.get("feat_keys"),
            "fill": meta.get("fill", {}),
            "dataset": cfg.data.train.type,
            "steps": count_steps(trainer),
            "epochs": cfg.epoch,
            "loss": loss if loss is not None and abs(loss) < float("inf") else None,
            "seed": cfg.seed,
            "git_revision": git_revision(),
            "version": __version__,
            "licence": cfg.get("licence") or LICENCE,
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        }
    )


def export_networks(trainer):
    """Write `<save_path>/<network>.safetensors` for each of `find_networks`; returns the paths."""
    networks, paths = find_networks(trainer.model), []
    if not networks:
        trainer.logger.info("Nothing to export: the model trains no backbone")
    config, run = describe_network(trainer.cfg, trainer.model)["config"], describe_run(trainer)
    for name, network in networks.items():
        paths.append(Path(trainer.cfg.save_path) / f"{name}.safetensors")
        save_checkpoint(paths[-1], network.state_dict(), config, {**run, "network": name})
        trainer.logger.info(f"Exported the {name}: {paths[-1]}")
    return paths
