"""Starting the processes of a run: in this one, under a torchrun that is already there, or under one started here."""

import os
import signal
import socket
import subprocess
import sys
import time
from datetime import timedelta

import torch
import torch.distributed as dist

from pointcept_msm.embedded.orphans import die_with_parent
from pointcept_msm.runtime import comm
from pointcept_msm.runtime.environment import ROOT

TIMEOUT = timedelta(minutes=60)
PATIENCE = 30  # seconds for torchrun to see which process failed first
PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
PEER_LOST = (
    "by peer",
    "pair closure",
    "remote process exited",
    "communicator was aborted",
)  # in gloo's or NCCL's words


def is_torchrun_child():
    """Whether torchrun (or anything that sets its variables) started this process."""
    return all(name in os.environ for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))


def launch(main, num_gpus=1, num_machines=1, machine_rank=0, dist_url="auto", args=()):
    """Call `main(*args)` in every process of the run and return the exit code.

    With more than one process the running script is started again, with its own arguments, under torchrun.
    """
    if is_torchrun_child():
        return _run_in_group(main, args)
    if num_gpus * num_machines > 1:
        return _start_torchrun(torchrun_command(num_gpus, num_machines, machine_rank, dist_url, sys.argv))
    main(*args)
    return 0


def torchrun_command(num_gpus, num_machines, machine_rank, dist_url, script):
    """The torchrun command line for `script` (path and arguments); raises ValueError when it cannot be placed."""
    present = torch.cuda.device_count()
    if 0 < present < num_gpus:
        raise ValueError(f"{num_gpus} GPUs are asked for, this machine has {present}: give -g {present} or less.")
    if not 0 <= machine_rank < num_machines:
        raise ValueError(f"machine rank {machine_rank} is outside 0..{num_machines - 1}: number the machines from 0.")
    host, port = split_url(dist_url, num_machines)
    return [
        *(
            sys.executable,
            "-m",
            "pointcept_msm.embedded.torchrun",
            f"--nproc_per_node={num_gpus}",
            f"--nnodes={num_machines}",
        ),
        *(f"--node_rank={machine_rank}", f"--master_addr={host}", f"--master_port={port}"),
        *script,
    ]


def split_url(dist_url, num_machines):
    """Host and port of `tcp://host:port`; `auto` is a free port of this machine, for one machine only."""
    if dist_url == "auto":
        if num_machines > 1:
            raise ValueError(
                "dist-url is auto, which serves one machine: give --dist-url tcp://<first machine>:<port>."
            )
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return "127.0.0.1", probe.getsockname()[1]
    host, colon, port = dist_url.removeprefix("tcp://").rpartition(":")
    if not colon or not host or not port.isdigit():
        raise ValueError(f"dist-url is {dist_url!r}: write tcp://<host>:<port>.")
    return host, int(port)


def _run_in_group(main, args):
    die_with_parent(signal.SIGTERM)  # a killed launcher: finish the step, save and end
    local = int(os.environ["LOCAL_RANK"])
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(local)
    dist.init_process_group("nccl" if on_gpu else "gloo", init_method="env://", timeout=TIMEOUT)
    comm.synchronize()
    try:
        main(*args)
    except SystemExit:
        dist.destroy_process_group()
        raise  # after any other error the group may hang: torchrun ends it
    except RuntimeError as error:
        if not any(words in str(error) for words in PEER_LOST):
            raise
        _leave_broken_group()
    dist.destroy_process_group()
    return 0


def _leave_broken_group():
    """End this process when another one of the run has: without the interpreter's end, which threads of the broken
    group would turn into an abort, and after the other, whose exit code says why: then torchrun ends this one."""
    print("error: another process of the run ended first; what it said tells why.", file=sys.stderr, flush=True)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    time.sleep(PATIENCE)
    os._exit(1)


def _start_torchrun(command):
    """Run it, pass the signals that stop a run on, and return its exit code (128 + signal when one was passed on)."""
    received = []
    environment = dict(os.environ)
    environment.setdefault("OMP_NUM_THREADS", "1")
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [environment.get("PYTHONPATH")])])
    child = subprocess.Popen(command, env=environment)

    def pass_on(number, frame):
        received.append(number)
        child.send_signal(number)

    heard = [number for number in PASSED_ON if signal.getsignal(number) is not signal.SIG_IGN]  # nohup ignores SIGHUP
    old = {number: signal.signal(number, pass_on) for number in heard}
    try:
        code = child.wait()
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
    return 128 + received[0] if received else code
