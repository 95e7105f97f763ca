"""Rooms on disk: `<root>/<split>/room_0000/*.npy` in Pointcept's folder format, and `<root>/classes.json`.

A room is written into a hidden folder and renamed, so that it is either there whole or not there. `classes.json`
records what made the folder; rooms of another seed, generator version or size are never mixed in.
"""

import json
import logging
import multiprocessing
import os
import shutil
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from pointcept_msm.files.atomic import replace_file
from pointcept_msm.files.scene_io import load_scene
from pointcept_msm.rooms.classes import GENERATOR_VERSION, ROOM_CLASSES
from pointcept_msm.rooms.generate import check_arguments, generate_room

LOGGER = logging.getLogger("msm")
FIELDS = ("coord", "color", "normal", "segment", "instance")
DTYPES = dict(zip(FIELDS, (np.float32, np.uint8, np.float16, np.int16, np.int16)))
FEW = 4  # so many missing rooms are made here rather than in worker processes


def room_path(root, split: str, index: int) -> Path:
    """Folder of one room."""
    return Path(root) / split / f"room_{index:04d}"


def is_complete(path: Path) -> bool:
    """True when every field of a room is there."""
    return all((path / f"{field}.npy").is_file() for field in FIELDS)


def save_rooms(
    root, split: str, count: int, seed: int = 0, points: int = 120_000, workers: int = 2, progress=None
) -> int:
    """Make the rooms 0 to `count` - 1 of a split that are missing under `root`; returns how many were made.

    `progress` is called once for every room that is complete. Raises ValueError when `root` holds other rooms.
    """
    root, count = Path(root), _check_count(count, workers)
    check_arguments(seed, split, 0, points)
    report = progress or (lambda: None)
    root.mkdir(parents=True, exist_ok=True)
    with _locked(root):
        _claim_root(root, seed, points)
        missing = [index for index in range(count) if not is_complete(room_path(root, split, index))]
        for _ in range(count - len(missing)):
            report()
        if missing:
            LOGGER.info("making %d rooms of %d points in %s", len(missing), points, root / split)
            _remove_leftovers(root)
            _make_rooms(partial(write_room, root, split, seed=seed, points=points), missing, workers, report)
    return len(missing)


def load_or_make(root, split: str, index: int, seed: int = 0, points: int = 120_000) -> dict:
    """The scene dict of one room, made and saved first if it is missing."""
    if not is_complete(room_path(root, split, index)):
        check_arguments(seed, split, index, points)
        Path(root).mkdir(parents=True, exist_ok=True)
        with _locked(Path(root)):
            _claim_root(Path(root), seed, points)
            if not is_complete(room_path(root, split, index)):
                write_room(root, split, index, seed, points)
    return load_scene(room_path(root, split, index), require=FIELDS)


def write_room(root, split: str, index: int, seed: int, points: int) -> Path:
    """Generate one room and put it in place in one step."""
    target = room_path(root, split, index)
    scene = generate_room(seed, split, index, points)
    temporary = Path(root) / f".making_{split}_{target.name}_{os.getpid()}"  # beside the splits: no scene
    try:
        temporary.mkdir(parents=True, exist_ok=True)
        for field, dtype in DTYPES.items():
            np.save(temporary / f"{field}.npy", scene[field].astype(dtype))
        if target.exists():  # incomplete: some of its files were deleted
            shutil.rmtree(target)
        target.parent.mkdir(exist_ok=True)
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def _check_count(count: int, workers: int) -> int:
    for name, value, least in (("the number of rooms", count, 0), ("workers", workers, 1)):
        if int(value) != value or value < least:
            raise ValueError(f"{name} is {value!r}; it must be a whole number of at least {least}.")
    return int(count)


def _claim_root(root: Path, seed: int, points: int) -> None:
    """Record what makes the rooms under `root`, or refuse a root made otherwise."""
    wanted = {
        "generator": "pointcept_msm rooms",
        "version": GENERATOR_VERSION,
        "seed": int(seed),
        "points": int(points),
    }
    path = root / "classes.json"
    if not path.exists():
        rooms = next(root.glob("*/room_*/coord.npy"), None)
        if rooms is not None:
            raise ValueError(
                f"{root} holds rooms but no classes.json that says what made them; choose an empty folder."
            )
        with replace_file(path, "w") as file:
            json.dump({"names": list(ROOM_CLASSES), **wanted}, file, indent=2)
        return
    try:
        found = json.loads(path.read_text())
        changed = [
            f"{key} {found.get(key)!r} instead of {value!r}" for key, value in wanted.items() if found.get(key) != value
        ]
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{path} cannot be read ({error}); remove {root} or choose another folder.") from error
    if changed:
        raise ValueError(
            f"{root} holds rooms made with {', '.join(changed)}; choose another folder or remove this one."
        )


@contextmanager
def _locked(root: Path):
    """One process at a time makes rooms under `root`; the lock ends with its process. No lock on Windows."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with open(root / ".rooms.lock", "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            LOGGER.info("waiting for another process that makes rooms in %s", root)
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:  # some network file systems: rooms are renamed into place, so only time is lost
            LOGGER.warning("no lock on %s (%s); several processes may make the same rooms", root, error)
        yield


def _remove_leftovers(root: Path) -> None:
    """Delete what a killed run left behind; call it under the lock."""
    for path in root.glob(".making_*"):
        shutil.rmtree(path, ignore_errors=True)


def _make_rooms(write, missing: list[int], workers: int, report) -> None:
    if min(workers, len(missing)) < 2 or len(missing) <= FEW or not _can_fork():
        for index in missing:
            write(index)
            report()
        return
    context = multiprocessing.get_context("fork")  # the children only run numpy; spawning would import torch again
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        with ProcessPoolExecutor(min(workers, len(missing)), mp_context=context) as pool:
            jobs = [pool.submit(write, index) for index in missing]
            try:
                for job in as_completed(jobs):
                    job.result()
                    report()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _can_fork() -> bool:
    """Worker processes are for Linux, and a data loader's worker may not start any."""
    return sys.platform.startswith("linux") and not multiprocessing.current_process().daemon
