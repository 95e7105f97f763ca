"""The screened kNN search leaves out no neighbour: against float64 products, on rows whose roundings add up too."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pointcept_msm.probing import knn, screening
from pointcept_msm.probing.screening import best_candidates, candidates, round_rows


def unit(rows, width, seed=0):
    return F.normalize(torch.randn(rows, width, generator=torch.Generator().manual_seed(seed)), dim=1)


def rounded_down(rows, width, seed=0):
    """Unit rows whose every entry lies just below the middle of two bfloat16 numbers: all roundings go one way."""
    half = 0.99 * unit(rows, width, seed).bfloat16()  # shorter, so that no length passes one
    up = (half.view(torch.int16) + 1).view(torch.bfloat16)
    return half.float() + 0.49 * (up.float() - half.float())


@pytest.mark.parametrize("make", [unit, rounded_down])
@pytest.mark.parametrize("width", [3, 64, 928])
def test_no_pair_above_the_floor_is_left_out(make, width):
    query = make(64, width)
    bank = torch.cat([make(500, width, 1), F.normalize(query + 0.05 * unit(64, width, 2), dim=1), query])
    cosine = query.double() @ bank.double().T
    for floor in cosine.quantile(0.5, dim=1), cosine.topk(3, dim=1)[0][:, -1], torch.full((64,), 0.3):
        pairs = candidates(round_rows(query), round_rows(bank), floor.float())
        found = torch.zeros_like(cosine, dtype=torch.bool)
        found[tuple(pairs.T)] = True
        above = cosine >= floor.float().double()[:, None]
        assert not (above & ~found).any()
        assert not (found & (cosine < floor[:, None] - 0.03)).any()  # and it rules most of the others out


@pytest.mark.parametrize("rounded", ["query", "bank", "both"])
def test_rounded_products_stay_within_the_bound_and_come_near_it(rounded):
    """All entries positive and rounded down, rows alike: errors add up."""
    row = rounded_down(1, 512).abs()
    query, bank = (row if rounded in (side, "both") else row.bfloat16().float() for side in ("query", "bank"))
    (q, q_error), (b, b_error) = (round_rows(x) for x in (query, bank))
    error = (query.double() @ bank.double().T - q.double() @ b.double().T).abs().item()
    bound = screening.largest_error(screening.Rounded(q, q_error), screening.Rounded(b, b_error)).item()
    assert 0.8 * bound < error <= bound


def test_best_candidates_equal_a_plain_loop():
    query, bank = unit(5, 16), unit(40, 16, 1)
    pairs = (torch.rand(5, 40, generator=torch.Generator().manual_seed(2)) < 0.3).nonzero()
    pairs = pairs[pairs[:, 0] != 3]  # one query without any
    value, row = best_candidates(query, bank, pairs, 4)
    for i in range(5):
        mine = sorted(((query[i] @ bank[j]).item(), j.item()) for q, j in pairs if q == i)[::-1][:4]
        got = [(v, r) for v, r in zip(value[i].tolist(), row[i].tolist(), strict=True) if v > -2]
        assert [r for _, r in got] == [r for _, r in mine]
        np.testing.assert_allclose([v for v, _ in got], [v for v, _ in mine], atol=1e-6)
    assert best_candidates(query, bank, pairs[:0], 4)[0].shape == (5, 0)


@pytest.mark.parametrize("noise, most", [(0.3, 1), (2.0, 1), (2.0, 0.03)])  # 0.03: some blocks are searched whole
def test_the_search_is_the_same_with_and_without(monkeypatch, noise, most):
    shared = torch.Generator().manual_seed(0)
    rows = torch.randn(20, 48, generator=shared) + noise * torch.randn(99, 20, 48, generator=shared)
    query, bank = rows[:9].flatten(0, 1), rows[9:].flatten(0, 1)
    screened = []
    monkeypatch.setattr(knn, "best_candidates", lambda *a: screened.append(1) or best_candidates(*a))
    monkeypatch.setattr(knn, "MOST_CANDIDATES", most)
    found = {}
    for pays in (True, False):
        monkeypatch.setattr(knn, "halves_pay", lambda device, pays=pays: pays)
        found[pays] = knn.find_neighbours(query, bank, 10, query_chunk=50, bank_chunk=300)
    assert len(screened) == 20 if most == 1 else 0 < len(screened) < 20
    torch.testing.assert_close(found[True][0], found[False][0], atol=1e-5, rtol=0)
    exact = (F.normalize(query.double(), dim=1) @ F.normalize(bank.double(), dim=1).T).topk(10, dim=1)
    torch.testing.assert_close(found[True][0].double(), exact[0], atol=1e-5, rtol=0)
    assert (found[True][1] == exact[1]).double().mean() > 0.99


def test_halves_are_for_cpus_that_have_them():
    assert not screening.halves_pay("cuda")
    assert screening.halves_pay("cpu") in (True, False)
