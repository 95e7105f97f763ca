"""MSMVoteNetDataset: ScanNet as VoteNet, 3DETR and ScanRefer prepare it, turned to the walls, with its boxes.

A flat folder of `<scan>_vert.npy` (x, y, z in metres, colour 0-255, ScanRefer's also a normal), `<scan>_sem_label.npy`
(NYU40 numbers), `<scan>_ins_label.npy` (1 + ScanNet's objectId, 0 none) and `<scan>_bbox.npy` (centre, size, NYU40
number); ScanRefer's `<scan>_aligned_vert.npy` and `_aligned_bbox.npy` come first where they exist.
"""

from pathlib import Path

import numpy as np

from pointcept_msm.datasets.normals import estimate_normals
from pointcept_msm.files.scene_files import load_array
from pointcept_msm.host import DATASETS, DefaultDataset, register
from pointcept_msm.runtime.errors import UserError

NYU40 = np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 24, 28, 33, 34, 36, 39])  # ScanNet's 20 classes
SOURCE = (
    "request ScanNet at http://www.scan-net.org, run scannet/batch_load_scannet_data.py of "
    "https://github.com/facebookresearch/votenet (or data/scannet of ScanRefer) and link its output, with "
    "meta_data/scannetv2_train.txt and scannetv2_val.txt beside it, to data/scannet_votenet"
)


@register(DATASETS, "MSMVoteNetDataset")
class MSMVoteNetDataset(DefaultDataset):
    """The scans of a split that are in the folder. A sample has coord, color, segment and instance, normal (estimated
    where the file has none), and boxes (K, 7): centre, size, class; classes are ScanNet's 20, -1 any other."""

    def get_data_list(self) -> list[str]:
        """Sorted paths up to the underscore. UserError: no list of the split, none of its scans."""
        root, name = Path(self.data_root), f"scannetv2_{self.split}.txt"
        listing = [p for f in (root, root / "meta_data", root.parent / "meta_data") if (p := f / name).is_file()]
        scans = sorted(listing[0].read_text().split()) if listing else []
        found = [str(root / scan) for scan in scans if (root / f"{scan}_ins_label.npy").is_file()]
        if not found:
            missing = f"none of the {len(scans)} scans of {listing[0]}" if listing else f"no {name}"
            raise UserError(f"{root} has {missing}: {SOURCE}")
        return found

    def get_data(self, idx) -> dict:
        scan = self.data_list[idx % len(self.data_list)]
        aligned = "_aligned" if Path(f"{scan}_aligned_vert.npy").is_file() else ""
        vertices, boxes = (load_array(Path(f"{scan}{aligned}_{n}.npy")).astype(np.float32) for n in ("vert", "bbox"))
        scene = dict(zip(("coord", "color", "normal"), np.split(vertices, range(3, vertices.shape[1], 3), axis=1)))
        if "normal" not in scene:
            scene["normal"] = estimate_normals(scene["coord"])
        scene["segment"] = to_scannet20(load_array(Path(f"{scan}_sem_label.npy")))
        scene["instance"] = load_array(Path(f"{scan}_ins_label.npy")).astype(np.int32) - 1
        scene["boxes"] = np.concatenate([boxes[:, :6], to_scannet20(boxes[:, 6:7])], axis=1)
        return scene | dict(name=self.get_data_name(idx), split=self.split)


def to_scannet20(number: np.ndarray) -> np.ndarray:
    """ScanNet's class 0 to 19 of NYU40 numbers, -1 for all others; the same shape, int32."""
    place = np.searchsorted(NYU40, number).clip(max=len(NYU40) - 1)
    return np.where(NYU40[place] == number, place, -1).astype(np.int32)
