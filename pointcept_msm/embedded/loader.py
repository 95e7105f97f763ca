"""Data loaders whose batches are a function of (seed, epoch, position) alone, and how samples become a batch.

Neither the number of workers nor an interruption changes them: the sampler orders each epoch from (seed, epoch), and
every item is drawn with python, numpy and torch seeded from (seed, epoch, index).
"""

import os
import random
import signal
from collections.abc import Mapping
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from pointcept_msm.embedded.registry import DATASETS
from pointcept_msm.runtime import comm
from pointcept_msm.runtime.environment import mix_seed
from pointcept_msm.runtime.errors import UserError


class SceneError(UserError):
    """A scene, or a batch of scenes, that cannot be used."""


class EpochSampler(Sampler):
    """Yields (epoch, index) of this process's share of an epoch, shuffled, padded to equal shares.

    `set_epoch(epoch, skip)` chooses the epoch and how many of the share's first items to leave out (a resumed run).
    """

    def __init__(self, length, seed, rank=0, world_size=1):
        self.length, self.seed, self.rank, self.world_size = length, seed, rank, world_size
        self.epoch, self.skip = 0, 0

    def set_epoch(self, epoch, skip=0):
        self.epoch, self.skip = epoch, skip

    def __len__(self):
        return -(-self.length // self.world_size)

    def __iter__(self):
        generator = torch.Generator().manual_seed(mix_seed(self.seed, self.epoch))
        order = torch.randperm(self.length, generator=generator).tolist()
        total = len(self) * self.world_size
        padded = (order * -(-total // self.length))[:total]
        share = padded[self.rank :: self.world_size]
        return ((self.epoch, index) for index in share[self.skip :])


class SeededDataset(Dataset):
    """Wraps a dataset to be asked for a batch of (epoch, index), each item drawn under its own seed.

    An item that is refused raises SceneError with its name. In a batch the error takes the batch's place: raised in a
    worker it would reach the main process as a page of text.
    """

    def __init__(self, dataset, seed):
        self.dataset, self.seed = dataset, seed

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, key):
        with seeded(self.seed, *key):
            try:
                return self.dataset[key[1]]
            except (UserError, OSError) as error:
                name = self.dataset.get_data_name(key[1]) if hasattr(self.dataset, "get_data_name") else key[1]
                raise SceneError(f"scene {name} cannot be used: {' '.join(str(error).split())}") from error

    def __getitems__(self, keys):
        try:
            return [self[key] for key in keys]
        except SceneError as error:
            return error


def collate_fn(batch):
    """Join samples into one batch by Pointcept's rules: points are concatenated, offsets stay cumulative, strings are
    gathered in a list. A SceneError in their place passes; samples with different keys become one."""
    if isinstance(batch, SceneError):
        return batch
    first = batch[0]
    if isinstance(first, Mapping):
        uneven = sorted(set.union(*map(set, batch)) - set.intersection(*map(set, batch)))
        if uneven:  # it would be dropped, or be missing, depending on which sample comes first
            names = ", ".join(str(sample.get("name", "unnamed")) for sample in batch)
            return SceneError(f"of the scenes {names} only some have {', '.join(uneven)}: give it to all, or to none.")
        return {key: _collate_entry(key, [sample[key] for sample in batch]) for key in first}
    if isinstance(first, torch.Tensor):
        return torch.cat(batch)
    return list(batch) if isinstance(first, str) else default_collate(batch)


def _collate_entry(key: str, values: list):
    if "offset" not in key:
        return collate_fn(values)
    counts = [value.diff(prepend=value.new_zeros(1)) for value in values]
    return torch.cumsum(torch.cat(counts), dim=0)


@contextmanager
def seeded(*numbers):
    """Seed the CPU generators inside the block and give them back as they were."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    seed = mix_seed(*numbers)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed % 2**63)  # torch.manual_seed would reseed the GPU too
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


def start_worker(worker_id, parent):
    """A worker leaves signals meant for the whole run to the main process, and does not begin without it: torch looks
    whether the parent is gone, but takes the one that it finds now for the parent."""
    if os.getppid() != parent:
        os._exit(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.signal(signal.SIGTERM, signal.SIG_DFL))  # a second one counts


def refuse_mixing(mix_prob):
    """UserError for Mix3D: two scenes laid over each other would share voxels, of which a network has one a place."""
    if mix_prob:
        raise UserError(f"mix_prob is {mix_prob}: networks on voxels cannot mix scenes (Mix3D), set mix_prob=0.")


def build_train_loader(cfg):
    """Loader over `cfg.data.train` for this process; shuffled, `drop_last` when there is more than one batch."""
    refuse_mixing(cfg.mix_prob)
    dataset = DATASETS.build(cfg.data.train)
    if not len(dataset):
        raise UserError(f"the training set is empty: check data.train, {dict(cfg.data.train)}.")
    return DataLoader(
        SeededDataset(dataset, cfg.seed),
        batch_size=cfg.batch_size_per_gpu,
        sampler=EpochSampler(len(dataset), cfg.seed, comm.get_rank(), comm.get_world_size()),
        drop_last=len(dataset) > cfg.batch_size,
        persistent_workers=cfg.num_worker_per_gpu > 0,
        **_shared_arguments(cfg),
    )


def build_val_loader(cfg):
    """Loader over this process's share of `cfg.data.val`, in order, no scene twice; None unless `cfg.evaluate`."""
    if not (cfg.evaluate and cfg.data.get("val")):
        return None
    dataset = DATASETS.build(cfg.data.val)
    keys = [(0, index) for index in range(comm.get_rank(), len(dataset), comm.get_world_size())]
    return DataLoader(
        SeededDataset(dataset, cfg.seed), batch_size=cfg.batch_size_val_per_gpu, sampler=keys, **_shared_arguments(cfg)
    )


def _shared_arguments(cfg):
    # A generator of its own: making an iterator must not draw from the generator that the model uses.
    return dict(
        num_workers=cfg.num_worker_per_gpu,
        collate_fn=collate_fn,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=partial(start_worker, parent=os.getpid()),
        generator=torch.Generator().manual_seed(cfg.seed),
    )
