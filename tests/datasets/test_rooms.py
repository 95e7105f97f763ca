"""`MSMRoomsDataset` in whichever host runs: makes rooms, gives scenes, repeats them, copies what it keeps."""

import numpy as np
import pytest

from pointcept_msm.datasets.scenes import MSMRoomsDataset
from pointcept_msm.files.scene_io import save_scene
from pointcept_msm.host import DATASETS, build_dataset
from pointcept_msm.runtime.errors import UserError

SMALL = dict(rooms=2, points=1500, seed=3)
KEYS = {"coord", "color", "normal", "segment", "instance", "name", "split"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return str(tmp_path_factory.mktemp("rooms"))


def test_built_from_a_config(root):
    dataset = build_dataset(dict(type="MSMRoomsDataset", split="val", data_root=root, loop=3, **SMALL))
    assert DATASETS.get("MSMRoomsDataset") is type(dataset)
    assert len(dataset) == 6 and len(dataset.data_list) == 2
    item = dataset[3]
    assert set(item) >= KEYS
    assert (item["name"], item["split"]) == ("room_0001", "val") == (dataset.get_data_name(3), "val")
    assert item["coord"].shape == (1500, 3) and item["coord"].dtype == np.float32


def test_fewer_rooms_are_the_first_ones(root):
    MSMRoomsDataset(split="train", data_root=root, **SMALL)
    dataset = MSMRoomsDataset(split="train", data_root=root, **{**SMALL, "rooms": 1})
    assert [dataset.get_data_name(i) for i in range(len(dataset))] == ["room_0000"]


@pytest.mark.parametrize("cache", [True, False])
def test_items_are_copies(root, cache):
    dataset = MSMRoomsDataset(split="train", data_root=root, cache=cache, **SMALL)
    before = dataset.get_data(0)["coord"].copy()
    dataset.get_data(0)["coord"][:] = 0
    np.testing.assert_array_equal(dataset.get_data(0)["coord"], before)


def test_test_mode_ignores_loop(root):
    assert len(MSMRoomsDataset(split="train", data_root=root, test_mode=True, loop=5, **SMALL)) == 2


def test_several_splits(root):
    dataset = MSMRoomsDataset(split=["train", "val"], data_root=root, **SMALL)
    assert [dataset.get_data(i)["split"] for i in range(4)] == ["train", "train", "val", "val"]


def test_wrong_arguments_are_explained(root, tmp_path):
    with pytest.raises(ValueError, match="rooms of MSMRoomsDataset is 0"):
        MSMRoomsDataset(data_root=str(tmp_path), rooms=0)
    with pytest.raises(ValueError, match="holds rooms made with"):
        MSMRoomsDataset(split="train", data_root=root, **{**SMALL, "seed": 4})


def test_a_folder_of_scenes_of_one_s_own_is_refused_and_left_alone(tmp_path):
    save_scene(tmp_path / "train" / "office", dict(coord=np.random.default_rng(0).uniform(size=(50, 3))))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=r"holds train, which no generator of rooms made.*MSMScenesDataset"):
        MSMRoomsDataset(data_root=str(tmp_path), **SMALL)
    assert sorted(tmp_path.rglob("*")) == before
