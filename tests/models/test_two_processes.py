"""Two processes with one scene each give the loss and the gradients of one process with both scenes."""

import socket

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel

from pointcept_msm.models.msm_v1m1_base import MSM
from tests.models.test_msm_v1m1_base import STILL, make_batch


def build():
    """The model, with a mask that depends on the place alone: random draws differ between one process and two."""
    torch.manual_seed(0)
    model = MSM(STILL, mask_patch=0.4).train()
    model._draw_mask = lambda crop, patch: (crop.coord(0)[:, 1:] // 4).sum(1) % 3 == 0
    return model


def part_of(batch, scene):
    """Both views of one scene out of a batch."""
    ends = [0, *batch["offset"].tolist()]
    rows = slice(ends[2 * scene], ends[2 * scene + 2])
    part = {key: value[rows] for key, value in batch.items() if key not in ("offset", "grid_size")}
    part["grid_size"] = batch["grid_size"][scene : scene + 1]
    return dict(part, offset=batch["offset"][2 * scene : 2 * scene + 2] - ends[2 * scene])


def run_rank(rank, port, results):
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    torch.set_num_threads(1)
    model = DistributedDataParallel(build())
    output = model(part_of(make_batch(), rank))
    output["loss"].backward()
    gradients = [p.grad.numpy() for p in model.parameters() if p.requires_grad]
    results.put((rank, float(output["loss"].detach()), gradients if rank == 0 else None))
    dist.destroy_process_group()


def test_two_processes_equal_one():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = mp.get_context("spawn")
    results = context.Queue()
    processes = [context.Process(target=run_rank, args=(rank, port, results)) for rank in range(2)]
    for process in processes:
        process.start()
    found = sorted((results.get(timeout=120) for _ in processes), key=lambda result: result[0])
    for process in processes:
        process.join(timeout=60)
        assert process.exitcode == 0

    model = build()
    output = model(make_batch())
    output["loss"].backward()
    assert abs(float(output["loss"].detach()) - (found[0][1] + found[1][1]) / 2) < 1e-5
    expected = [p.grad for p in model.parameters() if p.requires_grad]
    for ours, theirs in zip(found[0][2], expected, strict=True):
        torch.testing.assert_close(torch.from_numpy(ours), theirs, rtol=1e-3, atol=1e-6)
