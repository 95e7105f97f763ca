"""Datasets and view generation; importing this registers them in the host."""

from pointcept_msm.datasets import color_scale, drop_inputs, halves, rooms, scenes, single_view, views

__all__ = ["color_scale", "drop_inputs", "halves", "rooms", "scenes", "single_view", "views"]
