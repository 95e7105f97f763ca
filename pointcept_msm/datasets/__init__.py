"""Datasets and view generation; importing this registers them in the host."""

from pointcept_msm.datasets import halves, rooms, scenes, single_view, views

__all__ = ["halves", "rooms", "scenes", "single_view", "views"]
