"""kNN against scikit-learn's brute-force cosine search, and its chunks, banks and votes."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from pointcept_msm.probing import knn
from pointcept_msm.probing.knn import draw_bank, find_neighbours, normalise_levels, predict_knn

LEVELS = [("a", 0.02, slice(0, 6)), ("b", 0.04, slice(6, 16))]


def clusters(seed=0, rows=600, width=16, classes=5, noise=1.0):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, classes, rows)
    centre = np.random.default_rng(9).standard_normal((classes, width))
    return (centre[label] + noise * rng.standard_normal((rows, width))).astype(np.float32), label


def numpy_predictions(query, bank, label, k, temperature):
    """Neighbours by scikit-learn, votes by numpy."""
    scale = np.concatenate([np.full(6, 1.0), np.full(10, 1.0)])

    def blocks(x):
        parts = [x[:, :6], x[:, 6:]]
        return np.concatenate([p / np.linalg.norm(p, axis=1, keepdims=True) for p in parts], 1) * scale

    search = NearestNeighbors(n_neighbors=k, metric="cosine", algorithm="brute").fit(blocks(bank))
    distance, row = search.kneighbors(blocks(query))
    votes = np.zeros((len(query), label.max() + 1))
    for i in range(len(query)):
        for d, j in zip(distance[i], row[i], strict=True):
            votes[i, label[j]] += np.exp((1 - d) / temperature)
    return votes.argmax(1), 1 - distance, row


@pytest.mark.parametrize("k, temperature", [(1, 0.07), (20, 0.07), (20, 1e6)])  # 1e6: uniform votes
def test_equals_sklearn(k, temperature):
    (bank, label), (query, _) = clusters(0), clusters(1, rows=200)
    want, similarity, row = numpy_predictions(query, bank, label, k, temperature)
    got = predict_knn(query, bank, label, 5, ks=(k,), temperature=temperature, levels=LEVELS)[k]
    found, found_row = find_neighbours(query, bank, k, LEVELS)
    assert np.allclose(found.numpy(), similarity, atol=1e-5)
    assert (found_row.numpy() == row).mean() > 0.999
    assert (got == want).mean() > 0.995  # uniform votes can tie


def test_equal_features_come_in_the_order_of_rows(monkeypatch):
    """Points of one voxel have one feature, and labels that may differ: the first row wins, however the bank is cut."""
    bank, label = clusters(0, rows=300)
    bank, label = np.concatenate([bank, bank, bank]), np.concatenate([label, (label + 1) % 5, (label + 2) % 5])
    order = np.random.default_rng(0).permutation(900)
    bank, label = bank[order], label[order]
    query, _ = clusters(1, rows=150)
    want = [np.flatnonzero((bank == bank[i]).all(1))[0] for i in find_neighbours(query, bank, 1, LEVELS)[1][:, 0]]
    similarity, row = find_neighbours(query, bank, 20, LEVELS)
    for rows in (dict(QUERY_ROWS=2048, BANK_ROWS=16384), dict(QUERY_ROWS=13, BANK_ROWS=70)):
        for name, value in rows.items():
            monkeypatch.setattr(knn, name, value)
        again = find_neighbours(query, bank, 20, LEVELS)
        torch.testing.assert_close(again[0], similarity)
        assert torch.equal(again[1], row) and np.array_equal(row[:, 0], want)
        assert np.array_equal(predict_knn(query, bank, label, 5, ks=(1,), levels=LEVELS)[1], label[want])


def test_levels_count_alike():
    feat = torch.randn(4, 16)
    scaled = feat.clone()
    scaled[:, 6:] *= 1000
    torch.testing.assert_close(normalise_levels(feat, LEVELS), normalise_levels(scaled, LEVELS))
    torch.testing.assert_close(normalise_levels(feat, LEVELS).norm(dim=1), torch.ones(4))


def test_small_bank_and_errors():
    bank, label = clusters(rows=3)
    assert set(predict_knn(bank, bank, label, 5)[20]) <= set(label)
    with pytest.raises(ValueError, match="same width"):
        find_neighbours(bank[:, :4], bank)


def test_bank():
    label = np.repeat([0, 1, 2, -1], [800, 150, 50, 500])
    bank = draw_bank(label, 500)
    assert len(bank) == 500 and label[bank].min() == 0 and abs(np.mean(label[bank] == 0) - 0.8) < 0.08
    assert np.array_equal(draw_bank(label, None), np.arange(1000))
    assert np.array_equal(bank, draw_bank(label, 500)) and not np.array_equal(bank, draw_bank(label, 500, seed=1))
