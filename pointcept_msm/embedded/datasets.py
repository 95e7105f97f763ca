"""The embedded host's datasets: Pointcept's names, folder format and sample dictionaries.

`<data_root>/<split>/<scene>/{coord,color,normal,segment,instance}.npy`. Scene lists are sorted, so that an index means
the same scene on every machine (Pointcept takes the order of the file system).
"""

import json
import logging
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from pointcept_msm.embedded.registry import DATASETS, TRANSFORMS
from pointcept_msm.embedded.transforms import Compose

LOGGER = logging.getLogger("msm")


def build_dataset(cfg):
    """Build a dataset from its config."""
    return DATASETS.build(cfg)


@DATASETS.register_module()
class DefaultDataset(Dataset):
    """Scenes of one or several splits; a split is a folder below `data_root` or a JSON list of scene paths in it.

    In test mode an item is a dict with `segment`, `name` and `fragment_list`, made as `test_cfg` says.
    """

    VALID_ASSETS = ("coord", "color", "normal", "strength", "segment", "instance", "pose")
    SOURCE = "point data_root at a folder of <split>/<scene>/coord.npy, color.npy, ..."

    def __init__(
        self,
        split="train",
        data_root="data/dataset",
        transform=None,
        test_mode=False,
        test_cfg=None,
        cache=False,
        ignore_index=-1,
        loop=1,
    ):
        super().__init__()
        if cache:
            raise ValueError("cache=True needs Pointcept's shared memory, which this host lacks; set cache=False")
        self.data_root = data_root
        self.split = split
        self.transform = Compose(transform)
        self.ignore_index = ignore_index
        self.loop = 1 if test_mode else loop
        self.test_mode = test_mode
        self.test_cfg = test_cfg if test_mode else None
        if test_mode:
            self._build_test_transforms(test_cfg)
        self.data_list = self.get_data_list()
        LOGGER.info("%d x %d scenes in %s, split %s", len(self.data_list), self.loop, data_root, split)

    def _build_test_transforms(self, test_cfg):
        if test_cfg.get("crop"):
            raise ValueError(
                "test_cfg.crop leaves points without a prediction (SphereCrop keeps one part); set crop=None"
            )
        voxelize = test_cfg.get("voxelize")
        self.test_voxelize = TRANSFORMS.build(voxelize) if voxelize else None
        self.post_transform = Compose(test_cfg.get("post_transform"))
        self.aug_transform = [Compose(transforms) for transforms in test_cfg.get("aug_transform", [[]])]

    def get_data_list(self) -> list[str]:
        """Sorted scene paths of all splits; raises FileNotFoundError when a split is missing or empty."""
        splits = [self.split] if isinstance(self.split, str) else self.split
        if not isinstance(splits, Sequence):
            raise TypeError(f"split is {self.split!r}, allowed are a name or a list of names")
        return [scene for split in splits for scene in self._list_split(split)]

    def _list_split(self, split: str) -> list[str]:
        path = Path(self.data_root, split)
        if path.is_file():
            return sorted(str(Path(self.data_root, scene)) for scene in json.loads(path.read_text()))
        scenes = sorted(str(scene) for scene in path.glob("*") if scene.is_dir())
        if not scenes:
            found = "is empty" if path.is_dir() else "does not exist"
            raise FileNotFoundError(f"{type(self).__name__}: {path} {found}; {self.SOURCE}")
        return scenes

    def get_data(self, idx) -> dict:
        """The scene's arrays; segment and instance are -1 everywhere when the scene has none."""
        # Imported here because pointcept_msm.datasets registers its classes in the host, which this module is part of.
        from pointcept_msm.files.scene_files import load_array
        from pointcept_msm.files.scene_io import check_scene

        path = Path(self.data_list[idx % len(self.data_list)])
        files = sorted(file for file in path.glob("*.npy") if file.stem in self.VALID_ASSETS)
        data_dict = self.rename_assets({file.stem: load_array(file) for file in files})
        data_dict.update(check_scene(data_dict, str(path)))
        for key in ("segment", "instance"):
            data_dict.setdefault(key, np.full(len(data_dict["coord"]), -1, dtype=np.int32))
        data_dict.update(name=self.get_data_name(idx), split=self.get_split_name(idx))
        return data_dict

    def rename_assets(self, data_dict: dict) -> dict:
        """From the names of the files to the keys of a sample."""
        return data_dict

    def get_data_name(self, idx) -> str:
        return Path(self.data_list[idx % len(self.data_list)]).name

    def get_split_name(self, idx) -> str:
        return Path(self.data_list[idx % len(self.data_list)]).parent.name

    def prepare_train_data(self, idx) -> dict:
        return self.transform(self.get_data(idx))

    def prepare_test_data(self, idx) -> dict:
        """A scene as one list of fragments over all test-time augmentations; together they cover every point."""
        data_dict = self.transform(self.get_data(idx))
        result = {key: data_dict.pop(key) for key in ("segment", "name")}
        if "origin_segment" in data_dict:
            result.update({key: data_dict.pop(key) for key in ("origin_segment", "inverse")})
        fragments = []
        for augment in self.aug_transform:
            fragments += self._voxelize(augment(deepcopy(data_dict)))
        result["fragment_list"] = [self.post_transform(fragment) for fragment in fragments]
        return result

    def _voxelize(self, data_dict) -> list[dict]:
        if self.test_voxelize is not None:
            return self.test_voxelize(data_dict)
        data_dict["index"] = np.arange(len(data_dict["coord"]))
        return [data_dict]

    def __getitem__(self, idx):
        return self.prepare_test_data(idx) if self.test_mode else self.prepare_train_data(idx)

    def __len__(self):
        return len(self.data_list) * self.loop


@DATASETS.register_module()
class ScanNetDataset(DefaultDataset):
    """ScanNet with 20 classes, optionally with fewer scenes (`lr_file`) or fewer labelled points (`la_file`).

    `lr_file` is a text list of scenes of the train split; `la_file` a torch file of point indices by scene name: all
    other labels become `ignore_index`, and the indices stay in `sampled_index`.
    """

    VALID_ASSETS = ("coord", "color", "normal", "segment20", "instance")
    SOURCE = (
        "ScanNet is free for research: request it at http://www.scan-net.org, preprocess it with Pointcept's "
        "pointcept/datasets/preprocessing/scannet/preprocess_scannet.py (or take the preprocessed archive that "
        "Pointcept's README links), and link the result at data/scannet"
    )

    def __init__(self, lr_file=None, la_file=None, **kwargs):
        self.lr = np.loadtxt(lr_file, dtype=str, ndmin=1) if lr_file is not None else None
        self.la = torch.load(la_file, weights_only=True) if la_file is not None else None
        super().__init__(**kwargs)

    def get_data_list(self):
        if self.lr is None:
            return super().get_data_list()
        return sorted(str(Path(self.data_root, "train", name)) for name in self.lr)

    def rename_assets(self, data_dict):
        for alias in ("segment20", "segment200"):
            if alias in data_dict:
                data_dict["segment"] = data_dict.pop(alias)
        return data_dict

    def get_data(self, idx):
        data_dict = super().get_data(idx)
        if self.la is not None:
            index = np.asarray(self.la[data_dict["name"]])
            unlabelled = np.ones(len(data_dict["segment"]), dtype=bool)
            unlabelled[index] = False
            data_dict["segment"][unlabelled] = self.ignore_index
            data_dict["sampled_index"] = index
        return data_dict


@DATASETS.register_module()
class ScanNet200Dataset(ScanNetDataset):
    """ScanNet with 200 classes."""

    VALID_ASSETS = ("coord", "color", "normal", "segment200", "instance")


@DATASETS.register_module()
class S3DISDataset(DefaultDataset):
    """S3DIS; splits are Area_1 to Area_6, names are `Area_x-room`."""

    SOURCE = (
        "request S3DIS from the Stanford building parser, preprocess it with Pointcept's "
        "pointcept/datasets/preprocessing/s3dis/preprocess_s3dis.py (or take the preprocessed archive that Pointcept's "
        "README links), and link the result at data/s3dis"
    )

    def get_data_name(self, idx):
        path = Path(self.data_list[idx % len(self.data_list)])
        return f"{path.parent.name}-{path.name}"


@DATASETS.register_module()
class ConcatDataset(Dataset):
    """Several datasets after one another."""

    def __init__(self, datasets, loop=1):
        super().__init__()
        self.datasets = [build_dataset(dataset) for dataset in datasets]
        self.loop = loop
        self.data_list = self.get_data_list()
        LOGGER.info("%d x %d scenes in %d datasets", len(self.data_list), loop, len(self.datasets))

    def get_data_list(self) -> list[tuple[int, int]]:
        """Pairs (dataset, index in it)."""
        return [(i, j) for i, dataset in enumerate(self.datasets) for j in range(len(dataset))]

    def get_data(self, idx):
        i, j = self.data_list[idx % len(self.data_list)]
        return self.datasets[i][j]

    def get_data_name(self, idx):
        i, j = self.data_list[idx % len(self.data_list)]
        return self.datasets[i].get_data_name(j)

    def __getitem__(self, idx):
        return self.get_data(idx)

    def __len__(self):
        return len(self.data_list) * self.loop
