"""The colour basis against scikit-learn, and its promises: robust, deterministic, comparable between scenes."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression

from pointcept_msm.pictures.pca import (
    color_features,
    explained_share,
    find_range,
    fit_bases,
    fit_basis,
    load_bases,
    project,
    sample_rows,
    save_bases,
)
from pointcept_msm.runtime.errors import UserError

LEVELS = [("level0", 0.02, slice(0, 8)), ("level1", 0.04, slice(8, 12))]


def make_features(points=3000, channels=12, seed=0):
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).standard_normal((channels, channels)) * np.linspace(3, 0.2, channels)[:, None]
    return (rng.standard_normal((points, channels)) @ mixing + 2).astype(np.float32)


def test_components_are_those_of_scikit_learn():
    features = make_features()
    basis = fit_basis([features], components=4)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    reference = PCA(4).fit(unit.astype(np.float64))
    cosine = np.abs((basis.components * reference.components_).sum(1))
    assert cosine.min() > 0.99
    np.testing.assert_allclose(basis.components @ basis.components.T, np.eye(4), atol=1e-5)
    assert (basis.components[np.arange(4), np.abs(basis.components).argmax(1)] > 0).all()


def test_what_coordinates_explain_is_what_scikit_learn_says():
    rng = np.random.default_rng(0)
    coord, noise = rng.normal(size=(500, 3)) + 100, rng.normal(size=(500, 2))
    values = np.c_[coord @ [1.0, -2.0, 0.5] + 7, coord[:, 2] + noise[:, 0], noise[:, 1], np.ones(500)]
    wanted = [LinearRegression().fit(coord, column).score(coord, column) for column in values.T[:3]]
    found = explained_share(values, coord)
    assert np.allclose(found[:3], wanted) and found[0] > 0.999 and found[2] < 0.05 and found[3] == 0


def test_colors_fill_the_range_and_are_the_same_in_any_scene():
    one, two = make_features(seed=1), make_features(seed=2)
    basis = fit_basis([one, two], LEVELS)
    colors = color_features(basis, one)
    assert colors.shape == (3000, 3) and colors.min() == 0 and colors.max() == 1
    assert np.all(np.abs(np.median(colors, axis=0) - 0.5) < 0.1) and np.all(colors.std(0) > 0.2)
    np.testing.assert_array_equal(color_features(basis, one[100:200]), colors[100:200])
    again = fit_basis([one, two], LEVELS)
    assert all(np.array_equal(a, b) for a, b in zip(basis, again, strict=True))


def test_outliers_do_not_wash_the_colors_out():
    features = make_features()
    basis = fit_basis([features], LEVELS)
    wild = features.copy()
    wild[::100] *= np.float32(1e4)
    colors = color_features(fit_basis([wild], LEVELS), features)
    assert np.abs(colors - color_features(basis, features)).mean() < 0.05


def test_a_loud_level_does_not_drown_the_others():
    features = make_features()
    loud = features * np.where(np.arange(12) < 8, 1000, 1).astype(np.float32)
    np.testing.assert_allclose(
        project(fit_basis([loud], LEVELS), loud), project(fit_basis([features], LEVELS), features), atol=1e-3
    )


def test_every_scene_has_its_share_of_the_sample():
    rows = sample_rows([np.zeros((1000, 2)), np.ones((10, 2)), np.full((1000, 2), 2.0)], total=300)
    assert [int((rows[:, 0] == i).sum()) for i in range(3)] == [100, 10, 100]


def test_range():
    values = np.array([[0.0, 5], [1, 5], [2, 5], [3, 5], [1000, 5]])
    low, high = find_range(values)
    assert (low[0], high[0]) == (2 - 2.5, 2 + 2.5) and low[1] < 5 < high[1]


def test_few_points_and_few_channels():
    for features in (np.ones((1, 12), np.float32), make_features(2)):
        colors = color_features(fit_basis([features], LEVELS), features)
        assert np.isfinite(colors).all() and colors.min() >= 0 and colors.max() <= 1
    narrow = make_features(50)[:, :2]
    assert (color_features(fit_basis([narrow]), narrow)[:, 2] == 0.5).all()
    with pytest.raises(ValueError, match="12 wide, the basis 2"):
        project(fit_basis([narrow]), make_features(5))
    with pytest.raises(ValueError, match="not all finite"):
        fit_basis([np.full((3, 2), np.nan)])


def test_bases_on_disk(tmp_path):
    features = make_features()
    bases = fit_bases([features], LEVELS)
    save_bases(tmp_path / "basis.npz", bases, {"weights_sha256": "abc"})
    loaded, meta = load_bases(tmp_path / "basis.npz")
    assert [*loaded] == ["all", "level0", "level1"] and meta == {"weights_sha256": "abc"}
    np.testing.assert_array_equal(color_features(loaded["all"], features), color_features(bases["all"], features))
    level = features[:, 8:]
    np.testing.assert_array_equal(color_features(loaded["level1"], level), color_features(bases["level1"], level))


def test_foreign_bases_are_refused(tmp_path):
    np.savez(tmp_path / "other.npz", feat=np.zeros(3))
    (tmp_path / "text.npz").write_text("x")
    (tmp_path / "zip.npz").write_bytes(b"PK\3\4 cut")
    for name in ("other", "text", "zip", "nowhere"):
        with pytest.raises(UserError, match=r"no basis of visualize_pca.py"):
            load_bases(tmp_path / f"{name}.npz")
