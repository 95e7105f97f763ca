"""Freed memory goes back to the system, at the steps that are meant."""

import os
from pathlib import Path

import pytest
import torch

from pointcept_msm.runtime.freed_memory import EVERY, _find_trim, limit_kernel_cache, release_freed_memory


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(_find_trim() is None, reason="needs glibc's malloc_trim")
def test_pieces_between_live_memory_are_given_back():
    pieces = [torch.ones(1 << 12) for _ in range(8000)]  # 16 KiB each: below the size that is mapped by itself
    kept = pieces[::20]
    full = resident()
    del pieces
    assert not release_freed_memory(EVERY + 1)
    assert release_freed_memory(2 * EVERY)
    assert full - resident() > 80 * 2**20, "of 125 MiB; what is kept is scattered over them"
    assert len(kept) == 400


def test_a_stated_capacity_is_kept(monkeypatch):
    monkeypatch.delenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", raising=False)
    limit_kernel_cache()
    assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == "0"
    monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
    limit_kernel_cache()
    assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == "64"
