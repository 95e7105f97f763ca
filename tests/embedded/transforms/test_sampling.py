"""Sampling transforms against dictionaries of voxels written out in Python."""

from collections import defaultdict

import numpy as np
import pytest

from pointcept_msm.embedded.transforms import Compose
from pointcept_msm.embedded.transforms.sampling import FNV_OFFSET, FNV_PRIME, fnv_key, group_by_voxel, ravel_key


def scene(points=500):
    rng = np.random.default_rng(0)
    coord = rng.uniform(-1, 1, (points, 3)).astype(np.float32)
    return dict(coord=coord, segment=np.arange(points), row=np.arange(points), name="s")


def voxels_of(coord, size):
    """Point indices by voxel, from the definition."""
    cells = np.floor(coord.astype(np.float64) / size).astype(int)
    members = defaultdict(list)
    for i, cell in enumerate(cells - cells.min(0)):
        members[tuple(cell)].append(i)
    return members


def grid(**arguments):
    return Compose([dict(type="GridSample", grid_size=0.3, return_grid_coord=True, return_inverse=True, **arguments)])


@pytest.mark.parametrize("hash_type", ["fnv", "ravel"])
def test_train_keeps_one_point_a_voxel(hash_type):
    members, sample = voxels_of(scene()["coord"], 0.3), grid(hash_type=hash_type)(scene())
    cells = [tuple(cell) for cell in sample["grid_coord"]]
    assert sorted(cells) == sorted(members) and len(sample["coord"]) == len(members)
    assert all(point in members[cell] for point, cell in zip(sample["segment"], cells))
    assert all(i in members[cells[voxel]] for i, voxel in enumerate(sample["inverse"]))
    assert np.array_equal(scene()["coord"][sample["segment"]], sample["coord"])


def test_train_draws_every_point_sometimes():
    kept = np.zeros(500)
    for _ in range(60):
        kept[grid()(scene())["segment"]] += 1
    assert (kept > 0).mean() > 0.99


def test_only_listed_keys_are_selected():
    assert len(grid()(scene())["row"]) == 500
    listed = grid()(dict(scene(), index_valid_keys=["coord", "row"]))
    assert len(listed["row"]) == len(listed["coord"]) and len(listed["segment"]) == 500
    assert listed["index_valid_keys"] == ["coord", "row", "grid_coord"]


def test_the_list_of_keys_in_the_config_is_left_alone():
    keys = ["coord", "segment"]
    Compose(
        [dict(type="Update", keys_dict=dict(index_valid_keys=keys)), dict(type="GridSample", return_grid_coord=True)]
    )(scene())
    assert keys == ["coord", "segment"]


def test_test_mode_covers_every_point():
    members, parts = voxels_of(scene()["coord"], 0.3), grid(mode="test")(scene())
    assert len(parts) == max(map(len, members.values()))
    assert set(np.concatenate([part["index"] for part in parts])) == set(range(500))
    for part in parts:
        assert len(part["coord"]) == len(members) and np.array_equal(part["segment"], part["index"])
        assert {tuple(cell) for cell in part["grid_coord"]} == set(members)


def test_displacement_and_origin():
    sample = grid(return_displacement=True, return_min_coord=True)(scene())
    centre = (sample["grid_coord"] + 0.5) * 0.3 + sample["min_coord"]
    assert np.allclose(centre + sample["displacement"] * 0.3, sample["coord"], atol=1e-6)
    assert np.abs(sample["displacement"]).max() <= 0.5
    normal = np.tile(np.float32([0, 0, 1]), (500, 1))
    projected = grid(return_displacement=True, project_displacement=True)(dict(scene(), normal=normal))
    assert projected["displacement"].shape == (len(projected["coord"]), 1)


def colliding_cells():
    """Two voxels with one FNV key, by solving the last step of the hash for z."""
    with np.errstate(over="ignore"):
        for x in range(1, 100):
            keys = [((FNV_OFFSET * FNV_PRIME) ^ np.uint64(i)) * FNV_PRIME * FNV_PRIME for i in (0, x)]
            z = keys[0] ^ keys[1]
            if z < np.uint64(2**62):
                return np.array([[0, 0, 0], [x, 0, int(z)]], dtype=np.int64)
    raise AssertionError("no collision found")


def test_colliding_keys_do_not_merge_voxels():
    cells = colliding_cells()
    assert fnv_key(cells)[0] == fnv_key(cells)[1]
    grid_coord = cells[[0, 1, 0, 1, 0]]
    groups = group_by_voxel(grid_coord, fnv_key(grid_coord))
    assert sorted(groups.count) == [2, 3]
    assert len({*groups.inverse[[0, 2, 4]]}) == len({*groups.inverse[[1, 3]]}) == 1
    assert groups.inverse[0] != groups.inverse[1]
    for voxel, (start, count) in enumerate(zip(groups.start, groups.count)):
        assert (groups.inverse[groups.order[start : start + count]] == voxel).all()


def test_ravel_key_is_the_dense_index():
    cells = np.random.default_rng(0).integers(0, [4, 5, 6], (200, 3))
    assert np.array_equal(ravel_key(cells), np.ravel_multi_index(cells.T, cells.max(0) + 1))


def test_labelled_points_survive_sampling():
    steps = Compose(
        [
            dict(type="RandomDropout", dropout_ratio=0.9, dropout_application_ratio=1),
            dict(type="GridSample", grid_size=5.0),
        ]
    )
    sample = steps(dict(scene(), sampled_index=np.array([7, 300])))
    assert sample["segment"][sample["sampled_index"]].tolist() == [7, 300]


@pytest.mark.parametrize("mode", ["random", "center"])
def test_sphere_crop_is_a_ball(mode):
    sample = Compose([dict(type="SphereCrop", point_max=100, mode=mode)])(scene())
    centre, kept = sample["coord"][0], sample["segment"]
    if mode == "center":
        assert kept[0] == 250
    distance = np.linalg.norm(scene()["coord"] - centre, axis=1)
    assert len(kept) == 100 and distance[kept].max() <= np.delete(distance, kept).min()


def test_sphere_crop_leaves_small_scenes_and_takes_shares():
    assert len(Compose([dict(type="SphereCrop", point_max=500)])(scene())["coord"]) == 500
    assert len(Compose([dict(type="SphereCrop", sample_rate=0.2)])(scene())["coord"]) == 100
    with pytest.raises(ValueError, match="mode is 'all'"):
        Compose([dict(type="SphereCrop", mode="all")])


def test_dropout_and_shuffle():
    dropped = Compose([dict(type="RandomDropout", dropout_ratio=0.2, dropout_application_ratio=1)])(scene())
    assert len(dropped["coord"]) == 400 and len(set(dropped["segment"])) == 400
    shuffled = Compose([dict(type="ShufflePoint")])(scene())
    assert sorted(shuffled["segment"]) == list(range(500)) and shuffled["segment"].tolist() != list(range(500))
    assert np.array_equal(scene()["coord"][shuffled["segment"]], shuffled["coord"])
