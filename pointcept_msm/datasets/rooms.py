"""`MSMRoomsDataset`: procedural rooms as a dataset of the host, made on first use."""

import os

from pointcept_msm.datasets.scenes import MSMScenesDataset
from pointcept_msm.host import DATASETS, register
from pointcept_msm.rooms.store import room_path, save_rooms


@register(DATASETS, "MSMRoomsDataset")
class MSMRoomsDataset(MSMScenesDataset):
    """The first `rooms` rooms of a split under `data_root`; missing ones are made when the dataset is built.

    An item is `transform` of a scene dict (coord, color, normal, segment, instance, name, split). In test mode `loop`
    is ignored and, with a `test_cfg`, an item is the host's list of fragments. `cache` keeps loaded rooms in memory.
    """

    def __init__(
        self,
        split="train",
        data_root="data/rooms",
        rooms=64,
        seed=0,
        points=120_000,
        transform=None,
        test_mode=False,
        test_cfg=None,
        loop=1,
        ignore_index=-1,
        cache=True,
    ):
        if int(rooms) != rooms or rooms < 1:
            raise ValueError(f"rooms of MSMRoomsDataset is {rooms!r}; it must be a whole number of at least 1.")
        self.rooms, self.seed, self.points = int(rooms), seed, points
        super().__init__(
            split=split,
            data_root=data_root,
            transform=transform,
            test_mode=test_mode and test_cfg is not None,
            test_cfg=test_cfg,
            loop=1 if test_mode else loop,
            ignore_index=ignore_index,
            cache=cache,
        )

    def get_data_list(self) -> list[str]:
        """Paths of the rooms, made first where they are missing."""
        pairs = []
        for split in [self.split] if isinstance(self.split, str) else self.split:
            save_rooms(self.data_root, split, self.rooms, self.seed, self.points, workers=min(os.cpu_count() or 1, 8))
            pairs += [(room_path(self.data_root, split, index), split) for index in range(self.rooms)]
        self.names, self.splits = [path.name for path, _ in pairs], [split for _, split in pairs]
        return [str(path) for path, _ in pairs]
