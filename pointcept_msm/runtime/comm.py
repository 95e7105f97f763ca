"""Process-group helpers that are no-ops in a single process (Pointcept's names where it has one)."""

import torch.distributed as dist

_CPU_GROUP = None  # made once: gathers of objects must not touch the GPU


def is_distributed():
    return dist.is_available() and dist.is_initialized()


def get_world_size():
    return dist.get_world_size() if is_distributed() else 1


def get_rank():
    return dist.get_rank() if is_distributed() else 0


def is_main_process():
    return get_rank() == 0


def synchronize():
    """Wait until every process is here."""
    if get_world_size() > 1:
        dist.barrier(group=_cpu_group())


def all_gather(value):
    """Gather any picklable value from every process into a list, in rank order, on every process."""
    if get_world_size() == 1:
        return [value]
    gathered = [None] * get_world_size()
    dist.all_gather_object(gathered, value, group=_cpu_group())
    return gathered


def reduce_sum_(tensor):
    """Sum a tensor over all processes in place and return it."""
    if get_world_size() > 1:
        dist.all_reduce(tensor)
    return tensor


def _cpu_group():
    global _CPU_GROUP
    if dist.get_backend() == "gloo":
        return dist.group.WORLD
    if _CPU_GROUP is None:
        _CPU_GROUP = dist.new_group(backend="gloo")
    return _CPU_GROUP
