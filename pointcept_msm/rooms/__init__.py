"""Procedural rooms: furnished, lit, scanned and labelled scenes from a seed."""

from pointcept_msm.rooms.generate import GENERATOR_VERSION, ROOM_CLASSES, generate_room
from pointcept_msm.rooms.store import save_rooms

__all__ = ["GENERATOR_VERSION", "ROOM_CLASSES", "generate_room", "save_rooms"]
