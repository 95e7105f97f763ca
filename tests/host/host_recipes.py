"""Transform pipelines, collation and data sets run with fixed seeds in whichever host is chosen, saved for comparison.

Run as a script in the Pointcept host: `python host_recipes.py FOLDER OUT.npz`, FOLDER holding scenes.
"""

import random
import sys
from pathlib import Path

import numpy as np
import torch

from pointcept_msm.host import HOST, Compose, Config, build_dataset

GRID = dict(type="GridSample", grid_size=0.1, return_grid_coord=True)
POINTS = dict(keys_dict=dict(index_valid_keys=["coord", "color", "normal", "segment", "instance", "origin_coord"]))
COLLECT = dict(type="Collect", keys=("coord", "grid_coord", "segment", "name"), feat_keys=("color", "normal"))
TO_TENSOR = [dict(type="ToTensor"), COLLECT]

RECIPES = {
    "shifts": [
        dict(type="CenterShift"),
        dict(type="RandomShift"),
        dict(type="PositiveShift"),
        dict(type="CenterShift", apply_z=False),
        dict(type="PointClip", point_cloud_range=(-1, -1, 0, 1, 1, 2)),
    ],
    "rotations": [
        dict(type="RandomRotate", angle=[-1, 1], axis="z", p=0.5),
        dict(type="RandomRotate", angle=[-1 / 64, 1 / 64], axis="x", always_apply=True),
        dict(type="RandomRotate", angle=[-1 / 64, 1 / 64], axis="y", center=[0, 0, 0], p=0.9),
        dict(type="RandomRotateTargetAngle", axis="z", p=0.75),
    ],
    "geometry": [
        dict(type="RandomScale", scale=[0.9, 1.1]),
        dict(type="RandomScale", anisotropic=True),
        dict(type="RandomFlip", p=0.5),
        dict(type="RandomJitter", sigma=0.005, clip=0.02),
        dict(type="RandomDropNormal", drop_ratio=0.3),
    ],
    "elastic": [dict(type="ElasticDistortion")],
    "chromatic": [
        dict(type="ChromaticAutoContrast", p=0.8),
        dict(type="ChromaticTranslation"),
        dict(type="ChromaticJitter"),
        dict(type="HueSaturationTranslation"),
        dict(type="RandomDropColor", drop_ratio=0.3),
        dict(type="NormalizeColor"),
    ],
    "color_jitter": [
        dict(type="RandomColorJitter", brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1, p=0.8),
        dict(type="RandomColorJitter", brightness=(0.5, 0.9), p=0.9),
    ],
    "gray": [dict(type="RandomColorGrayScale", p=0.7)],
    "dropout": [dict(type="RandomDropout", dropout_ratio=0.4), dict(type="ShufflePoint")],
    "sphere": [dict(type="SphereCrop", point_max=700), dict(type="SphereCrop", sample_rate=0.5, mode="center")],
    "grid_train": [dict(GRID, return_inverse=True, return_min_coord=True, return_displacement=True)],
    "grid_ravel": [dict(GRID, hash_type="ravel", return_inverse=True)],
    # In train mode Pointcept multiplies by the normals of the chosen points only, and fails.
    "grid_projected": [dict(GRID, grid_size=0.5, mode="test", return_displacement=True, project_displacement=True)],
    "grid_test": [dict(GRID, grid_size=0.3, mode="test", return_inverse=True)],
    "sampled": [
        dict(type="Update", keys_dict=dict(sampled_index=np.array([3, 5, 8]))),
        dict(type="RandomDropout"),
        GRID,
    ],
    "valid_keys": [dict(type="Copy"), dict(type="Update", **POINTS), GRID, dict(type="SphereCrop", point_max=500)],
    "collect": [GRID, *TO_TENSOR],
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
        GRID,
        dict(type="SphereCrop", point_max=800, mode="random"),
        dict(type="CenterShift", apply_z=False),
        dict(type="NormalizeColor"),
        *TO_TENSOR,
    ],
}


def make_scene(seed: int, points: int = 2000) -> dict:
    """Points on the walls and floor of a room of 3 x 2 x 2.5 m, with every field."""
    rng = np.random.default_rng(seed)
    coord = rng.uniform((0, 0, 0), (3, 2, 2.5), (points, 3))
    coord[np.arange(points), rng.integers(0, 3, points)] = 0.0
    normal = rng.normal(size=(points, 3))
    return dict(
        coord=(coord + (1.5, -2.0, 0.25)).astype(np.float32),
        color=rng.integers(0, 256, (points, 3)).astype(np.float32),
        normal=(normal / np.linalg.norm(normal, axis=1, keepdims=True)).astype(np.float32),
        segment=rng.integers(-1, 5, points).astype(np.int32),
        instance=rng.integers(-1, 9, points).astype(np.int32),
        name=f"scene{seed}",
        split="train",
    )


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
    transforms = Config(dict(transforms=RECIPES[name])).transforms if name != "sampled" else RECIPES[name]
    seed_everything(seed)
    result = Compose(transforms)(make_scene(seed))
    return dict(result=result, after=[random.random(), np.random.rand(), torch.rand(1).item()])


def run_collate(seed: int, mix_prob: float):
    if HOST == "pointcept":
        from pointcept.datasets.utils import point_collate_fn
    else:
        from pointcept_msm.embedded.collate import point_collate_fn

    seed_everything(seed)
    # Pointcept's own shift of instance ids under Mix3D is one short, so instances are not part of the comparison.
    pipeline = Compose(RECIPES["collect"])
    samples = [pipeline(make_scene(i, 500 + 100 * i)) for i in range(5)]
    for sample in samples:
        sample["grid_size"] = torch.tensor([0.1])
    return point_collate_fn(samples, mix_prob=mix_prob)


def run_datasets(folder: str) -> dict:
    """Items of the data sets that both hosts have, by scene name."""
    test_cfg = dict(
        voxelize=dict(GRID, mode="test", return_inverse=True),
        crop=None,
        post_transform=[dict(type="CenterShift", apply_z=False), dict(type="ToTensor")],
        aug_transform=[[dict(type="RandomScale", scale=[0.9, 0.9])], [dict(type="RandomFlip", p=1)]],
    )
    copied = [dict(type="Copy"), dict(GRID, return_inverse=True)]
    configs = dict(
        train=dict(type="DefaultDataset", split="train", data_root=folder, transform=RECIPES["train_scannet"], loop=2),
        area=dict(type="S3DISDataset", split=["train", "val"], data_root=folder, transform=[GRID]),
        listed=dict(type="DefaultDataset", split="list.json", data_root=folder, transform=[GRID]),
        scenes=dict(type="MSMScenesDataset", split="train", data_root=folder, transform=RECIPES["train_scannet"]),
        test=dict(
            type="DefaultDataset", split="val", data_root=folder, test_mode=True, transform=copied, test_cfg=test_cfg
        ),
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
    results.update({f"collate{mix}": run_collate(3, mix) for mix in (0, 1)})
    results["datasets"] = run_datasets(folder)
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
