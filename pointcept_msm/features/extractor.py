"""From a scene to one feature vector a point: the single path used by probes, export, pictures and the README.

Steps (paper's released preprocessing): shift the scene to its x/y middle and lowest z, voxelise (one point a voxel,
here the one nearest the voxel's centre, so that nothing is random), normalise the inputs, run the network, bring all
levels back to the points; all of it on the network's device. Several small scenes share a pass, a scene with too many
voxels runs in overlapping tiles. Legend: N points, V voxels, C channels.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from pointcept_msm.datasets.inputs import FEATURES, check_fill, count_channels, prepare_scene
from pointcept_msm.features.voxels import SceneVoxels, build_tiles, centre_coord, voxelise
from pointcept_msm.files.inspection import find_strays, inspect_scene
from pointcept_msm.files.scene_io import check_scene, read_scene
from pointcept_msm.files.weights import (
    DEFAULT_WEIGHTS,
    digest_file,
    find_weights,
    load_checkpoint,
    save_pretrained,
)
from pointcept_msm.models.building import build_from_file
from pointcept_msm.models.feature_sampling import Level, sample_levels
from pointcept_msm.runtime.errors import UserError

LOGGER = logging.getLogger("msm")
DTYPES = ("float32", "float16", "bfloat16")
FLOORS = ("robust", "released")
QUIET = ("color", "origin", "segment", "instance")  # notes that change nothing of what a scene means
MARGIN = 8  # coarsest voxels by which tiles overlap
SHARED_ON_CPU = 1 << 16  # voxels of small scenes that share a pass on a CPU
ROWS_A_COPY = 1 << 14  # from a GPU to an array, through two buffers of that many rows


class PreparedScene(NamedTuple):
    """A scene as the network sees it: read and checked once, and complete.

    filled: how each array that was absent was made. notes: all that was changed or is doubted, as {what: sentence}.
    coord: the points (N, 3) as they were given, in their own type, place and unit; up: which of their axes points up.
    """

    name: str
    arrays: dict[str, np.ndarray]
    filled: dict[str, str]
    notes: dict[str, str]
    coord: np.ndarray
    up: str


class FeatureLevel(NamedTuple):
    """A level of the features: its name, the edge of its voxels in metres, and its channels."""

    name: str
    voxel_size: float
    channels: slice


class FeatureExtractor:
    """Frozen features of whole scenes. network: {grid_coord, feat, offset} -> [Level]; config: what built it.

    meta holds `grid_size` (metres, the training's) and may hold `feat_keys` (of color, normal, coord; exported files
    call them `features`), `color_range`, what black and white were in training, if not -1 and 1, and `fill`, what
    stood for dropped inputs.
    fill: the same from the caller, which comes first: for inputs that a scene lacks, in its own units,
    {"color": 127.5, "normal": (0, 0, 1)}; "estimate" for normals.
    What is filled is logged, the first time as a warning; without a fill such a scene is refused.
    max_voxels: of a pass; above it a scene runs in tiles.
    dtype: float32, or of mixed precision in the network (features are float32 all the same): measured with the
    released layout and with the shipped weights, it moves a level's features by 0.02 % to 0.2 % of their norm in
    float16 and by 0.2 % to 1.4 % in bfloat16, coarse levels more than fine ones.
    up, scale: which axis of the scenes points up, and metres a unit of theirs (None, 1: what their format says, else z
    and metres). voxel_size: instead of the training's, for scenes of another size. floor: "robust" leaves a few stray
    points out when the scene is put on its floor and its middle; "released" goes by the lowest point.
    The network's training mode is left as it was found. source, digest: the file that the weights came from and its
    SHA-256.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        config: Mapping | None = None,
        meta: Mapping | None = None,
        device: str | torch.device | None = None,
        *,
        max_voxels: int = 500_000,
        dtype: str = "float32",
        fill: Mapping | None = None,
        up: str | None = None,
        scale: float = 1.0,
        voxel_size: float | None = None,
        floor: str = "robust",
        digest: str | None = None,
        source: str | Path | None = None,
    ):
        if dtype not in DTYPES:
            raise UserError(f"dtype is {dtype!r}; allowed: {', '.join(DTYPES)}")
        if max_voxels < 1:
            raise UserError(f"max_voxels is {max_voxels}; allowed 1 or more, e.g. 240000")
        if floor not in FLOORS:
            raise UserError(f"floor is {floor!r}; allowed: {', '.join(FLOORS)}")
        self.config, self.meta = dict(config or {}), dict(meta or {})
        trained = _check_voxel_size(self.meta.get("grid_size"))
        self.voxel_size = trained if voxel_size is None else _check_voxel_size(voxel_size)
        if self.voxel_size != trained:
            LOGGER.warning("voxels of %g m for a network that was trained with %g m", self.voxel_size, trained)
        self.up, self.scale, self.floor = up, scale, floor
        self.feat_keys = tuple(self.meta.get("feat_keys") or self.meta.get("features") or ("color", "normal"))
        self.color_range = tuple(map(float, self.meta.get("color_range") or (-1, 1)))
        self.in_channels = check_input_width(self.feat_keys, self.config.get("in_channels"))
        where = next((parameter.device for parameter in network.parameters()), "cpu")
        self.device = _find_device(where if device is None else device)
        self.network = network.to(self.device)
        self.max_voxels, self.dtype = max_voxels, dtype
        self.digest, self.source, self._told = digest, source, set()
        self.fill = check_fill({**(self.meta.get("fill") or {}), **(fill or {})})

    def extract(
        self,
        scene: Mapping | str | Path | np.ndarray | PreparedScene | Sequence,
        mode: str = "exact",
        rows: np.ndarray | Sequence[np.ndarray] | None = None,
        output: str = "numpy",
    ) -> np.ndarray | torch.Tensor | list:
        """Features (N, C) float32, row i for point i; a list of scenes gives a list of them, small ones in one pass.

        scene: a dictionary, a path, an array of points or of points and colours (see `read_scene`), or one of
        `prepare`. mode: see `sample_levels`. rows: only these
        points' features; for a list of scenes a list of rows. output: "numpy", or "torch" for tensors on the network's
        device.
        UserError: a broken scene, or one without an input that the network takes.
        """
        if output not in ("numpy", "torch"):
            raise UserError(f"output is {output!r}; allowed: numpy, torch")
        many = isinstance(scene, (list, tuple)) and not isinstance(scene, PreparedScene)
        scenes, rows = (scene, rows) if many else ([scene], [rows])
        rows = [None] * len(scenes) if rows is None else rows
        if len(rows) != len(scenes):
            raise UserError(f"{len(scenes)} scenes and rows for {len(rows)}: give the rows of each, or None")
        found = []
        with torch.no_grad():
            for group in self._group(scenes, rows):
                found += self._extract_group(group, mode, output)
        return found if many else found[0]

    def prepare(self, scene, tell: bool = True) -> PreparedScene:
        """The scene (see `extract`), read, checked, looked at, and with `fill` in place of inputs that it lacks.

        tell: log what is changed or doubted, each kind aloud once. UserError: a broken scene, or one that lacks an
        input for which nothing is stated.
        """
        given, notes = read_scene(scene), {}
        name = str(given.get("name", "the scene"))
        up = self.up or given.get("up") or "z"
        scene = check_scene(given, name, up, self.scale, ("coord", *self.feat_keys), notes)
        full, filled = prepare_scene({**scene, "name": name}, self.feat_keys, self.fill)
        _, doubts = inspect_scene(full["coord"], self.voxel_size)
        notes |= {f"doubt {number}": doubt for number, doubt in enumerate(doubts)}
        if self.floor == "robust" and not doubts:
            full["coord"], stray = find_strays(full["coord"])
            notes |= {"stray": stray} if stray else {}
        notes |= {f"no {key}": f"it has no {key}: {how}" for key, how in filled.items()}
        for key, note in notes.items() if tell else ():
            quiet = key in self._told or key in QUIET  # aloud the first time, then for who reads everything
            LOGGER.log(logging.INFO if quiet else logging.WARNING, "%s: %s", name, note)
            self._told.add(key)
        return PreparedScene(name, full, filled, notes, np.asarray(given["coord"]), up)

    @property
    def levels(self) -> list[FeatureLevel]:
        """Every level, fine to coarse; pandas.DataFrame(extractor.levels) is their table."""
        table, start = [], 0
        for i, (stride, width) in enumerate(self._layout):
            table.append(FeatureLevel(f"level{i}", stride * self.voxel_size, slice(start, start + width)))
            start += width
        return table

    @property
    def channels(self) -> int:
        """Width of a feature vector."""
        return sum(width for _, width in self._layout)

    def __repr__(self):
        weights = "weights in memory" if self.source is None else Path(self.source).stem
        lines = [
            f"FeatureExtractor: {weights}, {self.config.get('type', type(self.network).__name__)} on {self.device}",
            f"voxel size {self.voxel_size:g} m, inputs {', '.join(self.feat_keys)}, {self.channels} channels:",
            "  level   voxel    channels",
        ]
        for name, edge, channels in self.levels:
            lines.append(f"  {name:<7} {edge:<6.4g} m {channels.start}:{channels.stop}")
        return "\n".join(lines)

    def save_pretrained(self, folder: str | Path, half: bool = False) -> Path:
        """Write what `load(folder)` reads: the network with its config and meta; half: in half precision.

        Returns the file. `hf upload` puts such a folder on the Hugging Face hub.
        """
        own = {"grid_size": self.meta["grid_size"], "feat_keys": list(self.feat_keys), "fill": self.fill}
        return save_pretrained(folder, self.network.state_dict(), self.config, {**self.meta, **own}, half)

    @cached_property
    def _layout(self):
        """(stride, width) of every level, from a pass over two voxels."""
        grid = torch.tensor([[0, 0, 0], [1, 1, 1]], device=self.device)
        with torch.no_grad():
            levels = self._forward([grid], torch.zeros(2, self.in_channels, device=self.device))
        return [(level.stride, level.feat.shape[1]) for level in levels]

    def _group(self, scenes, rows) -> Iterator[list["_Item"]]:
        """The scenes on the device, as many together as a pass takes (CPUs gain by sharing only what is small)."""
        limit = min(self.max_voxels, SHARED_ON_CPU) if self.device.type == "cpu" else self.max_voxels
        group, count = [], 0
        for scene, some in zip(scenes, rows):
            item = self.to_device(scene if isinstance(scene, PreparedScene) else self.prepare(scene), some)
            if group and count + len(item.voxels.grid) > limit:
                yield group
                group, count = [], 0
            group.append(item)
            count += len(item.voxels.grid)
        if group:
            yield group

    def to_device(self, scene: PreparedScene, rows: np.ndarray | None = None) -> "_Item":
        """Voxels and input columns of a scene, and the voxels of its points `rows`, on the device."""
        arrays = {key: torch.from_numpy(scene.arrays[key]).to(self.device) for key in {"coord", *self.feat_keys}}
        arrays["coord"] = centre_coord(arrays["coord"])
        voxels = voxelise(arrays["coord"], self.voxel_size)
        chosen = {key: arrays[key][voxels.point] for key in self.feat_keys}
        feat = torch.cat([FEATURES[key][1](chosen) for key in self.feat_keys], 1).float()
        place = voxels.voxel
        if rows is not None:
            place = place[torch.as_tensor(_check_rows(rows, len(place)), device=self.device)]
        return _Item(voxels, scale_colors(feat, self.feat_keys, self.color_range), place)

    def _extract_group(self, group: list["_Item"], mode, output) -> list:
        """Features of scenes that share a pass, or of one in tiles."""
        grids = [item.voxels.grid for item in group]
        if len(group) == 1 and len(grids[0]) > self.max_voxels:
            return [self._extract_in_tiles(group[0], mode, output)]
        levels = self._forward(grids, torch.cat([item.feat for item in group]))
        sampled = _sample(levels, grids, mode, [grid.amax(0) + 1 for grid in grids])
        found = []
        for feat, item in zip(sampled.split([len(grid) for grid in grids]), group):
            found.append(empty_rows(len(item.place), feat, output))
            write_rows(feat, item.place, found[-1])
        return found

    def _extract_in_tiles(self, item: "_Item", mode, output):
        grid, coarsest, out = item.voxels.grid, self._layout[-1][0], None
        position = torch.empty(len(grid), dtype=torch.long, device=self.device)
        for part, core in build_tiles(grid.cpu().numpy(), self.max_voxels, MARGIN * coarsest):
            part, core = (torch.from_numpy(rows).to(self.device) for rows in (part, core))
            low = grid[part].amin(0) // coarsest * coarsest  # aligned, so that coarse cells are those of the scene
            levels = [_shift(level, low) for level in self._forward([grid[part] - low], item.feat[part])]
            sampled = _sample(levels, [grid[core]], mode, [grid.amax(0) + 1])
            out = empty_rows(len(item.place), sampled, output) if out is None else out
            position.fill_(-1)
            position[core] = torch.arange(len(core), device=self.device)
            place = position[item.place]
            mine = (place >= 0).nonzero().flatten()
            write_rows(sampled, place[mine], out, mine)
        return out

    def _forward(self, grids, feat):
        offset = np.cumsum([len(grid) for grid in grids])
        batch = dict(grid_coord=torch.cat(grids), feat=feat, offset=torch.from_numpy(offset).to(self.device))
        half = None if self.dtype == "float32" else getattr(torch, self.dtype)
        with evaluating(self.network), torch.autocast(self.device.type, half) if half else nullcontext():
            return self.network(batch)


class _Item(NamedTuple):
    """A scene on the device: its voxels, their input columns (V, C), and the voxel of each point whose features are
    wanted."""

    voxels: SceneVoxels
    feat: torch.Tensor
    place: torch.Tensor


def _sample(levels: list[Level], queries: list[torch.Tensor], mode, extent: list[torch.Tensor]) -> torch.Tensor:
    """Features (K, C) float32 at the voxels `queries` of each scene; extent: each scene's size in voxels."""
    device, count = queries[0].device, [len(query) for query in queries]
    batch = torch.arange(len(count), device=device).repeat_interleave(
        torch.tensor(count, device=device), output_size=sum(count)
    )
    return sample_levels(levels, torch.cat(queries), batch, mode, torch.stack(extent)).float()


def empty_rows(rows: int, like: torch.Tensor, output: str):
    """Room for (rows, C) features as `like` (K, C): output "numpy" gives an array, "torch" a tensor on its device."""
    if output == "numpy":
        return np.empty((rows, like.shape[1]), dtype=np.float32)
    return like.new_empty(rows, like.shape[1])


def write_rows(feat: torch.Tensor, place: torch.Tensor, out, rows: torch.Tensor | None = None) -> None:
    """Write rows `place` (M,) of `feat` (K, C) to `out` (N, C), an array or tensor: to its `rows` (M,), or all of it.

    From a GPU to an array by blocks through page-locked buffers, so that gathering, copying and writing overlap and
    nothing of the array's size is made beside it.
    """
    target = torch.from_numpy(out) if isinstance(out, np.ndarray) else out
    blocks = [slice(start, start + ROWS_A_COPY) for start in range(0, len(place), ROWS_A_COPY)]
    if target.device == feat.device:
        if rows is None:
            torch.index_select(feat, 0, place, out=target)
            return
        for block in blocks:
            target.index_copy_(0, rows[block], feat[place[block]])
        return
    rows = rows if rows is None else rows.cpu()
    buffers = [torch.empty(ROWS_A_COPY, feat.shape[1], pin_memory=True) for _ in range(2)]
    copied = None
    for number, block in enumerate(blocks):
        some = feat[place[block]]
        buffer, event = buffers[number % 2][: len(some)], torch.cuda.Event()
        buffer.copy_(some, non_blocking=True)
        event.record()
        if copied is not None:
            _finish(*copied, target, rows)
        copied = event, buffer, block
    if copied is not None:
        _finish(*copied, target, rows)


def _finish(event, buffer, block, target, rows):
    """Wait for the copy to a buffer, and bring it to its rows."""
    event.synchronize()
    if rows is None:
        target[block].copy_(buffer)
    else:
        target.index_copy_(0, rows[block], buffer)


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


def scale_colors(feat: torch.Tensor, keys: Sequence[str], limits: tuple[float, float]) -> torch.Tensor:
    """Input columns (V, C) with colours from -1 to 1 brought to `limits`; the same tensor where nothing changes."""
    if tuple(limits) == (-1, 1) or "color" not in keys:
        return feat
    start = count_channels(keys[: keys.index("color")]) if keys.index("color") else 0
    scaled, (low, high) = feat.clone(), limits
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
    state_dict, config: Mapping, meta: Mapping, device=None, *, source=None, **kwargs
) -> FeatureExtractor:
    """Build the network of `config` with all levels out, load `state_dict` strictly (None: leave it as initialised).

    source: what the errors call it. UserError: the network cannot be built, or the tensors are not its own.
    """
    config = dict(config)
    if "output" in config:
        config["output"] = "levels"
    network = build_from_file(config, state_dict, source or "the weights")
    return FeatureExtractor(network, config, meta, device, source=source, **kwargs)


def _check_rows(rows, points) -> np.ndarray:
    rows = np.asarray(rows)
    rows = rows.astype(np.int64) if rows.size == 0 else rows
    if rows.ndim != 1 or rows.dtype.kind not in "iub" or (rows.dtype.kind != "b" and (abs(rows + 0.5) > points).any()):
        raise UserError(f"rows are {rows.dtype} of shape {rows.shape}; give a list of points, 0 to {points - 1}")
    return rows


def _check_voxel_size(value) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise UserError(
            f"the weights' grid_size is {value!r}; it must be the voxel size that they were trained with, in metres: "
            "convert or export them again, with it"
        )
    return float(value)


def _find_device(device) -> torch.device:
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise UserError(f"device is {device!r}; give cpu, cuda or cuda:1") from error
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise UserError(f"device is {device!r}, and torch finds {torch.cuda.device_count()} GPUs here; give cpu")
    return found


def _shift(level: Level, origin: torch.Tensor) -> Level:
    """A level of a single scene moved by `origin` (3,) finest voxels."""
    return Level(level.coord + torch.cat([origin.new_zeros(1), origin // level.stride]).to(level.coord), *level[1:])
