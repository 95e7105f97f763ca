"""Hooks and testers for both hosts; importing this package registers them."""

from pointcept_msm.engines import checkpointer, evaluators, method_hooks, metrics_writer, task_tester, tester

__all__ = ["checkpointer", "evaluators", "method_hooks", "metrics_writer", "task_tester", "tester"]
