"""Datasets and view generation; importing this registers them in the host."""

from pointcept_msm.datasets import drop_inputs, rooms, scenes, single_view, views

__all__ = ["drop_inputs", "rooms", "scenes", "single_view", "views"]
