"""Procedural rooms: furnished, lit, scanned and labelled scenes from a seed."""

from pointcept_msm.rooms.classes import GENERATOR_VERSION, ROOM_CLASSES
from pointcept_msm.rooms.generate import generate_room
from pointcept_msm.rooms.store import load_or_make, save_rooms

__all__ = ["GENERATOR_VERSION", "ROOM_CLASSES", "generate_room", "load_or_make", "save_rooms"]
