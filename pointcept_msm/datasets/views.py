"""MSMViews: from one scene to the two views of a training step, with exact correspondence.

Each view is augmented and voxelised on a grid of its own (DESIGN section 3.1). A voxel keeps the index of the scene point
that stands for it, each view keeps the map from point to voxel, so where a voxel's point went in the other view is two
look-ups: exact, linear in time, blind to how far augmentation moved it.
"""

import numpy as np
import torch

from pointcept_msm.host import TRANSFORMS, Compose

from .features import build_feat, count_channels
from .voxelise import nearest_voxels, voxelise

POINT_KEYS = ("coord", "color", "normal", "point")


def make_view(scene: dict, augment, grid_size: float, max_voxels: int, student_crop, feat_keys, num_points: int):
    """One augmented voxelisation. Returns (view, voxel of each scene point (N,), -1 = none).

    view: grid_coord (V, 3), coord (V, 3) augmented metres, feat (V, C), position (V, 3) in voxels, point (V,), student
    (V,) bool: the sphere crop that the student sees.
    """
    scene = augment({key: np.copy(value) if isinstance(value, np.ndarray) else value for key, value in scene.items()})
    voxels = voxelise(scene["coord"], grid_size, random=True)
    kept = nearest_voxels(voxels.grid_coord, max_voxels)
    point = voxels.point[kept]
    grid_coord = voxels.grid_coord[kept] - voxels.grid_coord[kept].min(0)
    position = voxels.position[point] - voxels.grid_coord[kept].min(0).astype(np.float32)

    row = np.full(len(voxels.grid_coord), -1)
    row[kept] = np.arange(len(kept))
    voxel_of_point = np.full(num_points, -1)
    voxel_of_point[scene["point"]] = row[voxels.voxel]

    student = np.zeros(len(kept), bool)
    share = np.random.uniform(*student_crop)
    student[nearest_voxels(grid_coord, max(1, round(share * len(kept))))] = True
    chosen = {key: scene[key][point] for key in POINT_KEYS if key in scene}
    view = dict(grid_coord=grid_coord, coord=chosen["coord"], feat=build_feat(chosen, feat_keys), position=position)
    return dict(view, point=chosen["point"], student=student), voxel_of_point


def match_views(views, voxel_of_point):
    """Per view (V,): the voxel of the other view that holds the point standing for each voxel, -1 = none."""
    return [voxel_of_point[1 - i][view["point"]] for i, view in enumerate(views)]


@TRANSFORMS.register_module("MSMViews")
class MSMViews:
    """Reads coord, color, normal, name (as feat_keys need); gives what MSM-v1m1 takes, both views one after the other:
    grid_coord (V, 3), coord, feat, position, student, match, offset (2,) cumulative, name.

    augment: host transforms applied to each view on its own; they may drop points but must not voxelise.
    """

    def __init__(self, grid_size=0.02, max_voxels=240000, student_crop=(0.4, 0.8), feat_keys=("color", "normal"), augment=()):
        low, high = student_crop
        if not 0 < low <= high <= 1:
            raise ValueError(f"student_crop is {student_crop}; give (low, high) with 0 < low <= high <= 1.")
        if grid_size <= 0 or max_voxels < 2:
            raise ValueError(f"grid_size {grid_size} m and max_voxels {max_voxels}: give a positive voxel and at least 2.")
        count_channels(feat_keys)
        self.grid_size, self.max_voxels, self.student_crop = grid_size, max_voxels, (low, high)
        self.feat_keys, self.augment = tuple(feat_keys), Compose(list(augment))

    def __call__(self, scene: dict) -> dict:
        """Scene of numpy arrays -> flat dict of tensors."""
        count = len(scene["coord"])
        scene = {key: scene[key] for key in ("coord", "color", "normal", "name") if key in scene}
        scene.update(point=np.arange(count), index_valid_keys=[key for key in POINT_KEYS if key in scene or key == "point"])
        arguments = (self.augment, self.grid_size, self.max_voxels, self.student_crop, self.feat_keys, count)
        made = [make_view(scene, *arguments) for _ in range(2)]
        views, maps = [view for view, _ in made], [voxel for _, voxel in made]
        for view, match in zip(views, match_views(views, maps), strict=True):
            view["match"] = match
        keys = ("grid_coord", "coord", "feat", "position", "student", "match")
        item = {key: torch.from_numpy(np.concatenate([view[key] for view in views])) for key in keys}
        offset = torch.tensor([len(view["grid_coord"]) for view in views]).cumsum(0)
        return dict(item, offset=offset, name=scene.get("name", "scene"))
