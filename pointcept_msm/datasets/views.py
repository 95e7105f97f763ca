"""MSMViews: from one scene to the two views of a training step, with exact correspondence.

Each view is augmented and voxelised on a grid of its own. A voxel keeps the index of the scene point that stands for
it, each view keeps the map from point to voxel, so where a voxel's point went in the other view is two
look-ups: exact, linear in time, blind to how far augmentation moved it.
"""

import numpy as np
import torch

from pointcept_msm.host import TRANSFORMS, Compose, register

from .drop_inputs import VOXEL_SIZE
from .features import build_feat, count_channels
from .voxelise import nearest_voxels, voxelise

POINT_KEYS = ("coord", "color", "normal", "point")


def make_view(scene: dict, settings: "MSMViews", num_points: int):
    """One augmented voxelisation. Returns (view, voxel of each scene point (N,), -1 = none).

    view: grid_coord (V, 3), coord (V, 3) augmented metres, feat (V, C), position (V, 3) in voxels, point (V,), student
    (V,) bool: the sphere crop that the student sees.
    """
    copy = {key: np.copy(value) if isinstance(value, np.ndarray) else value for key, value in scene.items()}
    scene = settings.augment(copy)
    voxels = voxelise(scene["coord"], settings.grid_size, random=True)
    kept = nearest_voxels(voxels.grid_coord, settings.max_voxels)
    point = voxels.point[kept]
    grid_coord = voxels.grid_coord[kept]
    origin = np.array([axis.min() for axis in grid_coord.T])  # numpy is slow along axis 0 of (N, 3)
    grid_coord -= origin
    position = voxels.position[point] - origin.astype(np.float32)

    row = np.full(len(voxels.grid_coord), -1)
    row[kept] = np.arange(len(kept))
    voxel_of_point = np.full(num_points, -1)
    voxel_of_point[scene["point"]] = row[voxels.voxel]

    student = np.zeros(len(kept), bool)
    share = np.random.uniform(*settings.student_crop)
    student[nearest_voxels(grid_coord, max(1, round(share * len(kept))))] = True
    chosen = settings.color_augment({key: scene[key][point] for key in POINT_KEYS if key in scene})
    view = dict(grid_coord=grid_coord, position=position, student=student, coord=chosen["coord"], point=chosen["point"])
    return dict(view, feat=build_feat(chosen, settings.feat_keys)), voxel_of_point


def match_views(views, voxel_of_point):
    """Per view (V,): the voxel of the other view that holds the point standing for each voxel, -1 = none."""
    return [voxel_of_point[1 - i][view["point"]] for i, view in enumerate(views)]


@register(TRANSFORMS, "MSMViews")
class MSMViews:
    """Reads coord, color, normal, name (as feat_keys need); gives what MSM-v1m1 takes, both views one after the other:
    grid_coord (V, 3), coord, feat, position, student, match, offset (2,) cumulative, grid_size (1,) metres, name.

    augment: host transforms applied to all points of each view; they may drop points but must not voxelise.
    color_augment: applied to the voxels' own points afterwards, which are far fewer; they may only change values.
    """

    def __init__(
        self,
        grid_size=VOXEL_SIZE,
        max_voxels=240000,
        student_crop=(0.4, 0.8),
        feat_keys=("color", "normal"),
        augment=(),
        color_augment=(),
    ):
        low, high = student_crop
        if not 0 < low <= high <= 1:
            raise ValueError(f"student_crop is {student_crop}; give (low, high) with 0 < low <= high <= 1.")
        if grid_size <= 0 or max_voxels < 2:
            raise ValueError(
                f"grid_size {grid_size} m and max_voxels {max_voxels}: give a positive voxel and at least 2."
            )
        count_channels(feat_keys)
        self.grid_size, self.max_voxels, self.student_crop = grid_size, max_voxels, (low, high)
        self.feat_keys = tuple(feat_keys)
        self.augment, self.color_augment = Compose(list(augment)), Compose(list(color_augment))

    def __call__(self, scene: dict) -> dict:
        """Scene of numpy arrays -> flat dict of tensors."""
        count = len(scene["coord"])
        scene = {key: scene[key] for key in ("coord", "color", "normal", "name") if key in scene}
        scene.update(
            point=np.arange(count), index_valid_keys=[key for key in POINT_KEYS if key in scene or key == "point"]
        )
        made = [make_view(scene, self, count) for _ in range(2)]
        views, maps = [view for view, _ in made], [voxel for _, voxel in made]
        for view, match in zip(views, match_views(views, maps), strict=True):
            view["match"] = match
        keys = ("grid_coord", "coord", "feat", "position", "student", "match")
        item = {key: torch.from_numpy(np.concatenate([view[key] for view in views])) for key in keys}
        offset = torch.tensor([len(view["grid_coord"]) for view in views]).cumsum(0)
        size = torch.tensor([self.grid_size], dtype=torch.float64)
        return dict(item, offset=offset, grid_size=size, name=scene.get("name", "scene"))
