"""Pre-training by Pointcept's trainer in two spawned processes on a CPU: two_processes.py FOLDER

Everything is Pointcept's but the launch (its own asserts CUDA and NCCL): a gloo group, and DDP without device ids.
"""

import functools
import sys
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing


def train(rank: int, cfg, folder: str) -> None:
    """One process; the package is here because the config was unpickled."""
    import pointcept.engines.train as engine
    import pointcept.utils.comm as comm
    from pointcept.engines.defaults import default_setup

    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", world_size=2, rank=rank)
    comm._LOCAL_PROCESS_GROUP = dist.new_group([0, 1])
    engine.create_ddp_model = functools.partial(engine.create_ddp_model, device_ids=None)
    cfg = default_setup(cfg)
    trainer = engine.TRAINERS.build(dict(type=cfg.train.type, cfg=cfg))
    streams = comm.all_gather(torch.get_rng_state().double().sum().item())
    assert streams[0] != streams[1], "both processes would draw the same masks"
    trainer.train()
    model = trainer.model.module
    sums = [torch.cat([p.detach().flatten() for p in part.parameters()]) for part in (model.student, model.teacher)]
    gathered = comm.all_gather([x.double().abs().sum().item() for x in sums])
    print(f"process {rank}: {int(model.train_step)} steps, sums {gathered}", flush=True)
    assert gathered[0] == gathered[1], "the processes' networks differ"
    assert trainer.best_metric_value > 0 or rank > 0
    dist.destroy_process_group()


if __name__ == "__main__":
    from pointcept.utils.config import Config

    root = Path(sys.argv[1])
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from tests.host.miniature import GRID, HOOKS, MODEL, NO_DECAY, RUNTIME, write_scenes

    write_scenes(root / "data", count=8)
    probe = dict(type="MSMProbeEvaluator", scenes=4, points_per_scene=50, num_classes=3)
    scenes = dict(type="MSMScenesDataset", split="train", data_root=str(root / "data"))
    views = dict(type="MSMViews", grid_size=GRID, max_voxels=900, feat_keys=("color", "normal"))
    values = dict(
        seed=3, save_path=str(root / "run"), batch_size=4, num_worker=1, epoch=2, eval_epoch=2, evaluate=True,
        feat_keys=("color", "normal"), model=MODEL, hooks=[*HOOKS[:-1], probe, HOOKS[-1]], param_dicts=NO_DECAY,
        optimizer=dict(type="AdamW", lr=0.01, weight_decay=0.05), scheduler=dict(type="OneCycleLR", max_lr=0.01),
        data=dict(train=dict(scenes, transform=[views]), val=scenes),
    )  # fmt: skip
    lines = [f"_base_ = [{str(RUNTIME)!r}]", *(f"{key} = {value!r}" for key, value in values.items())]
    (root / "config.py").write_text("\n".join(lines) + "\n")
    (root / "run" / "model").mkdir(parents=True)
    config = Config.fromfile(str(root / "config.py"))
    torch.multiprocessing.spawn(train, nprocs=2, args=(config, str(root)))
