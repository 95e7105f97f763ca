"""The method itself, small enough to train in seconds: a config for runs that are killed, repeated and measured."""

import numpy as np
import torch

from pointcept_msm.files.scene_io import save_scene
from tests import toy
from tests.probe_toy import NETWORK

LAST = "run/model/model_last.pth"
TIMES = ("scenes_per_second", "seconds_per_step", "peak_memory_mib")
AUGMENT = [
    dict(type="CenterShift", apply_z=True),
    dict(type="RandomRotate", angle=[-1, 1], axis="z", center=[0, 0, 0], p=1.0),
    dict(type="RandomFlip", p=0.5),
    dict(type="RandomJitter", sigma=0.005, clip=0.02),
]


def make_room(seed, points):
    """Random points on a floor and two walls, coloured, with normals."""
    rng = np.random.default_rng(seed)
    axis, coord = rng.integers(0, 3, points), rng.uniform(0, (3, 4, 2.5), (points, 3))
    coord[np.arange(points), axis] = 0
    color = (coord * 60 + rng.uniform(0, 40, (points, 3))).clip(0, 255)
    return dict(coord=coord, color=color, normal=np.eye(3)[axis])


def write_rooms(folder, rooms=4, points=1200):
    for seed in range(rooms):
        save_scene(folder / "rooms/train" / f"room{seed}", make_room(seed, points))


def describe(folder, every_steps=2, views=None, **changes):
    """Top-level entries of the config of a run on the rooms of `folder`."""
    view = dict(type="MSMViews", grid_size=0.1, max_voxels=4000, augment=AUGMENT) | (views or {})
    return dict(
        epoch=8,
        eval_epoch=4,
        evaluate=False,
        model=dict(type="MSM-v1m1", backbone=NETWORK, mask_patch=0.4),
        optimizer=dict(type="AdamW", lr=0.002, weight_decay=0.05),
        scheduler=dict(type="OneCycleLR", max_lr=0.002, pct_start=0.1),
        data=dict(
            train=dict(
                type="MSMScenesDataset", split="train", data_root=f"{folder}/rooms", transform=[view]
            )
        ),
        hooks=[
            dict(type="CheckpointLoader"),
            dict(type="MSMMaskingHook", ratio=(0.2, 0.6), warmup=0.5),
            dict(type="MSMTeacherHook", momentum=0.99),
            dict(type="IterationTimer"),
            dict(type="MSMCollapseMonitor", interval=3),
            dict(type="InformationWriter"),
            dict(type="MSMMetricsWriter"),
            dict(type="MSMCheckpointer", every_steps=every_steps),
            dict(type="ToyCrashHook"),
        ],
    ) | changes  # fmt: skip


def read(path):
    return torch.load(path, map_location="cpu", weights_only=True)


def find_differences(left, right, place="checkpoint"):
    """Places at which two nested values are not equal to the bit, the clock apart."""
    if type(left) is not type(right):
        return [f"{place}: {type(left).__name__} and {type(right).__name__}"]
    if isinstance(left, dict):
        keys = {*left, *right} - {"seconds"}
        odd = [f"{place}.{key} in one only" for key in keys if (key in left) != (key in right)]
        shared = sorted(keys & left.keys() & right.keys(), key=str)
        return odd + [d for key in shared for d in find_differences(left[key], right[key], f"{place}.{key}")]
    if isinstance(left, (list, tuple)):
        if len(left) != len(right):
            return [f"{place}: lengths {len(left)} and {len(right)}"]
        return [d for i, pair in enumerate(zip(left, right)) for d in find_differences(*pair, f"{place}.{i}")]
    same = torch.equal(left, right) if isinstance(left, torch.Tensor) else left == right
    return [] if same else [place]


def train(folder, options=(), **changes):
    trainer = toy.build_trainer(folder, options, **describe(folder, **changes))
    trainer.train()
    return trainer
