"""What is timed: each function gives {case: function without arguments} for one scene size.

A function takes (scene, settings) with settings.device, .channels, .network; limits on the size, beyond which a case is
left out, stand beside the cases that need them.
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from pointcept_msm.benchmark.conv_cases import build_conv_cases
from pointcept_msm.benchmark.scenes import VOXEL_SIZE, build_levels
from pointcept_msm.datasets.views import MSMViews
from pointcept_msm.features.extractor import FeatureExtractor
from pointcept_msm.host import Config, build_model
from pointcept_msm.link import find_configs
from pointcept_msm.models.feature_sampling import sample_levels
from pointcept_msm.models.layers.attention import band_attention, build_band_mask
from pointcept_msm.models.layers.voxel_levels import Level
from pointcept_msm.probing.knn import find_neighbours

NETWORKS = dict(small="hunet_small.py", full="hunet_2cm.py")  # of configs/msm/_base_
PEAK_SIDE = 2048  # of the square matrices whose product stands for the machine's peak


def sparse_conv(scene, settings) -> dict[str, Callable]:
    """Submanifold 3x3x3, tables made beforehand; `product` is one dense product of the same width on all voxels, `peak`
    one of square matrices."""
    pyramid = build_levels(scene, 1, settings.device)
    square = torch.randn(PEAK_SIDE, PEAK_SIDE, device=settings.device)
    cases = {"peak": lambda: square @ square}
    for channels in settings.channels:
        cases |= {
            f"C={channels} {name}": case for name, case in build_conv_cases(pyramid, channels, settings.device).items()
        }
    return cases


def _base_config(name):
    return Config.fromfile(str(find_configs() / "_base_" / name))


def index(scene, settings) -> dict[str, Callable]:
    """Pyramid and kernel maps of all levels, as every pass makes them."""

    def build():
        pyramid = build_levels(scene, 5, settings.device)
        for level in range(5):
            pyramid.submanifold_map(level).blocks  # noqa: B018
        for level in range(4):
            pyramid.strided_map(level).blocks  # noqa: B018

    return {"pyramid and maps": build}


DENSE_SAMPLING_LIMIT = 400_000


def sampling(scene, settings) -> dict[str, Callable]:
    """Features of five levels (64 to 384 channels) to every voxel, into a new array or a given one; `dense` is the
    authors' method."""
    grid = torch.from_numpy(scene["grid_coord"]).to(settings.device)
    pyramid = build_levels(scene, 5, settings.device)
    widths = (64, 96, 128, 256, 384)
    levels = [
        Level(pyramid.coord(i).int(), torch.randn(pyramid.count(i), width, device=settings.device), 2**i)
        for i, width in enumerate(widths)
    ]
    batch = torch.zeros(len(grid), dtype=torch.long, device=settings.device)
    arrays = {"": None}
    if len(grid) <= DENSE_SAMPLING_LIMIT:
        arrays[", given array"] = torch.zeros(len(grid), sum(widths), device=settings.device)
    cases = {}
    for mode in ("exact", "released"):
        for name, out in arrays.items():
            cases[mode + name] = _no_grad(lambda mode=mode, out=out: sample_levels(levels, grid, batch, mode, out=out))
    if len(grid) <= DENSE_SAMPLING_LIMIT:
        cases["dense"] = _no_grad(lambda: torch.cat([dense_released(level, grid) for level in levels], 1))
    return cases


def dense_released(level: Level, grid: torch.Tensor) -> torch.Tensor:
    """The authors' interpolation: `grid_sample` with aligned corners on the level made dense. One scene; grid (N, 3) ->
    (N, C)."""
    coord = level.coord[:, 1:].long()
    size = coord.max(0).values + 1
    dense = level.feat.new_zeros(level.feat.shape[1], *size.tolist())
    dense[:, coord[:, 0], coord[:, 1], coord[:, 2]] = level.feat.T
    place = 2 * ((grid + 0.5) / level.stride) / size - 1
    place = place.float().flip(-1)[None, :, None, None]
    return F.grid_sample(dense[None], place, mode="bilinear", padding_mode="zeros", align_corners=True)[0, :, :, 0, 0].T


FULL_ATTENTION_LIMIT = 20_000


def attention(scene, settings) -> dict[str, Callable]:
    """Window 1024, 16 heads of 16 channels, on a sixteenth of the scene's size (about the voxels of level 2)."""
    count = max(len(scene["coord"]) // 16, 1)
    query, key, value = torch.randn(3, count, 16, 16, device=settings.device)
    mask = build_band_mask(torch.zeros(count, dtype=torch.long, device=settings.device), 512)
    cases = {"band": _no_grad(lambda: band_attention(query, key, value, mask, 512))}
    if count <= FULL_ATTENTION_LIMIT:
        heads_first = [x.transpose(0, 1)[None] for x in (query, key, value)]
        cases["full"] = _no_grad(lambda: F.scaled_dot_product_attention(*heads_first))
    return cases | _flash_case(query, key, value)


def _flash_case(query, key, value):
    try:
        from flash_attn import flash_attn_func
    except ImportError:
        return {}
    if not query.is_cuda:
        return {}
    halves = [x.half()[None] for x in (query, key, value)]
    return {"flash": _no_grad(lambda: flash_attn_func(*halves, window_size=(512, 512)))}


STEP_LIMIT = 300_000


def step(scene, settings) -> dict[str, Callable]:
    """Pre-training step on two views of the scene (forward, backward, AdamW, teacher), and making the views alone."""
    if len(scene["coord"]) > STEP_LIMIT:
        return {}
    transform = _views()
    model = build_model(dict(type="MSM-v1m1", backbone=_base_config(NETWORKS[settings.network]).backbone))
    model = model.to(settings.device).train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-4)
    batch = {k: v.to(settings.device) if isinstance(v, torch.Tensor) else v for k, v in transform(scene).items()}

    def train():
        optimizer.zero_grad()
        model(batch)["loss"].backward()
        optimizer.step()
        model.update_teacher(0.996)

    return {f"masked step ({settings.network})": train, "views": lambda: transform(scene)}


def views(scene, settings) -> dict[str, Callable]:
    """Both views of a scene with one point a voxel."""
    transform = _views()
    return {"views": lambda: transform(scene)}


def _views():
    base = _base_config("augment.py")
    return MSMViews(grid_size=VOXEL_SIZE, max_voxels=10**9, augment=base.augment, color_augment=base.color_augment)


def extraction(scene, settings) -> dict[str, Callable]:
    """Scene in, features of all levels at every point out."""
    network = build_model(dict(_base_config(NETWORKS[settings.network]).backbone, output="levels"))
    extractor = FeatureExtractor(network, {}, dict(grid_size=VOXEL_SIZE), settings.device)
    scene = {key: scene[key] for key in ("coord", "color", "normal")}
    return {f"extraction ({settings.network})": lambda: extractor.extract(scene)}


def knn(scene, settings) -> dict[str, Callable]:
    """20 neighbours of 2,048 queries in a bank of as many rows as the scene has voxels, 96 channels."""
    random = np.random.default_rng(0)
    bank = random.standard_normal((len(scene["coord"]), 96), dtype=np.float32)
    query = random.standard_normal((2048, 96), dtype=np.float32)
    return {"knn": lambda: find_neighbours(query, bank, 20, device=settings.device)}


def _no_grad(function):
    def run():
        with torch.no_grad():
            return function()

    return run


ITEMS = dict(
    sparse_conv=sparse_conv,
    index=index,
    sampling=sampling,
    attention=attention,
    step=step,
    views=views,
    extraction=extraction,
    knn=knn,
)
