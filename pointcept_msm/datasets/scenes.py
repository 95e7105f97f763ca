"""MSMScenesDataset: any folder of scenes, in any format that `scene_io` reads, in either host.

The scenes of a split are, whichever exists first: those in `<root>/<split>/`; those listed in `<root>/<split>.txt` (one
path a line) or `.json` (a list), relative to the root; or, when no split is laid out, those in `<root>` itself. Where
`val` is not laid out, it may be a share of the train scenes, drawn by their names (`hold_out`).
"""

import hashlib
import json
import logging
from collections import Counter
from pathlib import Path

import numpy as np

from pointcept_msm.files.scene_files import count_points, is_scene
from pointcept_msm.files.scene_io import load_scene
from pointcept_msm.host import DATASETS, DefaultDataset, register
from pointcept_msm.runtime.errors import UserError

LOGGER = logging.getLogger("msm")
NEXT_STEP = "put scenes at <root>/<split>/<scene>/coord.npy (or .npz, .ply, .pth), or list them in <root>/<split>.txt"


def list_scenes(root, split: str) -> list[Path]:
    """Sorted paths of the scenes of one split; raises FileNotFoundError, in one sentence, when there are none."""
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"data_root {root} does not exist or is no folder; {NEXT_STEP}")
    for listing in (root / split, root / f"{split}.txt", root / f"{split}.json"):
        if listing.suffix in (".txt", ".json") and listing.is_file():
            return _listed_scenes(root, listing)
        if listing.is_dir():
            return _found(listing, _scenes_in(listing))
    split_folders = [folder.name for folder in sorted(root.iterdir()) if folder.is_dir() and _scenes_in(folder)]
    if split_folders:
        raise FileNotFoundError(f"{root} has no split {split!r}, only {', '.join(split_folders)}; choose one of them")
    return _found(root, _scenes_in(root))


def has_split(root, split: str) -> bool:
    """Whether a folder or a list of that split is laid out."""
    return any((Path(root) / f"{split}{kind}").exists() for kind in ("", ".txt", ".json"))


def hold_out(scenes: list[Path], share: float, split: str) -> list[Path]:
    """Those of `scenes` that are in `split`: val has `share` of them, at least one, train the rest.

    Drawn by the hash of their names: the same on every machine. UserError: another split, a share outside 0 to 1,
    nothing left to train on.
    """
    count = max(round(share * len(scenes)), 1)
    if split not in ("train", "val") or not 0 < share < 1 or count >= len(scenes):
        raise UserError(
            f"cannot hold out {share} of {len(scenes)} scenes for split {split!r}: splits are train and val, the share "
            "is between 0 and 1, and each split needs a scene (one scan alone: probe-one-scan.py)"
        )
    drawn = sorted(scenes, key=lambda path: hashlib.sha256(path.name.encode()).digest())[:count]
    return [path for path in scenes if (path in drawn) == (split == "val")]


def _scenes_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if is_scene(path))


def _found(folder: Path, scenes: list[Path]) -> list[Path]:
    if not scenes:
        raise FileNotFoundError(f"{folder} holds no scene; {NEXT_STEP}")
    return scenes


def _read_list(listing: Path) -> list[str]:
    try:
        text = listing.read_text(encoding="utf-8")
        lines = json.loads(text) if listing.suffix == ".json" else text.splitlines()
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{listing} cannot be read ({error}); write a list of paths in UTF-8") from error
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise ValueError(f"{listing} holds something else than a list of paths; write ['scene_a', 'scene_b', ...]")
    return lines if listing.suffix == ".json" else [line.split("#")[0].strip() for line in lines]


def _listed_scenes(root: Path, listing: Path) -> list[Path]:
    lines = _read_list(listing)
    scenes = sorted({root / line for line in lines if line})
    missing = [scene for scene in scenes if not is_scene(scene)]
    if missing:
        raise FileNotFoundError(
            f"{listing} names {missing[0]} ({len(missing)} of {len(scenes)} like it), which is no scene; list paths "
            f"relative to {root}, with the suffix where the scene is a file"
        )
    return _found(listing, scenes)


@register(DATASETS, "MSMScenesDataset")
class MSMScenesDataset(DefaultDataset):
    """Scenes in any layout that `list_scenes` knows; `split` is a name or a list of names.

    A sample has the fields that the files have: missing colours and normals are not made up, missing labels are -1.
    Scenes with fewer than `min_points` points are left out. `cache` keeps loaded scenes in memory, in each worker.
    held_out: share of the train scenes that is `val` where no val is laid out. ignore_label: in the files' `segment`
    it means unknown, and becomes -1. num_classes: UserError for a scene with a label that is not below it.
    """

    def __init__(
        self,
        split="train",
        data_root="data/scenes",
        transform=None,
        test_mode=False,
        test_cfg=None,
        loop=1,
        ignore_index=-1,
        cache=False,
        min_points=1,
        held_out=None,
        ignore_label=-1,
        num_classes=None,
    ):
        self.min_points, self.held_out = min_points, held_out
        self.ignore_label, self.num_classes = ignore_label, num_classes
        self.memory = {} if cache else None
        super().__init__(
            split=split,
            data_root=data_root,
            transform=transform,
            test_mode=test_mode,
            test_cfg=test_cfg,
            loop=loop,
            ignore_index=ignore_index,
        )

    def get_data_list(self) -> list[str]:
        """Scene paths; `names` and `splits` run beside them."""
        pairs = [
            (path, split)
            for split in ([self.split] if isinstance(self.split, str) else self.split)
            for path in self._scenes_of(split)
            if self.min_points <= 1 or count_points(path) >= self.min_points
        ]
        if not pairs:
            raise FileNotFoundError(
                f"{self.data_root}: no scene of {self.split} has {self.min_points} points; lower min_points"
            )
        self.names, self.splits = scene_names([path for path, _ in pairs]), [split for _, split in pairs]
        return [str(path) for path, _ in pairs]

    def _scenes_of(self, split):
        if self.held_out is None or has_split(self.data_root, "val"):
            return list_scenes(self.data_root, split)
        return hold_out(list_scenes(self.data_root, "train"), self.held_out, split)

    def get_data_name(self, idx) -> str:
        return self.names[idx % len(self.data_list)]

    def get_split_name(self, idx) -> str:
        return self.splits[idx % len(self.data_list)]

    def get_data(self, idx) -> dict:
        """The scene's arrays, free to be changed in place."""
        position = idx % len(self.data_list)
        if self.memory is None:
            return self._load(position)
        if position not in self.memory:
            self.memory[position] = self._load(position)
        scene = self.memory[position]
        return {key: value.copy() if isinstance(value, np.ndarray) else value for key, value in scene.items()}

    def _load(self, position: int) -> dict:
        scene = load_scene(self.data_list[position])
        for key in ("segment", "instance"):
            scene.setdefault(key, np.full(len(scene["coord"]), -1, dtype=np.int32))
        scene["segment"] = np.where(scene["segment"] == self.ignore_label, -1, scene["segment"])
        if self.num_classes is not None and scene["segment"].max() >= self.num_classes:
            raise UserError(
                f"{self.data_list[position]}: segment has the label {scene['segment'].max()}, num_classes is "
                f"{self.num_classes}: labels are 0 to num_classes - 1 and -1 for unknown; raise num_classes, or name "
                "the label that means unknown with ignore_label"
            )
        scene.update(name=self.names[position], split=self.splits[position])
        return scene


def scene_names(paths: list[Path]) -> list[str]:
    """The stem of each path, preceded by its folder's name where stems repeat (`Area_1-office_1`)."""
    stems = [path.stem if path.is_file() else path.name for path in paths]
    repeats = Counter(stems)
    return [f"{path.parent.name}-{stem}" if repeats[stem] > 1 else stem for path, stem in zip(paths, stems)]
