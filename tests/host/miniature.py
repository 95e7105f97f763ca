"""A miniature of what pre-training needs, in whichever host is chosen: network, scenes, batches, a trainer."""

import copy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from pointcept_msm.host import HOST, MODELS, TRAINERS, TRANSFORMS, Config
from pointcept_msm.host.run_config import read_config
from pointcept_msm.host.runner import set_up

if HOST == "embedded":
    from pointcept_msm.embedded.loader import collate_fn
else:
    from pointcept.datasets.utils import collate_fn

RUNTIME = Path(__file__).parents[2] / "configs" / "msm" / "_base_" / "runtime.py"
GRID = 0.1
NETWORK = dict(
    type="MSM-HUNet-v1m1", in_channels=6, window_size=16, drop_path=0.0, attn_drop=0.0,
    enc_channels=(8, 16), enc_conv_depths=(1, 1), enc_attn_depths=(0, 1), enc_num_heads=(2, 2),
    dec_channels=(8, 16), dec_conv_depths=(1, 1), dec_attn_depths=(0, 1), dec_num_heads=(2, 2),
)  # fmt: skip
SPUNET = dict(type="MSM-SpUNet-v1m1", in_channels=6, base_channels=8, channels=(8, 12, 12, 8), layers=(1, 1, 1, 1))
MODEL = dict(type="MSM-v1m1", backbone=NETWORK, mask_patch=0.2)
HOOKS = [
    dict(type="CheckpointLoader"),
    dict(type="MSMMaskingHook"),
    dict(type="MSMTeacherHook", momentum=0.9, final=1.0),
    dict(type="IterationTimer", warmup_iter=0),
    dict(type="InformationWriter"),
    dict(type="MSMMetricsWriter"),
    dict(type="MSMCheckpointer"),
]
NO_DECAY = [dict(keyword=word, weight_decay=0.0) for word in ("scale", "gamma", "bias", "token")]


def make_scene(seed: int, points: int = 1500) -> dict:
    """Points on three walls of a room of 3 x 2 x 2.5 m, labelled by wall."""
    rng = np.random.default_rng(seed)
    coord = rng.uniform((0, 0, 0), (3, 2, 2.5), (points, 3))
    wall = rng.integers(0, 3, points)
    coord[np.arange(points), wall] = 0.0
    color = 60 * wall[:, None] + rng.uniform(0, 80, (points, 3))
    arrays = dict(coord=coord, color=color, normal=np.eye(3)[wall])
    arrays = {key: value.astype(np.float32) for key, value in arrays.items()}
    return dict(
        arrays, segment=wall.astype(np.int32), instance=wall.astype(np.int32), name=f"scene{seed}", split="train"
    )


def write_scenes(folder, count: int = 4) -> None:
    """<folder>/train and <folder>/val in Pointcept's format."""
    for seed in range(count):
        for split in ("train", "val"):
            path = Path(folder, split, f"scene{seed}")
            path.mkdir(parents=True)
            scene = make_scene(seed + 100 * (split == "val"))
            for key in ("coord", "color", "normal", "segment", "instance"):
                np.save(path / f"{key}.npy", scene[key])


def make_batches(count: int, scenes: int = 2, seed: int = 0) -> list:
    """Collated batches of two views a scene; torch and numpy are seeded first."""
    torch.manual_seed(seed)
    np.random.seed(seed)
    views = TRANSFORMS.build(dict(type="MSMViews", grid_size=GRID, max_voxels=900, student_crop=(0.5, 0.8)))
    return [collate_fn([views(make_scene(scenes * i + j)) for j in range(scenes)]) for i in range(count)]


class ListLoader(list):
    """Batches given beforehand, in place of a DataLoader."""

    sampler = SimpleNamespace(set_epoch=lambda *args, **kwargs: None)
    batch_size, _iterator, dataset = 2, None, ()

    def __iter__(self):
        return iter(copy.deepcopy(list(super().__iter__())))


def make_config(save_path, **changes) -> Config:
    """A complete config of the host, over the real runtime base."""
    cfg = read_config(RUNTIME)
    options = dict(
        seed=0, save_path=str(save_path), batch_size=2, num_worker=1, epoch=1, eval_epoch=1, model=MODEL, hooks=HOOKS,
        optimizer=dict(type="AdamW", lr=0.01, weight_decay=0.05), param_dicts=NO_DECAY,
        scheduler=dict(type="OneCycleLR", max_lr=0.01, pct_start=0.2), data=dict(train=dict(type="ListLoader")),
    )  # fmt: skip
    for key, value in {**options, **changes}.items():
        cfg[key] = copy.deepcopy(value)
    Path(save_path, "model").mkdir(parents=True, exist_ok=True)
    cfg = Config(cfg._cfg_dict.to_dict() if hasattr(cfg._cfg_dict, "to_dict") else cfg._cfg_dict)
    return set_up(cfg, "config.py")


def make_trainer(cfg, batches: list):
    """The host's MSMTrainer on batches that are given, not loaded."""
    loaders = dict(build_train_loader=lambda self: ListLoader(batches), build_val_loader=lambda self: None)
    return type("ListTrainer", (TRAINERS.get("MSMTrainer"),), loaders)(cfg)


def build(cfg: dict):
    """A model of a plain config."""
    return MODELS.build(copy.deepcopy(cfg))
