"""The embedded host's datasets: Pointcept's names, folder format and sample dictionaries.

`<data_root>/<split>/<scene>/{coord,color,normal,segment,instance}.npy`. Scene lists are sorted, so that an index means
the same scene on every machine (Pointcept takes the order of the file system).
"""

import json
import logging
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from pointcept_msm.embedded.registry import DATASETS, Compose, build_dataset
from pointcept_msm.files.scene_files import load_array
from pointcept_msm.files.scene_io import check_scene
from pointcept_msm.runtime.errors import UserError

LOGGER = logging.getLogger("msm")
SOURCES = {  # of data sets by the start of their name
    "ScanNet": "ScanNet is free for research: request it at http://www.scan-net.org, preprocess it with Pointcept's "
    "pointcept/datasets/preprocessing/scannet/preprocess_scannet.py (or take the preprocessed archive that Pointcept's "
    "README links), and link the result at data/scannet",
    "S3DIS": "request S3DIS from the Stanford building parser, preprocess it with Pointcept's "
    "pointcept/datasets/preprocessing/s3dis/preprocess_s3dis.py (or take the preprocessed archive that Pointcept's "
    "README links), and link the result at data/s3dis",
    "": "point data_root at a folder of <split>/<scene>/coord.npy, color.npy, ...",
}


def no_scenes(name: str, path: Path) -> UserError:
    """What to say when the data set of that name has no scene at `path`, with the way to get it."""
    found = "holds no scene" if path.is_dir() else "does not exist"
    return UserError(f"{name}: {path} {found}; {next(way for key, way in SOURCES.items() if name.startswith(key))}")


@DATASETS.register_module()
class DefaultDataset(Dataset):
    """Scenes of one or several splits; a split is a folder below `data_root` or a JSON list of scene paths in it."""

    VALID_ASSETS = ("coord", "color", "normal", "strength", "segment", "instance", "pose")

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
        if cache or test_cfg is not None:
            raise UserError("cache=True and test_cfg need Pointcept; the embedded host has neither: leave them out.")
        self.data_root, self.split, self.ignore_index = data_root, split, ignore_index
        self.transform, self.loop = Compose(transform), 1 if test_mode else loop
        self.data_list = self.get_data_list()
        LOGGER.info("%d x %d scenes in %s, split %s", len(self.data_list), self.loop, data_root, split)

    def get_data_list(self) -> list[str]:
        """Sorted scene paths of all splits; UserError when a split is missing or empty."""
        splits = [self.split] if isinstance(self.split, str) else self.split
        return [scene for split in splits for scene in self._list_split(split)]

    def _list_split(self, split: str) -> list[str]:
        path = Path(self.data_root, split)
        if path.is_file():
            return sorted(str(Path(self.data_root, scene)) for scene in json.loads(path.read_text()))
        scenes = sorted(str(scene) for scene in path.glob("*") if scene.is_dir())
        if not scenes:
            raise no_scenes(type(self).__name__, path)
        return scenes

    def get_data(self, idx) -> dict:
        """The scene's arrays; segment and instance are -1 everywhere when the scene has none."""
        path = Path(self.data_list[idx % len(self.data_list)])
        files = sorted(file for file in path.glob("*.npy") if file.stem in self.VALID_ASSETS)
        names = {"segment20": "segment", "segment200": "segment"}
        data_dict = {names.get(file.stem, file.stem): load_array(file) for file in files}
        data_dict.update(check_scene(data_dict, str(path)))
        for key in ("segment", "instance"):
            data_dict.setdefault(key, np.full(len(data_dict["coord"]), -1, dtype=np.int32))
        return dict(data_dict, name=self.get_data_name(idx), split=self.get_split_name(idx))

    def get_data_name(self, idx) -> str:
        return Path(self.data_list[idx % len(self.data_list)]).name

    def get_split_name(self, idx) -> str:
        return Path(self.data_list[idx % len(self.data_list)]).parent.name

    def __getitem__(self, idx):
        return self.transform(self.get_data(idx))

    def __len__(self):
        return len(self.data_list) * self.loop


@DATASETS.register_module()
class ScanNetDataset(DefaultDataset):
    """ScanNet with 20 classes."""

    VALID_ASSETS = ("coord", "color", "normal", "segment20", "instance")


@DATASETS.register_module()
class ScanNet200Dataset(ScanNetDataset):
    """ScanNet with 200 classes."""

    VALID_ASSETS = ("coord", "color", "normal", "segment200", "instance")


@DATASETS.register_module()
class S3DISDataset(DefaultDataset):
    """S3DIS; splits are Area_1 to Area_6, names are `Area_x-room`."""

    def get_data_name(self, idx):
        path = Path(self.data_list[idx % len(self.data_list)])
        return f"{path.parent.name}-{path.name}"


@DATASETS.register_module()
class ConcatDataset(Dataset):
    """Several datasets after one another."""

    def __init__(self, datasets, loop=1):
        super().__init__()
        self.datasets, self.loop = [build_dataset(dataset) for dataset in datasets], loop
        self.data_list = [(i, j) for i, dataset in enumerate(self.datasets) for j in range(len(dataset))]
        LOGGER.info("%d x %d scenes in %d datasets", len(self.data_list), loop, len(self.datasets))

    def get_data(self, idx):
        i, j = self.data_list[idx % len(self.data_list)]
        return self.datasets[i].get_data(j)

    def get_data_name(self, idx):
        i, j = self.data_list[idx % len(self.data_list)]
        return self.datasets[i].get_data_name(j)

    def __getitem__(self, idx):
        i, j = self.data_list[idx % len(self.data_list)]
        return self.datasets[i][j]

    def __len__(self):
        return len(self.data_list) * self.loop
