"""Procedural rooms: furnished, lit, scanned and labelled scenes from a seed."""

from pointcept_msm.datasets.rooms.classes import GENERATOR_VERSION, ROOM_CLASSES
from pointcept_msm.datasets.rooms.dataset import MSMRoomsDataset
from pointcept_msm.datasets.rooms.generate import generate_room
from pointcept_msm.datasets.rooms.store import load_or_make, save_rooms

__all__ = ["GENERATOR_VERSION", "ROOM_CLASSES", "MSMRoomsDataset", "generate_room", "load_or_make", "save_rooms"]
