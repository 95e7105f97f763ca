"""Data loaders whose batches are a function of (seed, epoch, position) alone.

Neither the number of workers nor an interruption changes them: the sampler orders each epoch from (seed, epoch), and
every item is drawn with python, numpy and torch seeded from (seed, epoch, index).
"""

import os
import random
import signal
import traceback
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from pointcept_msm.embedded.orphans import die_with_parent
from pointcept_msm.embedded.registry import DATASETS
from pointcept_msm.runtime import comm


class SceneError(ValueError):
    """A scene, or a batch of scenes, that could not be made; `details` is the traceback, for the log."""

    details = ""

    @classmethod
    def from_error(cls, what, error):
        """One sentence from any exception: what failed, and why in the words of the error."""
        text = " ".join(str(error).split()) or "no reason given"
        foreseen = isinstance(error, (ValueError, OSError))
        scene_error = cls(f"{what}: {text}" if foreseen else f"{what}: {type(error).__name__}: {text}")
        scene_error.details = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        return scene_error


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

    An item that fails raises SceneError with its name. In a batch the error takes the batch's place: raised in a
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
            except Exception as error:
                raise SceneError.from_error(f"scene {self._name(key[1])} cannot be used", error) from error

    def __getitems__(self, keys):
        seeds = (self.seed, 1, *keys[0])
        try:
            return [self[key] for key in keys], seeds
        except SceneError as error:
            return error, seeds

    def _name(self, index):
        try:
            return str(self.dataset.get_data_name(index))
        except Exception:  # a dataset without names, or what broke the scene breaks its name too
            return f"number {index}"


def collate_seeded(batch, collate):
    """Collate what SeededDataset returns; a collate function that draws (mixing) is seeded as well."""
    items, key = batch
    if isinstance(items, SceneError):
        return items
    with seeded(*key):
        try:
            return collate(items)
        except Exception as error:
            names = ", ".join(str(item.get("name", "unnamed")) for item in items if isinstance(item, dict))
            return SceneError.from_error(f"scenes {names} cannot be put into one batch", error)


def mix_seed(*numbers):
    """One 64-bit seed from several non-negative numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])


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


def start_worker(worker_id, parent=None):
    """A worker leaves signals meant for the whole run to the main process, and ends when that one is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.signal(signal.SIGTERM, signal.SIG_DFL))  # a second one counts
    die_with_parent(signal.SIGKILL, parent)
    torch.set_num_threads(1)


def stop_workers(loader):
    """End a loader's persistent workers now; left to the interpreter's exit they would be killed, and be an error."""
    iterator, loader._iterator = getattr(loader, "_iterator", None), None
    if hasattr(iterator, "_shutdown_workers"):
        iterator._shutdown_workers()


def build_train_loader(cfg):
    """Loader over `cfg.data.train` for this process; shuffled, `drop_last` when there is more than one batch."""
    from pointcept_msm.embedded.collate import point_collate_fn

    dataset = DATASETS.build(cfg.data.train)
    if not len(dataset):
        raise ValueError(f"the training set is empty: check data.train, {dict(cfg.data.train)}.")
    sampler = EpochSampler(len(dataset), cfg.seed, comm.get_rank(), comm.get_world_size())
    collate = partial(point_collate_fn, mix_prob=cfg.mix_prob)
    return DataLoader(
        SeededDataset(dataset, cfg.seed),
        batch_size=cfg.batch_size_per_gpu,
        sampler=sampler,
        collate_fn=partial(collate_seeded, collate=collate),
        drop_last=len(dataset) > cfg.batch_size,
        persistent_workers=cfg.num_worker_per_gpu > 0,
        **_worker_arguments(cfg),
    )


def build_val_loader(cfg):
    """Loader over this process's share of `cfg.data.val`, in order, no scene twice; None unless `cfg.evaluate`."""
    from pointcept_msm.embedded.collate import collate_fn

    if not (cfg.evaluate and cfg.data.get("val")):
        return None
    dataset = DATASETS.build(cfg.data.val)
    keys = [(0, index) for index in range(comm.get_rank(), len(dataset), comm.get_world_size())]
    return DataLoader(
        SeededDataset(dataset, cfg.seed),
        batch_size=cfg.batch_size_val_per_gpu,
        sampler=keys,
        collate_fn=partial(collate_seeded, collate=collate_fn),
        **_worker_arguments(cfg),
    )


def _worker_arguments(cfg):
    # A generator of its own: making an iterator must not draw from the generator that the model uses.
    return dict(
        num_workers=cfg.num_worker_per_gpu,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=partial(start_worker, parent=os.getpid()),
        generator=torch.Generator().manual_seed(cfg.seed),
    )
