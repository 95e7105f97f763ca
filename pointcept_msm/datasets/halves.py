"""MSMSceneHalfDataset: one labelled scan cut by a plane, one side to fit probes on and the other to score them."""

import numpy as np

from pointcept_msm.files.scene_io import load_scene
from pointcept_msm.host import DATASETS, register
from pointcept_msm.runtime.errors import UserError

AXES = ("x", "y", "long")
SIDES = ("low", "high")


def cut_scene(
    coord: np.ndarray, axis: str = "long", share: float = 0.5, margin: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of `coord` (N, 3) below and above an upright plane across `axis`, with `share` of the points below it.

    axis: x, y, or the longer of them. margin: metres around the plane of which no point is on either side: neighbours
    across the plane would be the same surface seen twice. UserError: unknown axis, numbers out of range, no point on a
    side.
    """
    if axis not in AXES or not 0 < share < 1 or margin < 0:
        raise UserError(
            f"axis is {axis!r}, share {share}, margin {margin}; allowed: {', '.join(AXES)}, a share between 0 and 1, "
            "and 0 metres or more"
        )
    column = int(np.ptp(coord[:, :2], axis=0).argmax()) if axis == "long" else AXES.index(axis)
    value = coord[:, column].astype(np.float64)
    plane = np.quantile(value, share)
    low, high = np.flatnonzero(value < plane - margin / 2), np.flatnonzero(value >= plane + margin / 2)
    if not len(low) or not len(high):
        raise UserError(
            f"a cut at {plane:.2f} m of {value.min():.2f} to {value.max():.2f} m with a margin of {margin} m leaves "
            f"{len(low)} and {len(high)} points; take a smaller margin, another share or the other axis"
        )
    return low, high


@register(DATASETS, "MSMSceneHalfDataset")
class MSMSceneHalfDataset:
    """One item: the points of the scan at `scene` on one side of the plane that `cut_scene` puts through it.

    Each side is a scene of its own: a network that is given one has not seen the other. loop: ignored, there is one
    item. UserError: an unknown side, or a side without a labelled point.
    """

    def __init__(self, scene, side="low", axis="long", share=0.5, margin=0.5, transform=None, loop=1):
        if side not in SIDES or transform:
            raise UserError(f"side is {side!r}; allowed: {', '.join(SIDES)}, and no transform: probes take raw scenes")
        self.side, self.data_list = side, [str(scene)]
        scene = load_scene(scene, require=("coord", "segment"))
        self.name, rows = scene["name"], cut_scene(scene["coord"], axis, share, margin)[SIDES.index(side)]
        arrays = {k: v for k, v in scene.items() if isinstance(v, np.ndarray) and len(v) == len(scene["coord"])}
        self.arrays = {key: values[rows] for key, values in arrays.items()}
        if (self.arrays["segment"] < 0).all():
            raise UserError(f"{self.data_list[0]}: no point of the {side} side has a label; cut it along another axis")

    def __len__(self) -> int:
        return 1

    def get_data_name(self, index: int) -> str:
        """The scan's own name."""
        return self.name

    def get_split_name(self, index: int) -> str:
        """The side."""
        return self.side

    def get_data(self, index: int = 0) -> dict:
        """The side's arrays, free to be changed in place."""
        return {key: values.copy() for key, values in self.arrays.items()} | dict(name=self.name, split=self.side)

    __getitem__ = get_data
