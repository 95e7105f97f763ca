"""Transform pipelines, collation and data sets run with fixed seeds in whichever host is chosen, saved for comparison.

Run as a script in the Pointcept host: `python host_recipes.py FOLDER OUT.npz`, FOLDER holding scenes.
"""

import random
import sys
from pathlib import Path

import numpy as np
import torch

from pointcept_msm.host import Compose, Config, build_dataset
from tests.host.miniature import collate_fn, make_scene

RECIPES = {
    "shifts": [dict(type="CenterShift"), dict(type="CenterShift", apply_z=False)],
    "rotations": [
        dict(type="RandomRotate", angle=[-1, 1], axis="z", p=0.5),
        dict(type="RandomRotate", angle=[-1 / 64, 1 / 64], axis="x", always_apply=True),
        dict(type="RandomRotate", angle=[-1 / 64, 1 / 64], axis="y", center=[0, 0, 0], p=0.9),
    ],
    "geometry": [
        dict(type="RandomScale", scale=[0.9, 1.1]),
        dict(type="RandomScale", anisotropic=True),
        dict(type="RandomFlip", p=0.5),
        dict(type="RandomJitter", sigma=0.005, clip=0.02),
    ],
    "elastic": [dict(type="ElasticDistortion")],
    "chromatic": [
        dict(type="ChromaticAutoContrast", p=0.8),
        dict(type="ChromaticTranslation"),
        dict(type="ChromaticJitter"),
    ],
    "color_jitter": [
        dict(type="RandomColorJitter", brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1, p=0.8),
        dict(type="RandomColorJitter", brightness=(0.5, 0.9), p=0.9),
    ],
    "dropout": [dict(type="RandomDropout", dropout_ratio=0.4)],
    "train_scannet": [
        dict(type="CenterShift", apply_z=True),
        dict(type="RandomDropout", dropout_ratio=0.2, dropout_application_ratio=0.2),
        dict(type="RandomRotate", angle=[-1, 1], axis="z", center=[0, 0, 0], p=0.5),
        dict(type="RandomRotate", angle=[-1 / 64, 1 / 64], axis="x", p=0.5),
        dict(type="RandomScale", scale=[0.9, 1.1]),
        dict(type="RandomFlip", p=0.5),
        dict(type="RandomJitter", sigma=0.005, clip=0.02),
        dict(type="ElasticDistortion", distortion_params=[[0.2, 0.4], [0.8, 1.6]]),
        dict(type="ChromaticAutoContrast", p=0.2, blend_factor=None),
        dict(type="ChromaticTranslation", p=0.95, ratio=0.05),
        dict(type="ChromaticJitter", p=0.95, std=0.05),
    ],
}
INPUT = dict(type="MSMInput", grid_size=0.1, max_voxels=800, augment=RECIPES["train_scannet"])


def seed_everything(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def flatten(value, prefix: str) -> dict:
    """Nested results as one dictionary of arrays; the type is part of the key."""
    if isinstance(value, dict):
        parts = [flatten(item, f"{prefix}/{key}") for key, item in value.items()]
    elif isinstance(value, (list, tuple)):
        parts = [flatten(item, f"{prefix}/{i}") for i, item in enumerate(value)]
    else:
        kind = "tensor" if isinstance(value, torch.Tensor) else "array"
        return {f"{prefix}:{kind}": np.asarray(value)}
    return {key: item for part in parts for key, item in part.items()}


def run_recipe(name: str, seed: int):
    """The result of one pipeline, and a draw from each generator after it."""
    transforms = Config(dict(transforms=RECIPES[name])).transforms
    seed_everything(seed)
    result = Compose(transforms)(make_scene(seed))
    return dict(result=result, after=[random.random(), np.random.rand(), torch.rand(1).item()])


def run_collate(seed: int):
    """A batch of labelled voxels."""
    seed_everything(seed)
    return collate_fn([Compose([INPUT])(make_scene(i, 500 + 100 * i)) for i in range(5)])


def run_datasets(folder: str) -> dict:
    """Items of the data sets that both hosts have, by scene name."""
    shared = dict(data_root=folder, transform=RECIPES["train_scannet"])
    configs = dict(
        train=dict(type="DefaultDataset", split="train", loop=2, **shared),
        area=dict(type="S3DISDataset", split=["train", "val"], **shared),
        listed=dict(type="DefaultDataset", split="list.json", **shared),
        scenes=dict(type="MSMScenesDataset", split="train", data_root=folder, transform=[INPUT]),
    )
    results = {}
    for key, config in configs.items():
        dataset = build_dataset(Config(dict(data=config)).data)
        seed_everything(len(key))
        items = {dataset.get_data_name(i): i for i in range(len(dataset))}
        results[key] = dict(length=len(dataset), items={name: dataset[items[name]] for name in sorted(items)})
    return results


def run_all(folder: str) -> dict:
    """Every result, flat."""
    results = {f"{name}{seed}": run_recipe(name, seed) for name in RECIPES for seed in range(4)}
    results.update(collate=run_collate(3), datasets=run_datasets(folder))
    return flatten(results, "")


def write_scenes(folder) -> None:
    """Four scenes in Pointcept's folder format, two splits and a list."""
    for i, split in enumerate(("train", "train", "train", "val")):
        scene = make_scene(i, 600)
        path = Path(folder, split, scene["name"])
        path.mkdir(parents=True)
        np.save(path / "coord.npy", scene["coord"])
        np.save(path / "color.npy", scene["color"].astype(np.uint8))
        np.save(path / "normal.npy", scene["normal"])
        np.save(path / "segment.npy", scene["segment"].astype(np.int16)[:, None])
    Path(folder, "list.json").write_text('["train/scene2", "val/scene3"]')


if __name__ == "__main__":
    np.savez(sys.argv[2], **run_all(sys.argv[1]))
