"""Training hooks for both hosts; importing this package registers them."""

from pointcept_msm.engines.hooks.checkpointer import MSMCheckpointer
from pointcept_msm.engines.hooks.collapse_monitor import MSMCollapseMonitor
from pointcept_msm.engines.hooks.masking import MSMMaskingHook
from pointcept_msm.engines.hooks.metrics_writer import MSMMetricsWriter
from pointcept_msm.engines.hooks.probe_evaluator import MSMProbeEvaluator
from pointcept_msm.engines.hooks.teacher import MSMTeacherHook

__all__ = [
    "MSMCheckpointer",
    "MSMCollapseMonitor",
    "MSMMaskingHook",
    "MSMMetricsWriter",
    "MSMProbeEvaluator",
    "MSMTeacherHook",
]
