"""Features of scenes: the choice of points, the cache and what decides its names."""

import numpy as np
import pytest

from pointcept_msm.probing.baselines import RawInput
from pointcept_msm.probing.features import cache_key, choose_points, extract_scene, extract_scenes


def make_scene(name="train/a", seed=0, points=500):
    rng = np.random.default_rng(seed)
    scene = {key: rng.uniform(0, 1, (points, 3)).astype(np.float32) for key in ("coord", "color", "normal")}
    return scene | dict(segment=rng.integers(-1, 4, points).astype(np.int32), name=name)


class CountingSource(RawInput):
    calls = 0

    def extract(self, *args, **kwargs):
        self.calls += 1
        return super().extract(*args, **kwargs)


def test_points_follow_name_and_seed():
    rows = choose_points(500, 100, "a", 0)
    assert len(np.unique(rows)) == 100 and np.array_equal(rows, choose_points(500, 100, "a", 0))
    assert not np.array_equal(rows, choose_points(500, 100, "b", 0))
    assert not np.array_equal(rows, choose_points(500, 100, "a", 1))
    assert np.array_equal(choose_points(50, 100, "a", 0), choose_points(50, None, "a", 0))


def test_labels_belong_to_the_features():
    scene = make_scene()
    chosen = extract_scene(RawInput(), scene, points=100)
    assert np.array_equal(chosen.feat, RawInput().extract(scene)[chosen.row])
    assert np.array_equal(chosen.segment, scene["segment"][chosen.row])
    assert np.array_equal(chosen.coord, scene["coord"][chosen.row]) and (chosen.instance == -1).all()


def test_cache(tmp_path):
    source, scenes = CountingSource(), [make_scene("a"), make_scene("b", seed=1)]
    first = extract_scenes(source, scenes, points=50, cache_dir=tmp_path)
    again = extract_scenes(source, scenes, points=50, cache_dir=tmp_path)
    assert source.calls == 2 and len(list(tmp_path.iterdir())) == 2
    assert all(np.array_equal(x.feat, y.feat) for x, y in zip(first, again, strict=True))


def test_what_decides_a_cached_name():
    source, scene = RawInput(), make_scene()
    name = cache_key(source, scene, 50, 0, "exact")
    assert name == cache_key(source, make_scene(), 50, 0, "exact") and name.startswith("train_a-")
    moved = dict(scene, coord=scene["coord"] + 1)
    other = RawInput(("color",))
    changes = [(source, moved, 50, 0, "exact"), (other, scene, 50, 0, "exact"), (source, scene, 51, 0, "exact")]
    changes += [(source, scene, 50, 1, "exact"), (source, scene, 50, 0, "nearest")]
    assert len({name, *(cache_key(*c) for c in changes)}) == 6


def test_labels_do_not_change_the_name():
    scene = make_scene()
    assert cache_key(RawInput(), scene, 5, 0, "exact") == cache_key(
        RawInput(), scene | dict(segment=None), 5, 0, "exact"
    )


def test_a_broken_extraction_leaves_no_file(tmp_path):
    class Broken(RawInput):
        def extract(self, *args, **kwargs):
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError):
        extract_scene(Broken(), make_scene(), cache_dir=tmp_path)
    assert not list(tmp_path.iterdir())
