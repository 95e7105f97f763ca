"""Data sets of scenes in either host: MSMScenesDataset, any folder in any format that `scene_io` reads, and
MSMRoomsDataset, procedural rooms that are made on first use.

The scenes of a split are, whichever exists first: those in `<root>/<split>/`; those listed in `<root>/<split>.txt` (one
path a line) or `.json` (a list), relative to the root; or, when no split is laid out, those in `<root>` itself. Where
`val` is not laid out, it may be a share of the train scenes, drawn by their names (`hold_out`). Hidden files and
folders, such as a Mac's `._scan.ply`, are no scenes.
"""

import hashlib
import json
import os
from collections import Counter
from pathlib import Path

import numpy as np

from pointcept_msm.datasets.inputs import check_fill, prepare_scene
from pointcept_msm.files.scene_files import count_points, is_scene
from pointcept_msm.files.scene_io import load_scene, warn_of_doubts
from pointcept_msm.host import DATASETS, DefaultDataset, register
from pointcept_msm.rooms.store import room_path, save_rooms
from pointcept_msm.runtime.errors import UserError

NEXT_STEP = "put scenes at <root>/<split>/<scene>/coord.npy (or .npz, .ply, .pth), or list them in <root>/<split>.txt"


def list_scenes(root, split: str) -> list[Path]:
    """Sorted paths of the scenes of one split. UserError: there are none, or a list that is none."""
    root = Path(root).expanduser()
    if not root.is_dir():
        raise UserError(f"data_root {root.absolute()} does not exist or is no folder; {NEXT_STEP}")
    if (root / split).is_dir():
        return _scenes_in(root / split, needed=True)
    for listing in (root / split, root / f"{split}.txt", root / f"{split}.json"):
        if listing.suffix in (".txt", ".json") and listing.is_file():
            return _listed_scenes(root, listing)
    split_folders = [folder.name for folder in sorted(root.iterdir()) if folder.is_dir() and _scenes_in(folder)]
    if split_folders:
        raise UserError(
            f"{root.absolute()} has no split {split!r}, only {', '.join(split_folders)}; choose one of them"
        )
    return _scenes_in(root, needed=True)


def _scenes_in(folder: Path, needed: bool = False) -> list[Path]:
    scenes = sorted(path for path in folder.iterdir() if not path.name.startswith(".") and is_scene(path))
    if needed and not scenes:
        raise UserError(f"{folder.absolute()} holds no scene; {NEXT_STEP}")
    return scenes


def _listed_scenes(root: Path, listing: Path) -> list[Path]:
    try:
        text = listing.read_text(encoding="utf-8-sig")
        lines = json.loads(text) if listing.suffix == ".json" else [x.split("#")[0].strip() for x in text.splitlines()]
        scenes = sorted({root / line for line in lines if line})
    except (ValueError, TypeError) as error:  # not in UTF-8, no JSON, or JSON of something else
        raise UserError(f"{listing} is no list of paths ({error}); write a path a line, in UTF-8") from error
    missing = [scene for scene in scenes if not is_scene(scene)]
    if missing or not scenes:
        raise UserError(
            f"{listing} names {missing[0] if missing else 'nothing'} ({len(missing)} of {len(scenes)} like it), which "
            f"is no scene; list paths relative to {root.absolute()}, with the suffix where the scene is a file"
        )
    return scenes


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


@register(DATASETS, "MSMScenesDataset")
class MSMScenesDataset(DefaultDataset):
    """Scenes in any layout that `list_scenes` knows; `split` is a name or a list of names.

    A sample has the fields that the files have: missing colours and normals are not made up, missing labels are -1.
    Scenes with fewer than `min_points` points are left out. `cache` keeps loaded scenes in memory, in each worker.
    held_out: share of the train scenes that is `val` where no val is laid out. ignore_label: in the files' `segment`
    it means unknown, and becomes -1. num_classes: UserError for a scene with a label that is not below it. fill: what
    stands for colours or normals that the files lack, as for extraction (`check_fill`); "estimate" wants the cache.
    up, scale: which axis of the files points up, and metres a unit of theirs (None, 1: what their format says, else z
    and metres); what is doubted of the first scene is said as a warning.
    host: arguments of the host's own data set: transform, test_mode, test_cfg, loop, ignore_index.
    """

    def __init__(
        self,
        split="train",
        data_root="data/scenes",
        cache=False,
        min_points=1,
        held_out=None,
        ignore_label=-1,
        num_classes=None,
        fill=None,
        up=None,
        scale=1.0,
        **host,
    ):
        self.up, self.scale = up, scale
        self.min_points, self.held_out = min_points, held_out
        self.ignore_label, self.num_classes = ignore_label, num_classes
        self.memory, self.fill = {} if cache else None, check_fill(fill)
        super().__init__(split=split, data_root=str(Path(data_root).expanduser()), **host)

    inspected = True

    def get_data_list(self) -> list[str]:
        """Scene paths; `names` and `splits` run beside them."""
        splits = [self.split] if isinstance(self.split, str) else self.split
        pairs = [(path, split) for split in splits for path in self.find_scenes(split)]
        pairs = [pair for pair in pairs if self.min_points <= 1 or count_points(pair[0]) >= self.min_points]
        if not pairs:
            raise UserError(
                f"{self.data_root}: no scene of {self.split} has {self.min_points} points; lower min_points"
            )
        if self.inspected:
            first = str(pairs[0][0])
            warn_of_doubts(load_scene(first, up=self.up, scale=self.scale), first)
        self.names, self.splits = scene_names([path for path, _ in pairs]), [split for _, split in pairs]
        return [str(path) for path, _ in pairs]

    def find_scenes(self, split: str) -> list[Path]:
        """Paths of a split's scenes, those below `min_points` too."""
        laid_out = any(Path(self.data_root, f"val{kind}").exists() for kind in ("", ".txt", ".json"))
        if self.held_out is None or laid_out:
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
        scene = load_scene(self.data_list[position], up=self.up, scale=self.scale)
        scene, _ = prepare_scene(scene, tuple(self.fill), self.fill)
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


@register(DATASETS, "MSMRoomsDataset")
class MSMRoomsDataset(MSMScenesDataset):
    """The first `rooms` rooms of a split under `data_root`; missing ones are made when the data set is built.

    seed, points: of the rooms. In test mode `loop` is ignored and, with a `test_cfg`, an item is the host's list of
    fragments. UserError: a folder that holds anything but rooms, which are then not written into it.
    """

    def __init__(
        self, split="train", data_root="data/rooms", rooms=64, seed=0, points=120_000, cache=True, loop=1, **host
    ):
        if int(rooms) != rooms or rooms < 1:
            raise UserError(f"rooms of MSMRoomsDataset is {rooms!r}; it must be a whole number of at least 1.")
        self.rooms, self.seed, self.points = int(rooms), seed, points
        test_mode = host.pop("test_mode", False)
        host["test_mode"] = test_mode and host.get("test_cfg") is not None
        super().__init__(split, data_root, cache, loop=1 if test_mode else loop, **host)

    inspected = False

    def find_scenes(self, split: str) -> list[Path]:
        """Paths of the rooms, made first where they are missing."""
        save_rooms(self.data_root, split, self.rooms, self.seed, self.points, workers=min(os.cpu_count() or 1, 8))
        return [room_path(self.data_root, split, index) for index in range(self.rooms)]
