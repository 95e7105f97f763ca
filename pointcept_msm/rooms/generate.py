"""One procedural room from (seed, split, index): plan, furniture, light, scans, point cloud."""

import zlib
from typing import NamedTuple

import numpy as np

from pointcept_msm.rooms.layout import Room, build_shell
from pointcept_msm.rooms.programs import ROOM_KINDS, furnish_room
from pointcept_msm.rooms.scanner import Scan, build_light, sample_stands, scan_room
from pointcept_msm.rooms.solids import Solids, rotation, stack_parts
from pointcept_msm.runtime.errors import UserError

ROOM_CLASSES: tuple[str, ...] = (  # the position is the value stored in `segment`
    "floor", "wall", "ceiling", "door", "window", "chair", "table", "desk", "counter", "sofa", "armchair", "bed",
    "cabinet", "bookshelf", "lamp", "sink", "toilet", "monitor", "curtain", "plant", "picture", "clutter",
)  # fmt: skip
STRUCTURE: tuple[str, ...] = ("floor", "wall", "ceiling")  # surfaces without an instance (instance = -1)

# Raise this whenever a change alters what `generate_room` returns for the same arguments: folders made
# by another version are then refused instead of mixed.
GENERATOR_VERSION = 1

RAYS_PER_POINT = 2.7  # rays cast for each point wanted: holes and thinning take the rest


class Plan(NamedTuple):
    """A furnished room before it is scanned, in its own frame."""

    room: Room
    solids: Solids
    stands: np.ndarray  # (S, 3) scanner positions


def generate_room(seed: int, split: str, index: int, points: int = 120_000) -> dict:
    """A scanned room as a scene dict: coord, color, normal (points, 3) float32; segment, instance (points,) int32.

    The same arguments give the same arrays. `points` must be at least 1000; `segment` indexes `ROOM_CLASSES`.
    """
    check_arguments(seed, split, index, points)
    plan = build_plan(seed, split, index)
    scan = scan_plan(plan, _stream(seed, split, index, 1), points)
    return _build_scene(plan, scan, _stream(seed, split, index, 2))


def check_arguments(seed: int, split: str, index: int, points: int) -> None:
    """Raise UserError for a negative seed or index, an empty split or too few points."""
    for name, value, least in (("seed", seed, 0), ("index", index, 0), ("points", points, 1000)):
        if int(value) != value or value < least:
            raise UserError(f"{name} of a procedural room is {value!r}; it must be a whole number of at least {least}.")
    if not split or "/" in split or split.startswith("."):
        raise UserError(f"split of a procedural room is {split!r}; it must be a plain folder name such as 'train'.")


def build_plan(seed: int, split: str, index: int) -> Plan:
    """Plan, furniture and scanner positions; consecutive indices run through all kinds of rooms."""
    kinds = tuple(ROOM_KINDS)
    kind = kinds[(index + zlib.crc32(f"{seed}/{split}".encode())) % len(kinds)]
    rng = _stream(seed, split, index, 0)
    room = Room(build_shell(rng, *ROOM_KINDS[kind][:2]), rng)
    furnish_room(room, kind)
    numbered, instance = [], 0  # instance numbers for everything but floor, walls and ceiling
    for name, parts in room.build_groups():
        structural = name in STRUCTURE
        numbered.append((parts, ROOM_CLASSES.index(name), -1 if structural else instance))
        instance += not structural
    return Plan(room, stack_parts(numbered), sample_stands(room, rng))


def scan_plan(plan: Plan, rng: np.random.Generator, points: int) -> Scan:
    """Exactly `points` scanned points, a random choice of all that were measured."""
    shade, rays = build_light(plan.solids, plan.room.shell.size, rng), RAYS_PER_POINT * points
    for _ in range(6):
        scan = scan_room(plan.solids, shade, plan.stands, int(rays), rng)
        if len(scan.part) >= points:
            break
        rays *= 1.1 * points / len(scan.part)
    rows = np.sort(rng.permutation(len(scan.part))[:points])
    return Scan(*(field[rows] for field in scan))


def _stream(seed: int, split: str, index: int, purpose: int) -> np.random.Generator:
    """Independent random numbers for each room and purpose (0 plan, 1 scan, 2 pose)."""
    key = (zlib.crc32(split.encode()), int(index), purpose)
    return np.random.default_rng(np.random.SeedSequence(int(seed), spawn_key=key))


def _build_scene(plan: Plan, scan: Scan, rng: np.random.Generator) -> dict:
    """Turn and shift the room, number the instances that were seen, round, name the fields.

    Coordinates are rounded to 0.1 mm and normals to half precision: what is stored on disk is what is returned.
    """
    turn = rotation(rng.uniform(-np.pi, np.pi))
    offset = np.array([rng.uniform(-4, 4), rng.uniform(-4, 4), rng.normal(0, 0.015)])
    coord = (scan.coord[:, None, :] * turn).sum(axis=2) + offset
    normal = (scan.normal[:, None, :] * turn).sum(axis=2)
    instance = plan.solids.instance[scan.part]
    seen = np.unique(instance[instance >= 0])
    return {
        "coord": np.round(coord, 4).astype(np.float32),
        "color": scan.color.astype(np.float32),
        "normal": np.round(normal, 3).astype(np.float16).astype(np.float32),
        "segment": plan.solids.segment[scan.part].astype(np.int32),
        "instance": np.where(instance >= 0, np.searchsorted(seen, instance), -1).astype(np.int32),
    }
