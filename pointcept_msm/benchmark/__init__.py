"""Timings and memory of the parts that cost: `tools/benchmark.py` runs them."""
