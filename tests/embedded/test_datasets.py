"""The embedded data sets on a folder in Pointcept's format."""

import json

import numpy as np
import pytest

from pointcept_msm.host import Config, build_dataset
from pointcept_msm.runtime.errors import UserError

POINTS = 50


@pytest.fixture
def root(tmp_path):
    rng = np.random.default_rng(0)
    for split, name in (("train", "b"), ("train", "a"), ("val", "c"), ("Area_1", "hall")):
        folder = tmp_path / split / name
        folder.mkdir(parents=True)
        np.save(folder / "coord.npy", rng.uniform(0, 2, (POINTS, 3)))
        np.save(folder / "color.npy", rng.integers(0, 256, (POINTS, 3)).astype(np.uint8))
        np.save(folder / "normal.npy", rng.normal(size=(POINTS, 3)).astype(np.float16))
        np.save(folder / "segment20.npy", rng.integers(-1, 20, (POINTS, 1)).astype(np.int16))
        np.save(folder / "segment200.npy", rng.integers(20, 200, POINTS).astype(np.int16))
        np.save(folder / "instance.npy", rng.integers(-1, 4, POINTS).astype(np.int16))
    (tmp_path / "train" / "notes.txt").write_text("not a scene")
    (tmp_path / "subset.json").write_text(json.dumps(["train/b"]))
    return tmp_path


def build(root, **config):
    return build_dataset(Config(dict(data=dict(dict(type="DefaultDataset", data_root=str(root)), **config))).data)


def test_scenes_are_sorted_and_typed(root):
    dataset = build(root, loop=3)
    assert len(dataset) == 6 and [dataset[i]["name"] for i in range(4)] == ["a", "b", "a", "b"]
    scene = dataset[0]
    assert {key: scene[key].dtype.name for key in ("coord", "color", "normal", "segment", "instance")} == dict(
        coord="float32", color="float32", normal="float32", segment="int32", instance="int32"
    )
    assert scene["split"] == "train" and set(scene["segment"]) == {-1}


def test_splits_may_be_lists_and_files(root):
    assert [build(root, split=["val", "train"])[i]["name"] for i in range(3)] == ["c", "a", "b"]
    assert build(root, split="subset.json").data_list == [str(root / "train" / "b")]


def test_scannet_takes_its_own_labels(root):
    twenty = build(root, type="ScanNetDataset")[0]
    two_hundred = build(root, type="ScanNet200Dataset")[0]
    assert np.array_equal(twenty["segment"], np.load(root / "train/a/segment20.npy")[:, 0])
    assert np.array_equal(two_hundred["segment"], np.load(root / "train/a/segment200.npy"))
    assert not {"segment20", "segment200"} & {*twenty, *two_hundred}


def test_s3dis_names_carry_the_area(root):
    assert build(root, type="S3DISDataset", split=["Area_1"])[0]["name"] == "Area_1-hall"


def test_concatenation(root):
    parts = [dict(type="DefaultDataset", data_root=str(root), split=split) for split in ("train", "val")]
    dataset = build_dataset(dict(type="ConcatDataset", datasets=parts, loop=2))
    assert len(dataset) == 6 and [dataset[i]["name"] for i in range(6)] == ["a", "b", "c"] * 2
    assert dataset.get_data_name(2) == dataset.get_data(2)["name"] == "c"


@pytest.mark.parametrize("kind, hint", [("ScanNetDataset", "http://www.scan-net.org"), ("S3DISDataset", "S3DIS")])
def test_missing_data_says_where_to_get_it(tmp_path, kind, hint):
    with pytest.raises(UserError, match="does not exist") as error:
        build(tmp_path / "nowhere", type=kind)
    assert hint in str(error.value) and "preprocess" in str(error.value)


def test_empty_split_and_unusable_settings_are_refused(root):
    (root / "test").mkdir()
    with pytest.raises(UserError, match="test holds no scene"):
        build(root, split="test")
    for setting in (dict(cache=True), dict(test_mode=True, test_cfg=dict())):
        with pytest.raises(UserError, match="need Pointcept"):
            build(root, **setting)


def test_damaged_array_names_the_file(root):
    path = root / "train" / "a" / "color.npy"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"color.npy cannot be read"):
        build(root)[0]
