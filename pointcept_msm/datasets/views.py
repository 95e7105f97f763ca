"""From a scene to voxelised views: the two of a pre-training step (MSMViews), one with labels (MSMInput).

Each view is augmented and voxelised on a grid of its own. A voxel keeps the index of the scene point that stands for
it, each view keeps the map from point to voxel, so where a voxel's point went in the other view is two look-ups:
exact, linear in time, blind to how far augmentation moved it.
"""

import numpy as np
import torch

from pointcept_msm.datasets.inputs import VOXEL_SIZE, build_feat, count_channels
from pointcept_msm.datasets.voxelise import nearest_voxels, voxelise
from pointcept_msm.host import TRANSFORMS, Compose, register
from pointcept_msm.runtime.errors import UserError


class ViewSettings:
    """What both share. grid_size: metres a voxel; max_voxels: sphere crop of a view, None = all of it.

    augment: host transforms applied to all points of a view; they may drop points but must not voxelise.
    color_augment: applied to the voxels' own points afterwards, which are far fewer; they may only change values.
    """

    def __init__(
        self, grid_size=VOXEL_SIZE, max_voxels=None, feat_keys=("color", "normal"), augment=(), color_augment=()
    ):
        if grid_size <= 0 or (max_voxels is not None and max_voxels < 2):
            raise UserError(
                f"grid_size {grid_size} m and max_voxels {max_voxels}: give a positive voxel and at least 2."
            )
        count_channels(feat_keys)
        self.grid_size, self.max_voxels, self.feat_keys = grid_size, max_voxels, tuple(feat_keys)
        self.augment, self.color_augment = Compose(list(augment)), Compose(list(color_augment))

    def select(self, scene, keys):
        """The arrays `keys` of a scene that has them, in a dictionary of its own that host transforms may change."""
        scene = {key: scene[key] for key in (*keys, "name") if key in scene}
        return dict(scene, index_valid_keys=[key for key in keys if key in scene])


@register(TRANSFORMS, "MSMViews")
class MSMViews(ViewSettings):
    """Reads coord, color, normal, name (as feat_keys need); gives what MSM-v1m1 takes, both views one after the other:
    grid_coord (V, 3), coord, feat, position, student, match, offset (2,) cumulative, grid_size (1,) metres, name.

    student_crop: (low, high) share of a view's voxels that the student sees; settings: of ViewSettings.
    """

    def __init__(self, max_voxels=240000, student_crop=(0.4, 0.8), **settings):
        low, high = student_crop
        if not 0 < low <= high <= 1:
            raise UserError(f"student_crop is {student_crop}; give (low, high) with 0 < low <= high <= 1.")
        super().__init__(max_voxels=max_voxels, **settings)
        self.student_crop = (low, high)

    def __call__(self, scene: dict) -> dict:
        """Scene of numpy arrays -> flat dict of tensors."""
        count = len(scene["coord"])
        scene = self.select(dict(scene, point=np.arange(count)), ("coord", "color", "normal", "point"))
        views, maps = zip(*(self.make_view(scene, count) for _ in range(2)))
        for view, other in zip(views, maps[::-1]):  # the voxel of the other view that holds the point; -1: none
            view["match"] = other[view.pop("point")]
        item = {key: torch.from_numpy(np.concatenate([view[key] for view in views])) for key in views[0]}
        offset = torch.tensor([len(view["grid_coord"]) for view in views]).cumsum(0)
        size = torch.tensor([self.grid_size], dtype=torch.float64)
        return dict(item, offset=offset, grid_size=size, name=scene.get("name", "scene"))

    def make_view(self, scene: dict, num_points: int) -> tuple[dict, np.ndarray]:
        """One augmented voxelisation. Returns (view, voxel of each scene point (N,), -1 = none).

        view: grid_coord (V, 3), position (V, 3) in voxels, student (V,) bool: the sphere crop that the student sees,
        coord (V, 3) augmented metres, point (V,), feat (V, C).
        """
        scene = {key: np.copy(value) if isinstance(value, np.ndarray) else value for key, value in scene.items()}
        scene = self.augment(scene)
        voxels = voxelise(scene["coord"], self.grid_size, random=True)
        kept = nearest_voxels(voxels.grid_coord, self.max_voxels)
        point, grid_coord = voxels.point[kept], voxels.grid_coord[kept]
        origin = np.array([axis.min() for axis in grid_coord.T])  # numpy is slow along axis 0 of (N, 3)
        grid_coord -= origin
        position = voxels.position[point] - origin.astype(np.float32)

        row = np.full(len(voxels.grid_coord), -1)
        row[kept] = np.arange(len(kept))
        voxel_of_point = np.full(num_points, -1)
        voxel_of_point[scene["point"]] = row[voxels.voxel]

        student = np.zeros(len(kept), bool)
        share = np.random.uniform(*self.student_crop)
        student[nearest_voxels(grid_coord, max(1, round(share * len(kept))))] = True
        chosen = self.color_augment({k: scene[k][point] for k in ("coord", "color", "normal", "point") if k in scene})
        view = dict(grid_coord=grid_coord, position=position, student=student, feat=build_feat(chosen, self.feat_keys))
        return dict(view, coord=chosen["coord"], point=chosen["point"]), voxel_of_point


@register(TRANSFORMS, "MSMInput")
class MSMInput(ViewSettings):
    """Reads coord, color, normal (as feat_keys need), segment, name; gives grid_coord (V, 3), coord, feat (V, C),
    segment (V,) of each voxel's point, offset (1,), name; with keep_inverse also inverse (N,) and origin_segment (N,).

    random: draw each voxel's point, else take the one nearest the centre; settings: of ViewSettings.
    """

    def __init__(self, random=True, keep_inverse=False, max_voxels=None, **settings):
        if keep_inverse and max_voxels is not None:
            raise UserError(
                f"keep_inverse with max_voxels={max_voxels}: points outside the crop would have no prediction; set "
                "max_voxels=None."
            )
        super().__init__(max_voxels=max_voxels, **settings)
        self.random, self.keep_inverse = random, keep_inverse

    def __call__(self, scene: dict) -> dict:
        """Scene of numpy arrays, which may be changed -> flat dict of tensors."""
        keys = ("coord", "color", "normal", "segment")
        scene = self.augment(self.select(scene, keys))
        voxels = voxelise(scene["coord"], self.grid_size, self.random)
        kept = nearest_voxels(voxels.grid_coord, self.max_voxels or len(voxels.grid_coord))
        point, grid_coord = voxels.point[kept], voxels.grid_coord[kept]
        chosen = self.color_augment({key: scene[key][point] for key in keys if key in scene})
        item = dict(grid_coord=grid_coord - grid_coord.min(0), coord=chosen["coord"].astype(np.float32))
        item["feat"] = build_feat(chosen, self.feat_keys)
        if "segment" in scene:
            item["segment"] = chosen["segment"].astype(np.int64)
        if self.keep_inverse:
            item |= dict(inverse=voxels.voxel, origin_segment=scene["segment"].astype(np.int64))
        item = {key: torch.from_numpy(value) for key, value in item.items()}
        return dict(item, offset=torch.tensor([len(point)]), name=scene.get("name", "scene"))
