"""Judging frozen features: kNN, linear and instance probes on arrays, label budgets, layer importance, reports."""
