"""MSMInput: from a labelled scene to one voxelised view, for training with labels and validation in the host."""

import numpy as np
import torch

from pointcept_msm.host import TRANSFORMS, Compose, register

from .drop_inputs import VOXEL_SIZE
from .features import build_feat, count_channels
from .voxelise import nearest_voxels, voxelise

POINT_KEYS = ("coord", "color", "normal", "segment")


@register(TRANSFORMS, "MSMInput")
class MSMInput:
    """Reads coord, color, normal (as feat_keys need), segment, name; gives grid_coord (V, 3), coord, feat (V, C),
    segment (V,) of each voxel's point, offset (1,), name; with keep_inverse also inverse (N,) and origin_segment (N,).

    augment: host transforms applied to all points, must not voxelise; color_augment: applied to the voxels' points.
    random: draw each voxel's point, else take the one nearest the centre; max_voxels: sphere crop, None = whole scene.
    """

    def __init__(
        self,
        grid_size=VOXEL_SIZE,
        feat_keys=("color", "normal"),
        augment=(),
        color_augment=(),
        max_voxels=None,
        random=True,
        keep_inverse=False,
    ):
        if grid_size <= 0 or (max_voxels is not None and max_voxels < 1):
            raise ValueError(
                f"grid_size {grid_size} m and max_voxels {max_voxels}: give a positive voxel, and at least 1 or None."
            )
        if keep_inverse and max_voxels is not None:
            raise ValueError(
                f"keep_inverse with max_voxels={max_voxels}: points outside the crop would have no prediction; set "
                "max_voxels=None."
            )
        count_channels(feat_keys)
        self.grid_size, self.feat_keys = grid_size, tuple(feat_keys)
        self.augment, self.color_augment = Compose(list(augment)), Compose(list(color_augment))
        self.max_voxels, self.random, self.keep_inverse = max_voxels, random, keep_inverse

    def __call__(self, scene: dict) -> dict:
        """Scene of numpy arrays, which may be changed -> flat dict of tensors."""
        scene = {key: scene[key] for key in (*POINT_KEYS, "name") if key in scene}
        scene = self.augment(dict(scene, index_valid_keys=[key for key in POINT_KEYS if key in scene]))
        voxels = voxelise(scene["coord"], self.grid_size, self.random)
        kept = nearest_voxels(voxels.grid_coord, self.max_voxels or len(voxels.grid_coord))
        point = voxels.point[kept]
        chosen = self.color_augment({key: scene[key][point] for key in POINT_KEYS if key in scene})
        grid_coord = voxels.grid_coord[kept]
        item = dict(grid_coord=grid_coord - grid_coord.min(0), coord=chosen["coord"].astype(np.float32))
        item["feat"] = build_feat(chosen, self.feat_keys)
        if "segment" in scene:
            item["segment"] = chosen["segment"].astype(np.int64)
        if self.keep_inverse:
            item["inverse"] = voxels.voxel
            item["origin_segment"] = scene["segment"].astype(np.int64)
        item = {key: torch.from_numpy(value) for key, value in item.items()}
        return dict(item, offset=torch.tensor([len(point)]), name=scene.get("name", "scene"))
