"""Rooms on disk: `<root>/<split>/room_0000/*.npy` in Pointcept's folder format, and `<root>/classes.json`.

A room is written into a hidden folder and renamed, so that it is either there whole or not there. `classes.json`
records what made the folder; rooms of another seed, generator version or size, or anybody's own scenes, are never
mixed with.
"""

import json
import logging
import multiprocessing
import os
import shutil
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from pointcept_msm.files.atomic import replace_file
from pointcept_msm.rooms.generate import GENERATOR_VERSION, ROOM_CLASSES, check_arguments, generate_room
from pointcept_msm.runtime.errors import UserError

LOGGER = logging.getLogger("msm")
DTYPES = {"coord": "float32", "color": "uint8", "normal": "float16", "segment": "int16", "instance": "int16"}


def room_path(root, split: str, index: int) -> Path:
    """Folder of one room."""
    return Path(root) / split / f"room_{index:04d}"


def is_complete(path: Path) -> bool:
    """True when every field of a room is there."""
    return all((path / f"{field}.npy").is_file() for field in DTYPES)


def save_rooms(
    root, split: str, count: int, seed: int = 0, points: int = 120_000, workers: int = 2, progress=None
) -> int:
    """Make the rooms 0 to `count` - 1 of a split that are missing under `root`; returns how many were made.

    `progress` is called with the number of rooms that were there, then with 1 for each that is made.

    UserError: `root` holds other rooms, or anything else.
    """
    root, report = Path(root).expanduser(), progress or (lambda done: None)
    check_arguments(seed, split, 0, points)
    check_root(root, seed, points)
    root.mkdir(parents=True, exist_ok=True)
    lock = FileLock(root / ".rooms.lock")  # one process at a time makes rooms here; the lock ends with its process
    try:
        lock.acquire(timeout=0)
    except Timeout:
        LOGGER.info("waiting for another process that makes rooms in %s", root)
        lock.acquire()
    try:
        wanted = check_root(root, seed, points)
        if not (root / "classes.json").exists():
            with replace_file(root / "classes.json", "w") as file:
                json.dump({"names": list(ROOM_CLASSES), **wanted}, file, indent=2)
        missing = [index for index in range(count) if not is_complete(room_path(root, split, index))]
        report(count - len(missing))
        if missing:
            LOGGER.info("making %d rooms of %d points in %s", len(missing), points, root / split)
        for leftover in root.glob(".making_*"):  # of a killed run
            shutil.rmtree(leftover, ignore_errors=True)
        for _ in _in_processes(partial(write_room, root, split, seed=seed, points=points), missing, workers):
            report(1)
    finally:
        lock.release()
    return len(missing)


def check_root(root: Path, seed: int, points: int) -> dict:
    """What `classes.json` of these rooms says. UserError: `root` holds rooms made otherwise, or no rooms of ours."""
    wanted = {
        "generator": "pointcept_msm rooms",
        "version": GENERATOR_VERSION,
        "seed": int(seed),
        "points": int(points),
    }
    path = root / "classes.json"
    foreign = sorted(entry.name for entry in root.glob("*") if not entry.name.startswith("."))
    if not foreign:
        return wanted
    try:
        found = json.loads(path.read_text()) if path.exists() else None
    except ValueError as error:
        raise UserError(f"{path} cannot be read ({error}); choose another folder, or remove this one.") from error
    if not isinstance(found, dict) or found.get("generator") != wanted["generator"]:
        raise UserError(
            f"{root.absolute()} holds {foreign[0]}, which no generator of rooms made, so that none are made there; "
            "choose a new folder for procedural rooms, and for scenes of your own a config with MSMScenesDataset."
        )
    changed = [f"{k} {found.get(k)!r} instead of {v!r}" for k, v in wanted.items() if found.get(k) != v]
    if changed:
        raise UserError(f"{root} holds rooms made with {', '.join(changed)}; choose another folder or remove this one.")
    return wanted


def write_room(root: Path, split: str, index: int, seed: int, points: int) -> None:
    """Generate one room and put it in place in one step."""
    target = room_path(root, split, index)
    scene = generate_room(seed, split, index, points)
    temporary = root / f".making_{split}_{target.name}_{os.getpid()}"  # beside the splits: no scene
    try:
        temporary.mkdir(exist_ok=True)
        for field, dtype in DTYPES.items():
            np.save(temporary / f"{field}.npy", scene[field].astype(dtype))
        if target.exists():  # incomplete: some of its files were deleted
            shutil.rmtree(target)
        target.parent.mkdir(exist_ok=True)
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _in_processes(write, missing: list[int], workers: int):
    """Yield after each room; by worker processes where they can be forked: spawned ones would import torch again."""
    workers = min(workers, len(missing))
    if workers < 2 or not sys.platform.startswith("linux"):
        yield from map(write, missing)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("fork")) as pool:
        yield from pool.map(write, missing)
