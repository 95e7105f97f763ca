"""Time sparse convolution on a procedural room: python tools/benchmark.py [--voxel 0.012] [--channels 32 64 128]

The torch back end, forward and backward, beside the machine's matrix product and, where spconv is installed, its CPU
build (forward only: it cannot run backward on a CPU, and its numbers are wrong with more than one thread; the time is
compared all the same). One run times all of them in turn, so that ratios hold although the machine's speed drifts.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from pointcept_msm.command_line import run_command
from pointcept_msm.datasets.rooms.generate import generate_room
from pointcept_msm.datasets.voxelise import voxelise
from pointcept_msm.models.layers.pyramid import build_pyramid
from pointcept_msm.models.layers.sparse_conv import SubmanifoldConv


def build_room(voxel, points):
    """Pyramid of one level of a room."""
    grid = torch.from_numpy(voxelise(generate_room(0, "train", 0, points)["coord"], voxel, random=False).grid_coord)
    return build_pyramid(grid, torch.tensor([len(grid)]), 1)[0]


def build_cases(pyramid, channels):
    """{name: function without arguments}: what is timed at one width."""
    feat = torch.randn(pyramid.count(0), channels)
    conv = SubmanifoldConv(channels, channels)
    matrix = torch.randn(channels, channels)

    def backward():
        conv(feat.requires_grad_(), pyramid, 0).sum().backward()

    cases = {
        "gemm": lambda: feat @ matrix,
        "torch": lambda: conv(feat.detach(), pyramid, 0),
        "torch+backward": backward,
    }
    return cases | build_spconv_case(pyramid, conv, feat.detach())


def build_spconv_case(pyramid, conv, feat):
    """The same convolution by spconv, its neighbour table made beforehand as ours is; nothing when not installed."""
    try:
        import spconv.pytorch as spconv
    except ImportError:
        return {}
    layer = spconv.SubMConv3d(feat.shape[1], feat.shape[1], 3, bias=False, indice_key="benchmark").train()
    layer.weight.data.copy_(conv.weight.detach())
    coord = pyramid.coords[0].int()
    shape = (coord[:, 1:].max(0).values + 96).tolist()
    table = layer(spconv.SparseConvTensor(feat, coord, shape, 1)).indice_dict

    def run():
        x = spconv.SparseConvTensor(feat, coord, shape, 1)
        x.indice_dict = table
        return layer(x)

    return {"spconv": run}


def time_cases(cases, repeats):
    """Median seconds of each case; the cases take turns."""
    seconds = {name: [] for name in cases}
    for turn in range(repeats + 1):
        for name, case in cases.items():
            start = time.perf_counter()
            with torch.set_grad_enabled("backward" in name):
                case()
            if turn:  # the first is a warm-up
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--voxel", type=float, default=0.012, help="voxel edge in metres")
    parser.add_argument("--points", type=int, default=400_000)
    parser.add_argument("--channels", type=int, nargs="+", default=[32, 64, 128])
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args(argv)
    pyramid = build_room(args.voxel, args.points)
    start = time.perf_counter()
    pairs = sum(len(source) for source, _ in pyramid.submanifold_map(0).taps)
    table = time.perf_counter() - start
    count, threads = pyramid.count(0), torch.get_num_threads()
    print(f"{count} voxels, {pairs / count:.1f} neighbours each, table in {table:.2f} s, {threads} threads")
    for channels in args.channels:
        seconds = time_cases(build_cases(pyramid, channels), args.repeats)
        peak = 2 * pyramid.count(0) * channels**2 / seconds["gemm"]
        share = 2 * pairs * channels**2 / seconds["torch"] / peak
        row = ", ".join(f"{name} {value * 1e3:.0f} ms" for name, value in seconds.items())
        ratio = f", spconv / torch {seconds['spconv'] / seconds['torch']:.2f}" if "spconv" in seconds else ""
        print(f"C = {channels}: {row}; torch at {share:.0%} of the matrix product's rate{ratio}")


if __name__ == "__main__":
    sys.exit(run_command(main))
