"""Hooks and testers for both hosts; importing this package registers them."""

from pointcept_msm.engines import hooks, tester

__all__ = ["hooks", "tester"]
