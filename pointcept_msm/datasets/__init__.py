"""Data sets and views; importing this registers them in the host."""

from pointcept_msm.datasets import halves, inputs, scenes, views, votenet

__all__ = ["halves", "inputs", "scenes", "views", "votenet"]
