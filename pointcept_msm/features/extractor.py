"""From a scene to one feature vector a point: the single path used by probes, export, pictures and the README.

Steps (paper's released preprocessing): shift the scene to its x/y middle and lowest z, voxelise (one point a voxel,
here the one nearest the voxel's centre, so that nothing is random), normalise the inputs, run the network, bring all
levels back to the points. A scene with too many voxels runs in overlapping tiles. Legend: N points, V voxels, C
channels.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from pointcept_msm.datasets.inputs import build_feat, check_fill, count_channels, prepare_scene
from pointcept_msm.datasets.voxelise import voxelise
from pointcept_msm.features.tiles import build_tiles
from pointcept_msm.files.scene_io import check_scene
from pointcept_msm.files.weights import (
    DEFAULT_WEIGHTS,
    digest_file,
    digest_tensors,
    find_weights,
    load_checkpoint,
    save_pretrained,
)
from pointcept_msm.models.building import build_from_file
from pointcept_msm.models.feature_sampling import AXIS_SIZE, sample_levels
from pointcept_msm.models.layers.voxel_levels import Level
from pointcept_msm.runtime.errors import UserError

LOGGER = logging.getLogger("msm")


class PreparedScene(NamedTuple):
    """A scene as the network sees it: checked once, and complete. filled: how each array that was absent was made."""

    name: str
    arrays: dict[str, np.ndarray]
    filled: dict[str, str]


class FeatureExtractor:
    """Frozen features of whole scenes. network: {grid_coord, feat, offset} -> [Level]; config: what built it.

    meta holds `grid_size` (metres, the training's) and may hold `feat_keys` (of color, normal, coord; exported files
    call them `features`), `color_range`, what black and white were in training, if not -1 and 1, and `fill`, what
    stood for dropped inputs.
    fill: the same from the caller, which comes first: for inputs that a scene lacks, in its own units,
    {"color": 127.5, "normal": (0, 0, 1)}; "estimate" for normals.
    What is filled is logged, the first time as a warning; without a fill such a scene is refused.
    max_voxels: above it a scene runs in tiles; margin: their overlap in metres (default 8 coarsest voxels). autocast:
    a dtype for mixed precision, or None. The network's training mode is left as it was found. digest: SHA-256 of the
    file that the weights came from, if they came from one.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        config: Mapping | None = None,
        meta: Mapping | None = None,
        device: str | torch.device | None = None,
        *,
        max_voxels: int = 500_000,
        margin: float | None = None,
        autocast: torch.dtype | None = None,
        fill: Mapping | None = None,
        digest: str | None = None,
    ):
        self.config, self.meta = dict(config or {}), dict(meta or {})
        self.voxel_size = _check_voxel_size(self.meta.get("grid_size"))
        self.feat_keys = tuple(self.meta.get("feat_keys") or self.meta.get("features") or ("color", "normal"))
        self.color_range = tuple(map(float, self.meta.get("color_range") or (-1, 1)))
        self.in_channels = check_input_width(self.feat_keys, self.config.get("in_channels"))
        self.device = torch.device(device) if device is not None else _device_of(network)
        self.network = network.to(self.device)
        self.max_voxels, self.margin, self.autocast = max_voxels, margin, autocast
        self.digest, self._told = digest, set()
        self.fill = check_fill({**(self.meta.get("fill") or {}), **(fill or {})})

    def extract(
        self,
        scene: Mapping | PreparedScene | Sequence[Mapping],
        mode: str = "exact",
        chunk: int | None = None,
        rows: np.ndarray | Sequence[np.ndarray] | None = None,
    ) -> np.ndarray | list[np.ndarray]:
        """Features (N, C) float32, row i for point i; a list of scenes gives a list of arrays.

        mode: see `sample_levels`. chunk: voxels a forward pass, instead of `max_voxels`. rows: only these points'
        features; for a list of scenes a list of rows. UserError: a broken scene, or one without an input that the
        network takes.
        """
        if not isinstance(scene, (Mapping, PreparedScene)):
            rows = [None] * len(scene) if rows is None else rows
            if len(rows) != len(scene):
                raise UserError(f"{len(scene)} scenes and rows for {len(rows)}: give the rows of each, or None")
            return [self.extract(s, mode, chunk, r) for s, r in zip(scene, rows)]
        scene = scene if isinstance(scene, PreparedScene) else self.prepare(scene)
        coord = centre_coord(scene.arrays["coord"])
        voxels = voxelise(coord, self.voxel_size, random=False)
        self._check_extent(voxels.grid_coord)
        arrays = scene.arrays | dict(coord=coord)
        feat = build_feat({key: arrays[key][voxels.point] for key in self.feat_keys}, self.feat_keys)
        feat = scale_colors(feat, self.feat_keys, self.color_range)
        point_voxel = voxels.voxel if rows is None else voxels.voxel[rows]
        out = np.empty((len(point_voxel), self.channels), dtype=np.float32)
        margin = self._margin_voxels()
        for part, core in build_tiles(voxels.grid_coord, chunk or self.max_voxels, margin):
            self._extract_part(voxels.grid_coord, feat, part, core, mode, point_voxel, out)
        return out

    def prepare(self, scene: Mapping) -> PreparedScene:
        """The scene, checked, with `fill` in place of inputs that it lacks; what is filled is logged.

        UserError: a broken scene, or one that lacks an input for which nothing is stated.
        """
        name = str(scene.get("name", "the scene"))
        full, filled = prepare_scene({**check_scene(scene, name), "name": name}, self.feat_keys, self.fill)
        for key, how in filled.items():  # aloud the first time, then for who reads everything
            LOGGER.log(logging.INFO if key in self._told else logging.WARNING, "%s has no %s: %s", name, key, how)
            self._told.add(key)
        return PreparedScene(name, full, filled)

    @property
    def levels(self) -> list[tuple[str, float, slice]]:
        """(name, voxel edge in metres, its channels) of every level, fine to coarse."""
        table, start = [], 0
        for i, (stride, width) in enumerate(self._layout):
            table.append((f"level{i}", stride * self.voxel_size, slice(start, start + width)))
            start += width
        return table

    @property
    def channels(self) -> int:
        """Width of a feature vector."""
        return sum(width for _, width in self._layout)

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path = DEFAULT_WEIGHTS, device=None, **kwargs) -> "FeatureExtractor":
        """The same as `pointcept_msm.load`."""
        return load(name_or_path, device, **kwargs)

    def save_pretrained(self, folder: str | Path, half: bool = False) -> Path:
        """Write what `load(folder)` reads: the network with its config and meta; half: in half precision.

        Returns the file. `hf upload` puts such a folder on the Hugging Face hub.
        """
        own = {"grid_size": self.voxel_size, "feat_keys": list(self.feat_keys), "fill": self.fill}
        return save_pretrained(folder, self.network.state_dict(), self.config, {**self.meta, **own}, half)

    @cached_property
    def fingerprint(self) -> str:
        """Digest of weights, config and inputs: equal only for extractors that give equal features."""
        settings = (
            self.config,
            self.voxel_size,
            self.feat_keys,
            self.color_range,
            self.autocast,
            self.fill,
            self.max_voxels,
            self.margin,
        )
        return digest_tensors(self.network.state_dict(), settings)

    @cached_property
    def _layout(self):
        """(stride, width) of every level, from a pass over two voxels."""
        grid = np.array([[0, 0, 0], [1, 1, 1]])
        levels = self._forward(grid, np.zeros((2, self.in_channels), dtype=np.float32))
        return [(level.stride, level.feat.shape[1]) for level in levels]

    def _margin_voxels(self):
        coarsest = self._layout[-1][0]
        return 8 * coarsest if self.margin is None else int(np.ceil(self.margin / self.voxel_size))

    def _check_extent(self, grid):
        size = int(grid.max()) + 1
        if size > AXIS_SIZE:
            raise UserError(
                f"the scene spans {size} voxels of {self.voxel_size} m along an axis; allowed {AXIS_SIZE}: remove far "
                "points or cut the scene"
            )

    def _extract_part(self, grid, feat, part, core, mode, point_voxel, out):
        """Run voxels `part` and write the features of points whose voxel is in `core` (both row numbers of grid)."""
        coarsest = self._layout[-1][0]
        origin = grid[part].min(0) // coarsest * coarsest  # aligned, so that coarse cells are those of the whole scene
        levels = self._forward(grid[part] - origin, feat[part])
        levels = [Level(_shift(x.coord, origin // x.stride), x.feat, x.stride) for x in levels]
        position = np.full(len(grid), -1)
        position[core] = np.arange(len(core))
        query = torch.from_numpy(grid[core]).to(self.device)
        batch = torch.zeros(len(core), dtype=torch.long, device=self.device)
        extent = torch.from_numpy(grid.max(0, keepdims=True) + 1)
        with torch.no_grad():
            sampled = sample_levels(levels, query, batch, mode, extent).float().cpu().numpy()
        place = position[point_voxel]
        mine = np.flatnonzero(place >= 0)
        for start in range(0, len(mine), 1 << 16):  # by blocks: no second array of the output's size
            block = mine[start : start + (1 << 16)]
            out[block] = sampled[place[block]]

    def _forward(self, grid, feat):
        batch = dict(
            grid_coord=torch.from_numpy(np.ascontiguousarray(grid)).long(),
            feat=torch.from_numpy(np.ascontiguousarray(feat)),
            offset=torch.tensor([len(grid)]),
        )
        batch = {k: v.to(self.device) for k, v in batch.items()}
        mixed = torch.autocast(self.device.type, dtype=self.autocast) if self.autocast is not None else nullcontext()
        with evaluating(self.network), torch.no_grad(), mixed:
            return self.network(batch)


@contextmanager
def evaluating(network: torch.nn.Module) -> Iterator[None]:
    """Every module in eval mode inside the block, each back in its own mode after it."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def centre_coord(coord: np.ndarray) -> np.ndarray:
    """Coordinates (N, 3) float64 with x and y around their mid-range and z from 0, as the released CenterShift."""
    coord = np.asarray(coord, dtype=np.float64)
    low, high = coord.min(0), coord.max(0)
    middle = (low + high) / 2
    return coord - np.array([middle[0], middle[1], low[2]])


def scale_colors(feat: np.ndarray, keys: Sequence[str], limits: tuple[float, float]) -> np.ndarray:
    """Input columns (V, C) with colours from -1 to 1 brought to `limits`; the same array where nothing changes."""
    if tuple(limits) == (-1, 1) or "color" not in keys:
        return feat
    start = count_channels(keys[: keys.index("color")]) if keys.index("color") else 0
    scaled, (low, high) = feat.copy(), limits
    scaled[:, start : start + 3] = low + (feat[:, start : start + 3] + 1) / 2 * (high - low)
    return scaled


def check_input_width(keys: Sequence[str], in_channels: int | None) -> int:
    """Width of the inputs `keys`; UserError when a key is unknown or the width is not the network's in_channels."""
    width = count_channels(keys)
    if in_channels is not None and width != in_channels:
        raise UserError(
            f"feat_keys {list(keys)} give {width} channels, the network takes {in_channels}; "
            "give the feat_keys it was trained with"
        )
    return width


def load(
    name_or_path: str | Path = DEFAULT_WEIGHTS, device: str | torch.device | None = None, **kwargs
) -> FeatureExtractor:
    """Extractor of an exported network: shipped weights by name, a file or folder, or `hf:owner/repo`.

    kwargs: of FeatureExtractor. UserError: no such weights, or a file that is damaged or not ours.
    """
    path = find_weights(name_or_path)
    extractor = build_extractor(*load_checkpoint(path), device, source=str(path), digest=digest_file(path), **kwargs)
    LOGGER.info("features from %s; it takes %s", path, ", ".join(extractor.feat_keys))
    if extractor.fill:
        LOGGER.info("scenes without these are filled: %s", extractor.fill)
    return extractor


def build_extractor(
    state_dict, config: Mapping, meta: Mapping, device=None, *, source="the weights", **kwargs
) -> FeatureExtractor:
    """Build the network of `config` with all levels out, load `state_dict` strictly (None: leave it as initialised).

    source: what the errors call it. UserError: the network cannot be built, or the tensors are not its own.
    """
    config = dict(config)
    if "output" in config:
        config["output"] = "levels"
    network = build_from_file(config, state_dict, source)
    return FeatureExtractor(network, config, meta, device, **kwargs)


def _check_voxel_size(value) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise UserError(
            f"the weights' grid_size is {value!r}; it must be the voxel size that they were trained with, in metres: "
            "convert or export them again, with it"
        )
    return float(value)


def _device_of(network):
    parameter = next(network.parameters(), None)
    return parameter.device if parameter is not None else torch.device("cpu")


def _shift(coord, origin):
    """Level coordinates (V_l, 4) moved by `origin` (3,) cells of that level."""
    return coord + torch.from_numpy(np.append(0, origin)).to(coord)
