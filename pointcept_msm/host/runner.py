"""Training and testing from a config, launched by whichever host was chosen: here, under torchrun, or by Pointcept."""

import os
import sys
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from filelock import FileLock, Timeout

from pointcept_msm.host import HOST, TESTERS, TRAINERS
from pointcept_msm.host.run_config import load_run_config, prepare_run, refuse_overwrite
from pointcept_msm.runtime import comm
from pointcept_msm.runtime.environment import set_seed
from pointcept_msm.runtime.errors import UserError

if HOST == "pointcept":
    from pointcept.engines.defaults import default_setup as pointcept_setup
    from pointcept.engines.launch import launch as pointcept_launch

TIMEOUT = timedelta(minutes=60)
LOCK_SECONDS = 7  # data workers of a killed run notice within 5 s, and may hold its lock as long


def run_training(config_file, options=(), num_gpus=1, num_machines=1, machine_rank=0, dist_url="auto"):
    """Train a config given by path or name with `key=value` options."""
    cfg = load_run_config(config_file, options)
    for key in ("model", "optimizer", "scheduler", "data"):
        if not cfg.get(key):
            raise UserError(f"the config {config_file} has no {key}, without which nothing can be trained.")
    if os.environ.get("RANK", "0") == "0":
        refuse_overwrite(cfg)
    _launch(train_worker, cfg, "config.py", num_gpus, num_machines, machine_rank, dist_url)


def run_testing(config_file, options=(), num_gpus=1, num_machines=1, machine_rank=0, dist_url="auto"):
    """Run the tester of a config."""
    cfg = load_run_config(config_file, options, resume_from_run=False)
    _launch(test_worker, cfg, "test_config.py", num_gpus, num_machines, machine_rank, dist_url)


def add_probe_arguments(parser) -> None:
    """Arguments of `probe_command`."""
    parser.add_argument("config", metavar="CONFIG", help="the name of a packaged config, or a file")
    parser.add_argument("options", nargs="*", metavar="KEY=VALUE", help="entries to change: weight=FILE data_root=DIR")
    parser.add_argument("--num-gpus", type=int, default=1, metavar="N", help="processes, one a GPU (default: 1)")


def probe_command(args) -> None:
    """The tester of a config: `msm probe`."""
    run_testing(args.config, args.options, args.num_gpus)


def _launch(worker, cfg, file_name, num_gpus, num_machines, machine_rank, dist_url):
    if "TORCHELASTIC_RUN_ID" in os.environ:  # torchrun started this process
        run_in_group(worker, cfg)
        return
    if 0 < torch.cuda.device_count() < num_gpus:
        raise UserError(f"-g is {num_gpus}, this machine has {torch.cuda.device_count()} GPUs: give that or less.")
    shares = worker is train_worker or HOST == "pointcept"  # our tester deals out scenes one by one
    processes = fit_processes(cfg.batch_size, num_gpus, num_machines) if shares else num_gpus
    if HOST == "pointcept":
        with lock_run(cfg.save_path) if worker is train_worker else nullcontext():  # taken again by the training itself
            prepare_run(cfg, file_name)  # Pointcept's processes take the config as it is here
        pointcept_launch(worker, processes, num_machines, machine_rank, dist_url, cfg=(cfg,))
    elif processes * num_machines == 1:
        worker(cfg)
    else:  # this process becomes torchrun, which starts the script again, with its own arguments
        as_module = Path(sys.argv[0]).name == "__main__.py"  # python -m pointcept_msm
        script = ["-m", "pointcept_msm", *sys.argv[1:]] if as_module else sys.argv
        command = torchrun_command(processes, num_machines, machine_rank, dist_url, script)
        sys.stdout.flush()
        os.execv(command[0], command)


def fit_processes(batch_size, num_gpus, num_machines=1):
    """Processes a machine: the most that share `batch_size` scenes evenly, so that the training is what the config
    says on any number of GPUs; what stays idle is said in one line. UserError: not even one a machine."""
    fitting = [n for n in range(1, num_gpus + 1) if batch_size % (n * num_machines) == 0]
    if not fitting:
        raise UserError(
            f"batch_size is {batch_size}, which {num_machines} machines of {num_gpus} GPUs cannot share: give "
            f"batch_size={-(-batch_size // num_machines) * num_machines}, or use fewer machines."
        )
    if fitting[-1] < num_gpus:
        where = f"{num_gpus} GPUs" if num_machines == 1 else f"{num_machines} machines of {num_gpus} GPUs"
        total, share = fitting[-1] * num_machines, num_gpus * num_machines
        print(
            f"batch_size {batch_size} on {where}: using {total}, {batch_size // total} scenes each; "
            f"{share - total} stay idle; batch_size={-(-batch_size // share) * share} would use all."
        )
    return fitting[-1]


def torchrun_command(processes, num_machines, machine_rank, dist_url, script):
    """The torchrun command line for `script` (path and arguments)."""
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}"]
    if num_machines == 1:
        return [*command, "--standalone", *script]
    host, colon, port = dist_url.removeprefix("tcp://").rpartition(":")
    if not colon:
        raise UserError(f"dist-url is {dist_url!r}: for several machines write tcp://<first machine>:<port>.")
    place = [f"--nnodes={num_machines}", f"--node-rank={machine_rank}"]
    return [*command, *place, f"--master-addr={host}", f"--master-port={port}", *script]


def run_in_group(worker, cfg):
    """Call `worker(cfg)` as one of the processes that torchrun started."""
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if on_gpu else "gloo", timeout=TIMEOUT)
    try:
        worker(cfg)
    except SystemExit:
        dist.destroy_process_group()
        raise  # after any other error the group may hang: torchrun ends it
    dist.destroy_process_group()


@contextmanager
def lock_run(save_path):
    """Hold the lock of a run's folder on rank 0; it ends with the process. UserError when another process holds it."""
    if not comm.is_main_process():
        yield
        return
    Path(save_path).mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(Path(save_path) / ".lock", timeout=LOCK_SECONDS).acquire()
    except Timeout as error:
        raise UserError(
            f"{save_path} is being written by another process: wait for it, end it, or choose another name (-n)."
        ) from error
    with lock:
        yield


def train_worker(cfg):
    """One process of a training run."""
    with lock_run(cfg.save_path):
        cfg = set_up(cfg, "config.py")
        world = comm.get_world_size()
        if cfg.batch_size < 1 or cfg.batch_size % world:
            raise UserError(f"batch_size is {cfg.batch_size}, which {world} processes cannot share: give a multiple.")
        TRAINERS.build(dict(type=cfg.train.type, cfg=cfg)).train()


def test_worker(cfg):
    """One process of a test."""
    cfg = set_up(cfg, "test_config.py")
    TESTERS.build(dict(cfg=cfg, **cfg.test)).test()


def set_up(cfg, file_name):
    """Write the config, share batches and workers among the processes, and seed this one."""
    if HOST == "pointcept":
        return pointcept_setup(cfg)
    prepare_run(cfg, file_name)
    world = comm.get_world_size()
    cfg.num_worker_per_gpu = (os.cpu_count() if cfg.num_worker is None else cfg.num_worker) // world
    for key in ("batch_size", "batch_size_val", "batch_size_test"):
        cfg[f"{key}_per_gpu"] = max(1, (cfg.get(key) or 1) // world)
    set_seed(cfg.seed, comm.get_rank())
    return cfg
