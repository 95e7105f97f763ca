"""Time and memory of the parts that cost, on procedural rooms: python tools/benchmark.py [ITEM ...] [--quick]

Items: conv (submanifold convolution, by back end and width, beside one dense product), index (levels and neighbour
tables), sampling, views, step, extraction, knn. Cases of one item and size take turns in one run, so that ratios hold
although the machine's speed drifts. Prints tables; --json FILE keeps every time.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from functools import cache, partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
if __name__ == "__main__":  # first: it says how to get what this Python lacks
    import pointcept_msm  # noqa: F401

import numpy as np
import torch

from pointcept_msm.datasets.views import MSMViews
from pointcept_msm.datasets.voxelise import voxelise
from pointcept_msm.features.extractor import FeatureExtractor
from pointcept_msm.host import Config, build_model
from pointcept_msm.link import find_configs
from pointcept_msm.models.feature_sampling import Level, sample_levels
from pointcept_msm.models.layers.conv_backends import find_conv_backends
from pointcept_msm.models.layers.pyramid import build_pyramid
from pointcept_msm.probing.knn import find_neighbours
from pointcept_msm.rooms.generate import generate_room
from pointcept_msm.runtime.command_line import OneSentenceParser, run_command

SIZES, QUICK_SIZES = (50_000, 300_000, 1_000_000), (25_000,)
NETWORKS = dict(small="hunet_small.py", full="hunet_2cm.py")  # of configs/msm/_base_
VOXEL_SIZE = 0.02  # metres, the paper's
WIDTHS = (64, 96, 128, 256, 384)  # of the paper's levels


@cache
def build_room():
    """(grid coordinates (V, 3), inputs) of one procedural room, one point a voxel."""
    scene = generate_room(0, "train", 0, 400_000)
    voxels = voxelise(scene["coord"], VOXEL_SIZE, random=False)
    return voxels.grid_coord, {key: scene[key][voxels.point].astype(np.float32) for key in ("color", "normal")}


def build_scene(num_voxels: int) -> dict:
    """Copies of the room side by side, so many voxels in all, a point at each voxel's centre."""
    grid, inputs = build_room()
    copies = -(-num_voxels // len(grid))
    side, size = int(np.ceil(copies**0.5)), grid.max(0) + 1
    place = np.array([[i // side * size[0], i % side * size[1], 0] for i in range(copies)])
    grid = (place[:, None] + grid).reshape(-1, 3)[:num_voxels]
    scene = {key: np.tile(value, (copies, 1))[:num_voxels] for key, value in inputs.items()}
    return dict(scene, grid_coord=grid, coord=((grid + 0.5) * VOXEL_SIZE).astype(np.float32), name="benchmark")


def build_levels(scene, num_levels, device):
    grid = torch.from_numpy(scene["grid_coord"]).to(device)
    return build_pyramid(grid, torch.tensor([len(grid)], device=device), num_levels)[0]


def base_config(name):
    return Config.fromfile(str(find_configs() / "_base_" / name))


def build_views():
    base = base_config("augment.py")
    return MSMViews(grid_size=VOXEL_SIZE, max_voxels=10**9, augment=base.augment, color_augment=base.color_augment)


def conv(scene, args):
    kernel_map, cases = build_levels(scene, 1, args.device).submanifold_map(0), {}

    def forward(convolve, feat, weight):
        return convolve(feat.detach(), weight.detach(), kernel_map)

    def both(convolve, feat, weight):
        inputs = feat.requires_grad_(), weight.requires_grad_()
        return torch.autograd.grad(convolve(*inputs, kernel_map).sum(), inputs)

    for width in args.channels:
        feat = torch.randn(kernel_map.num_in, width, device=args.device)
        weight = torch.randn(width, 3, 3, 3, width, device=args.device) / (27 * width) ** 0.5
        cases[f"C={width} dense product"] = partial(torch.matmul, feat, weight[:, 1, 1, 1])
        for name, convolve in find_conv_backends(torch.device(args.device)).items():
            cases[f"C={width} {name}"] = partial(forward, convolve, feat, weight)
            cases[f"C={width} {name}, backward too"] = partial(both, convolve, feat.clone(), weight.clone())
    return cases


def index(scene, args):
    def build():
        pyramid = build_levels(scene, 5, args.device)
        for level in range(5):
            pyramid.neighbours(level)

    return {"five levels": build}


def sampling(scene, args):
    grid, pyramid = torch.from_numpy(scene["grid_coord"]).to(args.device), build_levels(scene, 5, args.device)
    levels = [
        Level(pyramid.coord(i).int(), torch.randn(pyramid.count(i), width, device=args.device), 2**i)
        for i, width in enumerate(WIDTHS)
    ]
    batch = torch.zeros(len(grid), dtype=torch.long, device=args.device)
    return {mode: lambda mode=mode: sample_levels(levels, grid, batch, mode) for mode in ("exact", "released")}


def views(scene, args):
    transform = build_views()
    return {"both views": lambda: transform(scene)}


def step(scene, args):
    """Forward, backward, AdamW and teacher on two views."""
    backbone = base_config(NETWORKS[args.network]).backbone
    model = build_model(dict(type="MSM-v1m1", backbone=backbone)).to(args.device).train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-4)
    batch = build_views()(scene)
    batch = {key: v.to(args.device) if isinstance(v, torch.Tensor) else v for key, v in batch.items()}

    def train():
        optimizer.zero_grad()
        model(batch)["loss"].backward()
        optimizer.step()
        model.update_teacher(0.996)

    return {f"{args.network} network": train}


def extraction(scene, args):
    network = build_model(dict(base_config(NETWORKS[args.network]).backbone, output="levels"))
    extractor = FeatureExtractor(network, {}, dict(grid_size=VOXEL_SIZE), args.device)
    scene = {key: scene[key] for key in ("coord", "color", "normal")}
    return {f"{args.network} network": lambda: extractor.extract(scene)}


def knn(scene, args):
    random = np.random.default_rng(0)
    bank, query = (random.standard_normal((n, 96), dtype=np.float32) for n in (len(scene["coord"]), 2048))
    return {"2,048 queries, 96 channels": lambda: find_neighbours(query, bank, 20, device=args.device)}


ITEMS = dict(conv=conv, index=index, sampling=sampling, views=views, step=step, extraction=extraction, knn=knn)


def measure(cases, repeats, device) -> dict[str, dict]:
    """{case: dict(seconds=[...], peak_bytes)}, turn by turn after a first call each, whose peak it is, on a GPU."""
    on_gpu, results = torch.device(device).type == "cuda", {}
    for name, case in cases.items():
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        case()
        results[name] = dict(seconds=[], peak_bytes=torch.cuda.max_memory_allocated() if on_gpu else None)
    for _ in range(repeats):
        for name, case in cases.items():
            start = time.perf_counter()
            case()
            if on_gpu:
                torch.cuda.synchronize()
            results[name]["seconds"].append(time.perf_counter() - start)
    return results


def format_row(row) -> str:
    times = [1e3 * s for s in row["seconds"]]
    memory = f"{row['peak_bytes'] / 2**20:,.0f} MiB" if row["peak_bytes"] else "-"
    figures = [f"{statistics.median(times):,.1f}", f"{min(times):,.1f} - {max(times):,.1f}", memory]
    return f"| {' | '.join([row['item'], row['case'], format(row['size'], ','), *figures])} |"


def main(argv):
    parser = OneSentenceParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("items", nargs="*", metavar="ITEM", help=f"of {', '.join(ITEMS)}; all when none is given")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="V", help=f"voxels (default {SIZES})")
    parser.add_argument("--channels", type=int, nargs="+", default=[32, 64, 128, 256], metavar="C", help="of conv")
    parser.add_argument("--network", choices=list(NETWORKS), default="small", help="of step and extraction")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--quick", action="store_true", help=f"sizes {QUICK_SIZES}, three repeats")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args(argv)
    unknown = [item for item in args.items if item not in ITEMS]
    if unknown:
        parser.error(f"unknown item {unknown[0]!r}; allowed: {', '.join(ITEMS)}.")
    sizes, repeats = (QUICK_SIZES, 3) if args.quick else (args.sizes, args.repeats)
    on_gpu = torch.device(args.device).type == "cuda"
    device = torch.cuda.get_device_name(args.device) if on_gpu else platform.processor() or platform.machine()
    machine = dict(device=device, threads=torch.get_num_threads(), torch=torch.__version__)
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    print("| item | case | voxels | median, ms | fastest - slowest | peak |\n|---|---|---|---|---|---|")
    rows = []
    for item in args.items or ITEMS:
        for size in sizes:
            torch.manual_seed(0)
            for case, result in measure(ITEMS[item](build_scene(size), args), repeats, args.device).items():
                rows.append(dict(item=item, case=case, size=size, **result))
                print(format_row(rows[-1]), flush=True)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(dict(machine=machine, rows=rows), indent=1))


if __name__ == "__main__":
    sys.exit(run_command(main))
