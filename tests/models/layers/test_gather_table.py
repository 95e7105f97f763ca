"""Kernel maps as spconv takes them, against a plain loop over coordinates."""

from itertools import product

import pytest
import torch

from pointcept_msm.models.layers import kernel_map, neighbours
from pointcept_msm.models.layers.gather_table import build_gather_table, build_pair_lists
from pointcept_msm.models.layers.pyramid import build_pyramid
from tests.models.sparse_scenes import join, random_scene


@pytest.fixture(params=["table first", "one block", "many blocks"])
def pyramid(request, monkeypatch):
    monkeypatch.setattr(kernel_map, "BLOCK_ROWS", 64 if request.param == "many blocks" else 16384)
    monkeypatch.setattr(neighbours, "SEARCHED", 16)
    batch = join(random_scene(150, 8, seed=0), random_scene(100, 8, seed=1))
    made = build_pyramid(batch["grid_coord"], batch["offset"], 2)[0]
    if request.param != "table first":
        assert made.submanifold_map(0).blocks and made.strided_map(0).blocks
    return made


def rows_by_coord(pyramid, level):
    return {tuple(coord): row for row, coord in enumerate(pyramid.coords[level].tolist())}


def loop_submanifold(pyramid):
    """{(tap, output row): input row} of spconv's SubMConv3d: input at output + tap - 1."""
    rows = rows_by_coord(pyramid, 0)
    met = {}
    for (b, x, y, z), out in rows.items():
        for tap, (i, j, k) in enumerate(product(range(3), repeat=3)):
            if (b, x + i - 1, y + j - 1, z + k - 1) in rows:
                met[tap, out] = rows[b, x + i - 1, y + j - 1, z + k - 1]
    return met


def loop_strided(pyramid):
    """Of spconv's SparseConv3d with kernel and stride 2: input at 2 output + tap."""
    fine, coarse = rows_by_coord(pyramid, 0), rows_by_coord(pyramid, 1)
    met = {}
    for (b, x, y, z), out in coarse.items():
        for tap, (i, j, k) in enumerate(product(range(2), repeat=3)):
            if (b, 2 * x + i, 2 * y + j, 2 * z + k) in fine:
                met[tap, out] = fine[b, 2 * x + i, 2 * y + j, 2 * z + k]
    return met


def exchange(met):
    return {(tap, row): out for (tap, out), row in met.items()}


CASES = {
    "submanifold": (lambda p: p.submanifold_map(0), loop_submanifold),
    "submanifold, transposed": (lambda p: p.submanifold_map(0).transposed, lambda p: exchange(loop_submanifold(p))),
    "strided": (lambda p: p.strided_map(0), loop_strided),
    "inverse": (lambda p: p.strided_map(0).transposed, lambda p: exchange(loop_strided(p))),
}


@pytest.fixture(params=CASES)
def case(request, pyramid):
    make, loop = CASES[request.param]
    return make(pyramid), loop(pyramid)


def test_gather_table_equals_a_loop(case):
    made, met = case
    table = build_gather_table(made)
    assert table.rows.dtype == table.order.dtype == table.mask.dtype == torch.int32
    assert table.rows.is_contiguous() and table.mask.shape == (made.num_out, 1)
    found = {(tap, out): int(table.rows[tap, out]) for tap, out in (table.rows >= 0).nonzero().tolist()}
    assert found == met
    assert int(table.rows.min()) >= -1
    bits = [0] * made.num_out
    for tap, out in met:
        bits[out] |= 1 << tap
    assert sorted(table.order.tolist()) == list(range(made.num_out))
    assert table.mask[:, 0].tolist() == [bits[out] for out in table.order.tolist()] == sorted(bits)


def test_pair_lists_equal_a_loop(case):
    made, met = case
    pairs, counts = build_pair_lists(made)
    assert pairs.dtype == counts.dtype == torch.int32 and pairs.is_contiguous()
    found = {}
    for tap, count in enumerate(counts.tolist()):
        assert (pairs[:, tap, count:] == -1).all()
        found |= {(tap, out): row for row, out in zip(*pairs[:, tap, :count].tolist(), strict=True)}
    assert found == met and int(counts.sum()) == len(met) == made.num_pairs


def test_tables_are_made_once_and_kept_for_each_direction(pyramid):
    strided = pyramid.strided_map(0)
    table = strided.keep(build_gather_table)
    assert pyramid.strided_map(0).keep(build_gather_table) is table
    assert strided.transposed.keep(build_gather_table).rows.shape == (8, pyramid.count(0))


def test_a_scene_of_one_voxel():
    """Its table is contiguous either way round: nothing may be written into the pyramid's own."""
    made = build_pyramid(torch.zeros(1, 3), torch.tensor([1]), 1)[0].submanifold_map(0)
    for direction in (made, made.transposed, made):
        table = build_gather_table(direction)
        assert table.rows[:, 0].tolist() == [-1] * 13 + [0] + [-1] * 13 and table.mask.item() == 1 << 13
