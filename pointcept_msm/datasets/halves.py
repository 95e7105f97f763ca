"""MSMSceneHalfDataset: one labelled scan cut by a plane, one side to fit probes on and the other to score them."""

from collections.abc import Sequence

import numpy as np

from pointcept_msm.files.scene_io import load_scene
from pointcept_msm.host import DATASETS, register

AXES = ("x", "y", "long")
SIDES = ("low", "high")


def cut_scene(
    coord: np.ndarray, axis: str = "long", share: float = 0.5, margin: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of `coord` (N, 3) below and above an upright plane across `axis`, with `share` of the points below it.

    axis: x, y, or the longer of them. margin: metres around the plane of which no point is on either side: neighbours
    across the plane would be the same surface seen twice. ValueError: unknown axis, numbers out of range, no point
    on a side.
    """
    if axis not in AXES or not 0 < share < 1 or margin < 0:
        raise ValueError(
            f"axis is {axis!r}, share {share}, margin {margin}; allowed: {', '.join(AXES)}, a share between 0 and 1, "
            "and 0 metres or more"
        )
    column = int(np.ptp(coord[:, :2], axis=0).argmax()) if axis == "long" else AXES.index(axis)
    value = coord[:, column].astype(np.float64)
    plane = np.quantile(value, share)
    low, high = np.flatnonzero(value < plane - margin / 2), np.flatnonzero(value >= plane + margin / 2)
    if not len(low) or not len(high):
        raise ValueError(
            f"a cut at {plane:.2f} m of {value.min():.2f} to {value.max():.2f} m with a margin of {margin} m leaves "
            f"{len(low)} and {len(high)} points; take a smaller margin, another share or the other axis"
        )
    return low, high


@register(DATASETS, "MSMSceneHalfDataset")
class MSMSceneHalfDataset:
    """One item: the points of the scan at `scene` on one side of the plane that `cut_scene` puts through it.

    scene: a folder of .npy or a file that `load_scene` reads. Each side is a scene of its own: a network that is given
    one has not seen the other. loop: ignored, there is one item.
    """

    def __init__(
        self,
        scene: str,
        side: str = "low",
        axis: str = "long",
        share: float = 0.5,
        margin: float = 0.5,
        transform: Sequence | None = None,
        loop: int = 1,
    ):
        if side not in SIDES:
            raise ValueError(f"side is {side!r}; allowed: {', '.join(SIDES)}")
        if transform:
            raise ValueError("MSMSceneHalfDataset gives raw scenes to probes; leave transform out")
        self.side, self.data_list = side, [str(scene)]
        self.scene = load_scene(scene, require=("coord", "segment"))
        self.rows = cut_scene(self.scene["coord"], axis, share, margin)[SIDES.index(side)]

    def __len__(self) -> int:
        return 1

    def get_data_name(self, index: int) -> str:
        """The scan's own name."""
        return self.scene["name"]

    def get_split_name(self, index: int) -> str:
        """The side."""
        return self.side

    def get_data(self, index: int = 0) -> dict:
        """The side's arrays, free to be changed in place."""
        count = len(self.scene["coord"])
        arrays = {k: v for k, v in self.scene.items() if isinstance(v, np.ndarray) and len(v) == count}
        return {k: v[self.rows] for k, v in arrays.items()} | dict(name=self.scene["name"], split=self.side)

    __getitem__ = get_data
