"""Features on disk: both files, whole or not at all."""

import json

import numpy as np
import pytest

from pointcept_msm.features.batch import save_features

COORD = np.array([[4e5 + 1e-6, 0, 0]])


def test_half_precision_is_refused_where_it_would_overflow(tmp_path):
    features = np.array([[1.0, -7e4]], dtype=np.float32)
    with pytest.raises(ValueError, match="reach 70000, more than float16 holds: leave out --half"):
        save_features(tmp_path, "a", features, COORD, {}, half=True)
    assert [*tmp_path.iterdir()] == []
    path = save_features(tmp_path, "a", features, COORD, {"mode": "exact"})
    np.testing.assert_array_equal(np.load(path)["feat"], features)
    np.testing.assert_array_equal(np.load(path)["coord"], COORD)
    facts = json.loads((tmp_path / "a.json").read_text())
    assert facts == {"points": 1, "channels": 2, "dtype": "float32", "mode": "exact"}


def test_a_failed_write_leaves_the_old_files(tmp_path):
    save_features(tmp_path, "a", np.ones((2, 2), np.float32), COORD, {})
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(TypeError):
        save_features(tmp_path, "a", np.zeros((2, 2), np.float32), COORD, {"odd": object()})
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
