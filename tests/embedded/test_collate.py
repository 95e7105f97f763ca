"""Batches: concatenation, offsets, Mix3D (against a real Pointcept: tests/host/test_host_parity.py)."""

import random

import pytest
import torch

from pointcept_msm.embedded.collate import collate_fn, point_collate_fn


def sample(points, start=0.0, **entries):
    coord = torch.arange(points * 3).reshape(points, 3).float() + start
    return dict(coord=coord, offset=torch.tensor([points]), name=f"s{points}", **entries)


def test_points_are_joined_and_offsets_run_on():
    batch = collate_fn([sample(2), sample(3), sample(1)])
    assert batch["offset"].tolist() == [2, 5, 6] and batch["offset"].dtype == torch.int64
    assert torch.equal(batch["coord"], torch.cat([sample(n)["coord"] for n in (2, 3, 1)]))
    assert batch["name"] == ["s2", "s3", "s1"]


def test_view_offsets_stay_cumulative():
    samples = [dict(view_offset=torch.tensor(ends), x=torch.zeros(ends[-1])) for ends in ([2, 5], [1, 2])]
    assert point_collate_fn(samples)["view_offset"].tolist() == [2, 5, 6, 7]


def test_view_batches_are_never_mixed():
    samples = [dict(view_offset=torch.tensor([2]), offset=torch.tensor([2]), x=torch.zeros(2))] * 2
    with pytest.raises(
        ValueError, match=r"mix_prob=0.1 cannot mix view batches \(they have view_offset\); set mix_prob=0"
    ):
        point_collate_fn(samples, mix_prob=0.1)


def test_lists_and_numbers():
    assert collate_fn([[1, 2], [3]]).tolist() == [1, 2, 3]
    assert collate_fn([1, 2]).tolist() == [1, 2]


def test_mixing_merges_neighbours():
    batch = point_collate_fn([sample(n) for n in (2, 3, 1, 4, 5)], mix_prob=1)
    assert batch["offset"].tolist() == [5, 10, 15]
    assert point_collate_fn([sample(n) for n in (2, 3)], mix_prob=1)["offset"].tolist() == [5]
    assert point_collate_fn([sample(2)], mix_prob=1)["offset"].tolist() == [2]


def test_mixed_instances_stay_apart():
    scenes = [[0, 1, -1], [0, 0, -1], [-1], [2, 0]]
    samples = [sample(len(ids), instance=torch.tensor(ids)) for ids in scenes]
    assert point_collate_fn(samples, mix_prob=1)["instance"].tolist() == [0, 1, -1, 2, 2, -1, -1, 2, 0]


def test_mixed_grid_starts_at_zero_per_merged_scene():
    samples = [
        dict(sample(2, start), grid_coord=torch.zeros(2, 3, dtype=torch.int64), grid_size=torch.tensor([0.5]))
        for start in (-1.0, 0.0, 7.0)
    ]
    batch = point_collate_fn(samples, mix_prob=1)
    first, second = batch["grid_coord"][:4], batch["grid_coord"][4:]
    assert first.tolist() == [[0, 0, 0], [6, 6, 6], [2, 2, 2], [8, 8, 8]]
    assert second.tolist() == [[0, 0, 0], [6, 6, 6]]


def test_share_of_mixed_batches():
    random.seed(1)
    mixed = sum(len(point_collate_fn([sample(1), sample(1)], mix_prob=0.8)["offset"]) == 1 for _ in range(300))
    assert 210 < mixed < 270


def test_only_dictionaries():
    with pytest.raises(TypeError, match="dictionaries"):
        point_collate_fn([torch.zeros(3)])
