"""Is this GPU served well? Every costly part in a process of its own, with a time limit: errors and times.

    sh tools/gpu_check.sh [--out gpu_check.json] [--parts environment,convolution,...]

A part prints one JSON object on its last line. What a part refuses or breaks costs that part alone; the exit code is 1
if any failed. Times are medians; the first call of a part is told apart, as it compiles kernels.
"""

import argparse
import json
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
VOXEL = 0.02


def environment() -> dict:
    """Versions and the card."""
    import torch

    import pointcept_msm

    try:
        import triton

        version = triton.__version__
    except ImportError:
        version = "none"
    card = torch.cuda.get_device_properties(0)
    return dict(
        package=pointcept_msm.__version__,
        python=sys.version.split()[0],
        torch=torch.__version__,
        triton=version,
        gpu=card.name,
        gpu_GiB=round(card.total_memory / 2**30, 1),
        cpus=os.cpu_count(),
    )


def convolution() -> dict:
    """Each back end: first call with a cold cache, errors against float64, time of a layer of 64 channels."""
    import torch

    from pointcept_msm.models.layers.conv_backends import find_conv_backends

    out, pyramid = {}, _pyramid(_rooms(1, 80_000), 2)
    strided = pyramid.strided_map(0)
    maps = [(3, pyramid.submanifold_map(0)), (2, strided), (2, strided.transposed)]
    halves = dict(device="cuda", dtype=torch.bfloat16)
    feat = torch.randn(pyramid.count(0), 64, **halves).requires_grad_()
    weight = torch.randn(64, 3, 3, 3, 64, **halves).requires_grad_()
    for name, convolve in find_conv_backends(torch.device("cuda")).items():
        forward = partial(convolve, feat, weight, maps[0][1])
        out[f"{name} first_call_s"] = round(_seconds(forward), 2)
        for dtype, most in ((torch.float32, 1e-5), (torch.float16, 2e-3), (torch.bfloat16, 1e-2)):
            worst = max(_conv_error(convolve, kernel, kernel_map, dtype) for kernel, kernel_map in maps)
            assert worst < most, f"{name} {dtype}: relative error {worst:.1e}, allowed {most}"
            out[f"{name} {str(dtype)[6:]} error"] = f"{worst:.1e}"
        out[f"{name} {len(feat)} x 64 bf16 forward_ms"] = _median_ms(forward)
        out[f"{name} with backward_ms"] = _median_ms(lambda forward=forward: forward().sum().backward())
    return out


def _conv_error(convolve, kernel, kernel_map, dtype):
    """Largest relative error of value and gradients against a float64 product over the gathered table."""
    import torch

    torch.manual_seed(0)
    feat = torch.randn(kernel_map.num_in, 48, device="cuda").to(dtype).requires_grad_()
    weight = torch.randn(96, kernel, kernel, kernel, 48, device="cuda").to(dtype).requires_grad_()
    grad = torch.randn(kernel_map.num_out, 96, device="cuda").to(dtype)
    value = convolve(feat, weight, kernel_map)
    ours = [value.detach(), *torch.autograd.grad(value, (feat, weight), grad)]
    x, w = (t.detach().double().requires_grad_() for t in (feat, weight))
    padded = torch.cat([x, x.new_zeros(1, x.shape[1])])
    taps = zip(kernel_map.stored_table.T, w.flatten(1, 3).unbind(1), strict=True)
    expected = sum(padded[rows.long()] @ tap.T for rows, tap in taps)
    references = [expected.detach(), *torch.autograd.grad(expected, (x, w), grad.double())]
    return max(float((a.double() - b).norm() / b.norm()) for a, b in zip(ours, references, strict=True))


def golden() -> dict:
    """The authors' network, in small, against features that their code gave: relative error of every level."""
    import torch

    from tests.models.test_hunet_v1m1 import golden_error, load_golden, run_golden

    out, expected = {}, load_golden()
    for dtype, most in ((None, 1e-4), (torch.float16, 1e-2), (torch.bfloat16, 5e-2)):
        with torch.autocast("cuda", dtype, enabled=dtype is not None), redirect_stdout(sys.stderr):
            errors = [golden_error(level, expected, i) for i, level in enumerate(run_golden(expected, "cuda"))]
        assert max(errors) < most, f"{dtype}: {errors}"
        out[str(dtype or torch.float32)[6:]] = " ".join(f"{error:.1e}" for error in errors)
    return out


def step() -> dict:
    """A step of pretrain-scannet (12 rooms, 24 views) and of pretrain-rooms-tiny at batch 8, both in bfloat16."""
    out = {}
    for name, scenes, points in (("pretrain-scannet", 12, 160_000), ("pretrain-rooms-tiny", 8, 120_000)):
        out |= {f"{name} {key}": value for key, value in _step(name, _rooms(scenes, points)).items()}
    return out


def _step(config, rooms):
    import torch

    from pointcept_msm.host import build_model

    cfg = _config(config)
    batch = {k: v.cuda() if isinstance(v, torch.Tensor) else v for k, v in _views(cfg, rooms).items()}
    model = build_model(cfg.model).cuda().train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, 1e-4, fused=True)

    def run():
        optimizer.zero_grad()
        with torch.autocast("cuda", torch.bfloat16):
            loss = model(dict(batch))["loss"]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 3.0)
        optimizer.step()
        model.update_teacher(0.99)

    first = _seconds(run)
    torch.cuda.reset_peak_memory_stats()
    time_ms = _median_ms(run, repeats=8)
    peak = torch.cuda.max_memory_allocated() / 2**30
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        run()
        torch.cuda.synchronize()
    events = {event.key: event.count for event in profile.key_averages()}
    launches = sum(count for key, count in events.items() if "Launch" in key and key.startswith("cu"))
    waits = events.get("cudaStreamSynchronize", 0)
    kernels = sum(event.self_device_time_total for event in profile.key_averages()) / 1000
    return dict(
        voxels=len(batch["grid_coord"]), first_s=round(first, 1), ms=time_ms, peak_GiB=round(peak, 1),
        gpu_ms=round(kernels), launches=launches, waits=waits,
    )  # fmt: skip


def extraction() -> dict:
    """Features of the full network from a scene on the host to a device tensor and to numpy; float32, then bfloat16."""
    import torch

    from pointcept_msm.features.extractor import FeatureExtractor
    from pointcept_msm.host import build_model

    network = build_model(dict(_config("pretrain-scannet").model.backbone, output="levels"))
    room = _scene(1)
    cases = {f"{len(_voxels(room))} voxels": (room, ("torch", "numpy")), "eight such rooms": (_scene(8), ("torch",))}
    out = {}
    for half in (None, "bfloat16"):
        extractor = FeatureExtractor(network, {}, dict(grid_size=VOXEL), "cuda", **(dict(dtype=half) if half else {}))
        name = half or "float32"
        out[f"{name} first_s"] = round(_seconds(partial(extractor.extract, room)), 2)
        for case, (scene, kinds) in cases.items():
            for kind in kinds:
                out[f"{name}, {case} to {kind}_ms"] = _median_ms(partial(extractor.extract, scene, output=kind), 3)
    out["peak_GiB"] = round(torch.cuda.max_memory_allocated() / 2**30, 1)
    return out


def tests() -> dict:
    """The tests that need a GPU."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    sys.stderr.write(done.stdout[-3000:])
    assert done.returncode == 0, done.stdout.strip().splitlines()[-1]
    return dict(pytest=done.stdout.strip().splitlines()[-1].strip("= "))


def resume() -> dict:
    """20 steps of the tiny pre-training, killed in the middle and resumed, against the same steps without a break."""
    with tempfile.TemporaryDirectory() as folder:
        whole, broken = _train(folder, "whole", kill=False), _train(folder, "broken", kill=True)
    worst = max(abs(a - b) / abs(a) for a, b in zip(whole, broken, strict=True))
    assert worst < 1e-2, f"losses differ by {worst:.1e} after the kill: {whole} {broken}"
    return dict(steps=len(whole), first_loss=whole[0], last_loss=whole[-1], worst_difference=f"{worst:.1e}")


def _train(folder, name, kill):
    command = [sys.executable, "tools/train.py", "--config-file", "pretrain-rooms-tiny", "--options"]
    command += [
        f"save_path={folder}/{name}",
        f"data_root={folder}/rooms",
        "data.train.rooms=8",
        "data.train.points=20000",
    ]
    command += ["seed=0", "epoch=5", "eval_epoch=5", "log_every=1", "enable_amp=True"]
    metrics = Path(folder, name, "metrics.jsonl")
    start = partial(subprocess.Popen, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    process = start(command)
    if kill:
        while process.poll() is None and len(_losses(metrics)) < 10:
            time.sleep(0.05)
        process.kill()
        process.communicate()
        process = start([*command, "resume=true"])
    said = process.communicate()[1]
    assert process.returncode == 0, said[-500:]
    return _losses(metrics)


def _losses(path):
    if not path.is_file():
        return []
    rows = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
    return list({row["step"]: row["loss"] for row in rows if "loss" in row}.values())


def pointcept() -> dict:
    """SpUNet and Point Transformer V3 of a Pointcept checkout on the voxels of `extraction`, forward in float32."""
    import torch

    from pointcept_msm.host import HOST, build_model

    assert HOST == "pointcept", "set POINTCEPT_ROOT to a checkout"
    grid = torch.from_numpy(_voxels(_scene(1))).cuda()
    feat, offset = torch.randn(len(grid), 6, device="cuda"), torch.tensor([len(grid)], device="cuda")
    batch = dict(grid_coord=grid, coord=grid * VOXEL, feat=feat, offset=offset, grid_size=VOXEL)
    networks = [
        dict(type="SpUNet-v1m1", in_channels=6, num_classes=0),
        dict(type="PT-v3m1", in_channels=6, enable_flash=False, upcast_attention=False, upcast_softmax=False),
    ]
    out = dict(voxels=len(grid))
    for config in networks:
        network = build_model(config).cuda().eval()
        with torch.no_grad():
            out[f"{config['type']} forward_ms"] = _median_ms(lambda network=network: network(dict(batch)), 5)
    return out


PARTS = {  # seconds each may take; those after `extraction` share the card
    environment: 30, convolution: 60, golden: 40, step: 100, extraction: 60, pointcept: 60, tests: 150, resume: 100,
}  # fmt: skip
TOGETHER = ("tests", "resume")


def _config(name):
    from pointcept_msm.host import Config

    return Config.fromfile(str(ROOT / "configs/msm" / f"{name}.py"))


def _room(index, points):
    from pointcept_msm.rooms import generate_room

    room = generate_room(0, "train", index, points)
    return {key: room[key] for key in ("coord", "color", "normal")}


def _rooms(count, points):
    """Made in processes of their own, started before this one touches the GPU."""
    with ProcessPoolExecutor(min(count, os.cpu_count() or 1), multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(_room, range(count), [points] * count))


def _scene(rooms):
    """Copies of one room side by side, about 130,000 voxels each."""
    import numpy as np

    room = _room(0, 170_000)
    shift = np.float32([np.ptp(room["coord"][:, 0]) + 0.5, 0, 0])
    coord = np.concatenate([room["coord"] + i * shift for i in range(rooms)])
    return dict(coord=coord, **{key: np.tile(room[key], (rooms, 1)) for key in ("color", "normal")})


def _voxels(scene):
    import numpy as np

    return np.unique(np.floor((scene["coord"] - scene["coord"].min(0)) / VOXEL).astype(np.int64), axis=0)


def _pyramid(rooms, levels):
    import torch

    from pointcept_msm.models.layers.pyramid import build_pyramid

    grids = [torch.from_numpy(_voxels(room)) for room in rooms]
    offset = torch.tensor([len(grid) for grid in grids]).cumsum(0)
    return build_pyramid(torch.cat(grids).cuda(), offset.cuda(), levels)[0]


def _views(cfg, rooms):
    """A batch as the loader makes it; each room's views from a seed of their own."""
    import numpy as np

    from pointcept_msm.datasets.views import MSMViews
    from pointcept_msm.embedded.loader import collate_fn

    settings = {k: v for k, v in cfg.data.train.transform[0].items() if k != "type"}
    transform, views = MSMViews(**settings), []
    for i, room in enumerate(rooms):
        np.random.seed(i)
        views.append(transform({**{k: np.asarray(v, np.float32) for k, v in room.items()}, "name": str(i)}))
    return collate_fn(views)


def _seconds(function):
    import torch

    torch.cuda.synchronize()
    start = time.perf_counter()
    function()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def _median_ms(function, repeats=10):
    for _ in range(2):
        function()
    return round(1000 * statistics.median(_seconds(function) for _ in range(repeats)), 2)


def _start(name, limit):
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    if name != "pointcept":
        environment["MSM_HOST"] = "embedded"
    command, pipe = [sys.executable, "-X", "faulthandler", __file__, "--part", name], subprocess.PIPE
    start = partial(subprocess.Popen, env=environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True)
    return name, limit, time.monotonic(), start(command, cwd=ROOT)


def _finish(name, limit, start, process):
    """{part, seconds, ok, what the part printed last or what it died of}."""
    try:
        out, err = process.communicate(timeout=max(1, limit - (time.monotonic() - start)))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        err += f"\nstopped after {limit} s"
    seconds = round(time.monotonic() - start, 1)
    if process.returncode == 0:
        return dict(part=name, ok=True, seconds=seconds, found=json.loads(out.strip().splitlines()[-1]))
    sys.stderr.write(f"--- {name}\n{err[-3000:]}\n")
    return dict(
        part=name, ok=False, seconds=seconds, found=dict(error=(err.strip().splitlines() or ["died"])[-1][:300])
    )


def main() -> int:
    """Run the parts, print the table, write the JSON; 1 if any part failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="gpu_check.json", help="file for the results")
    parser.add_argument("--parts", help="comma-separated; all by default")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    named = {part.__name__: part for part in PARTS}
    if arguments.part:
        print(json.dumps(named[arguments.part]()))
        return 0
    try:
        import torch
    except ModuleNotFoundError:
        sys.exit("error: this Python has no torch: `sh tools/gpu_check.sh` makes an environment that has it")
    if not torch.cuda.is_available():
        print("no GPU that torch can use; nothing checked", file=sys.stderr)
        return 1
    everything = [name for name in named if name != "pointcept" or os.environ.get("POINTCEPT_ROOT")]
    chosen = arguments.parts.split(",") if arguments.parts else everything
    limits = {part.__name__: limit for part, limit in PARTS.items()}
    results = [_report(_finish(*_start(name, limits[name]))) for name in chosen if name not in TOGETHER]
    running = [_start(name, limits[name]) for name in chosen if name in TOGETHER]
    results += [_report(_finish(*process)) for process in running]
    Path(arguments.out).write_text(json.dumps(results, indent=1))
    failed = [row["part"] for row in results if not row["ok"]]
    print(f"{len(results) - len(failed)} of {len(results)} parts right. Failed: {', '.join(failed) or 'none'}.")
    return bool(failed)


def _report(row):
    print(f"{row['part']:12} {'right' if row['ok'] else 'FAILED':6} {row['seconds']:6.1f} s", flush=True)
    for key, value in row["found"].items():
        print(f"    {key:44} {value}", flush=True)
    return row


if __name__ == "__main__":
    sys.exit(main())
