"""A model, data set and config small enough to train in a second, for tests of what runs a training."""

import os
from pathlib import Path

import numpy as np
import torch
from torch import nn

from pointcept_msm.host import DATASETS, HOOKS, MODELS, TRAINERS, HookBase, register
from pointcept_msm.host.run_config import load_run_config
from pointcept_msm.host.runner import set_up

ROOT = Path(__file__).resolve().parents[1]


@register(DATASETS, "ToyDataset")
class ToyDataset:
    """`scenes` scenes of 8 points; each draws from every generator, as augmentations do."""

    def __init__(self, scenes=8, loop=1, broken=(), noise=1.0, split="train"):
        self.scenes, self.loop, self.broken, self.noise = scenes, loop, broken, noise

    def __len__(self):
        return self.scenes * self.loop

    def __getitem__(self, index):
        scene = index % self.scenes
        feat = torch.from_numpy(np.random.default_rng(scene).normal(size=(8, 4))).float()
        feat = feat + self.noise * (torch.randn(8, 4) + np.random.rand())
        if scene in self.broken:
            feat[0, 0] = float("nan")
        segment = (feat[:, 0].nan_to_num() > 0).long()
        return dict(feat=feat, segment=segment, offset=torch.tensor([8]), name=f"scene{scene}")


@register(MODELS, "ToyModel")
class ToyModel(nn.Module):
    """A linear student with dropout and a teacher that is moved towards it after each real step."""

    def __init__(self, backbone=None, dropout=0.1, wild=False):
        super().__init__()
        self.student = nn.ModuleDict({"backbone": nn.Linear(4, 2)})
        self.teacher = nn.ModuleDict({"backbone": nn.Linear(4, 2)}).requires_grad_(False)
        self.dropout, self.momentum, self.mask_ratio = nn.Dropout(dropout), 0.9, 0.4

    def forward(self, batch):
        logits = self.student["backbone"](self.dropout(batch["feat"]))
        loss = nn.functional.cross_entropy(logits, batch["segment"])
        if not self.training:
            return dict(loss=loss, seg_logits=logits)
        return dict(loss=loss, loss_level0=loss.detach() * 2)


@register(HOOKS, "ToyTeacherHook")
class ToyTeacherHook(HookBase):
    """Moves the teacher after each real optimizer step and counts them, in a state of its own."""

    def __init__(self):
        self.ticks = 0

    def state_dict(self):
        return {"ticks": self.ticks}

    def load_state_dict(self, state):
        self.ticks = state["ticks"]

    def before_train(self):
        self.trainer.optimizer.register_step_post_hook(self.tick)

    @torch.no_grad()
    def tick(self, *_):
        self.ticks += 1
        model = getattr(self.trainer.model, "module", self.trainer.model)
        for slow, fast in zip(model.teacher.parameters(), model.student.parameters()):
            slow.lerp_(fast, 0.1)


@register(HOOKS, "ToyCrashHook")
class ToyCrashHook(HookBase):
    """Sends this process the signal that TOY_CRASH="epoch,iteration,signal" asks for, after that iteration.

    A negative number goes to its whole process group. It is not an argument, because a resumed run reads the config of
    the run that was killed.
    """

    def after_step(self):
        epoch, iteration, number = map(int, os.environ.get("TOY_CRASH", "-1,-1,0").split(","))
        if (self.trainer.epoch, self.trainer.comm_info["iter"]) == (epoch, iteration):
            os.kill(os.getpid(), number) if number > 0 else os.killpg(0, -number)


BASE = dict(
    custom_imports=dict(imports=["tests.toy"], allow_failed_imports=False),
    epoch=4,
    eval_epoch=2,
    batch_size=2,
    num_worker=0,
    seed=3,
    evaluate=True,
    log_every=1,
    clip_grad=1.0,
    model=dict(type="ToyModel", backbone=dict(type="ToyBackbone", channels=(4, 2))),
    optimizer=dict(type="AdamW", lr=0.05, weight_decay=0.01),
    scheduler=dict(type="OneCycleLR", max_lr=0.05, pct_start=0.3),
    data=dict(
        num_classes=2,
        ignore_index=-1,
        names=["low", "high"],
        train=dict(type="ToyDataset", scenes=8),
        val=dict(type="ToyDataset", scenes=3),
    ),
    hooks=[
        dict(type="CheckpointLoader"),
        dict(type="IterationTimer", warmup_iter=2),
        dict(type="InformationWriter"),
        dict(type="MSMSemSegEvaluator"),
        dict(type="MSMCheckpointer", every_steps=3),
        dict(type="MSMMetricsWriter"),
        dict(type="ToyTeacherHook"),
        dict(type="ToyCrashHook"),
    ],
)


def write_config(folder, **changes):
    """Write BASE with top-level changes as a config file; returns its path."""
    path = Path(folder) / "toy.py"
    path.write_text("".join(f"{key} = {value!r}\n" for key, value in {**BASE, **changes}.items()))
    return path


def build_trainer(folder, options=(), **changes):
    """A trainer in this process, its run in `folder`."""
    path = write_config(folder, **changes)
    cfg = set_up(load_run_config(path, [f"save_path={folder}/run", *options]), "config.py")
    return TRAINERS.build(dict(type=cfg.train.type, cfg=cfg))
