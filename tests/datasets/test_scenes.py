"""MSMScenesDataset: layouts, order, refusals, samples."""

import json

import numpy as np
import pytest

from pointcept_msm.datasets.scenes import list_scenes
from pointcept_msm.files.scene_files import count_points
from pointcept_msm.files.scene_io import save_scene
from pointcept_msm.host import Config, build_dataset
from pointcept_msm.runtime.errors import UserError
from tests.files.box_room import make_room


def scene(points=20, value=0.0):
    return dict(coord=np.random.default_rng(0).uniform(size=(points, 3)) + value, segment=np.arange(points) % 3)


@pytest.fixture
def root(tmp_path):
    for i, path in enumerate(("train/b", "train/a", "train/c.npz", "train/d.ply", "train/e.pth", "val/a")):
        save_scene(tmp_path / path, scene(20 + i, i))
    (tmp_path / "train" / "notes.txt").write_text("no scene")
    (tmp_path / "train" / "empty_folder").mkdir()
    return tmp_path


def build(root, **config):
    return build_dataset(Config(dict(data=dict(type="MSMScenesDataset", data_root=str(root), **config))).data)


def test_split_folders_hold_folders_and_files(root):
    dataset = build(root, loop=2)
    assert [dataset.get_data_name(i) for i in range(10)] == ["a", "b", "c", "d", "e"] * 2 and len(dataset) == 10
    assert [len(dataset[i]["coord"]) for i in range(5)] == [21, 20, 22, 23, 24]
    assert dataset[0]["split"] == "train"


def test_the_axis_and_unit_of_the_files(tmp_path, caplog):
    """What is doubted is said once, when the data set is built; as told, scenes are those of metres with z up."""
    room = make_room()
    turned = dict(room, coord=room["coord"][:, [0, 2, 1]] * [1000, 1000, -1000], normal=room["normal"][:, [0, 2, 1]])
    turned["normal"] *= np.float32([1, 1, -1])
    for name in ("a", "b"):
        save_scene(tmp_path / "train" / name, turned)
    build(tmp_path)
    assert caplog.text.count("give up='y'") == 1 and caplog.text.count("give scale=0.001") == 1
    caplog.clear()
    found = build(tmp_path, up="y", scale=0.001)[1]
    assert "WARNING" not in caplog.text and np.allclose(found["coord"], room["coord"], atol=1e-3)
    assert np.array_equal(found["normal"], room["normal"])


def test_scenes_without_splits(root):
    assert [path.name for path in list_scenes(root / "train", "train")] == ["a", "b", "c.npz", "d.ply", "e.pth"]


@pytest.mark.parametrize("name", ["small", "small.txt"])
def test_text_list(root, name):
    (root / "small.txt").write_text("# two scenes\nval/a\n\ntrain/c.npz  # a file\n")
    dataset = build(root, split=name)
    assert [dataset[i]["name"] for i in range(2)] == ["c", "a"] and len(dataset) == 2


def test_json_list(root):
    (root / "small.json").write_text(json.dumps(["train/e.pth", "train/b"]))
    assert [path.name for path in list_scenes(root, "small")] == ["b", "e.pth"]


def test_list_that_names_no_scene(root):
    (root / "small.txt").write_text("val/a\nval/z\n")
    with pytest.raises(UserError, match=r"small.txt names .*val/z .1 of 2 like it., which is no scene"):
        build(root, split="small")


def test_links_are_followed(root, tmp_path):
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "train").symlink_to(root / "val")
    (root / "val" / "b").symlink_to(root / "train" / "b")
    dataset = build(linked)
    assert [dataset[i]["name"] for i in range(2)] == ["a", "b"] and dataset[1]["split"] == "train"


def test_several_splits_keep_names_apart(root):
    dataset = build(root, split=["val", "train"])
    names = [dataset.get_data_name(i) for i in range(len(dataset))]
    assert names == ["val-a", "train-a", "b", "c", "d", "e"] and len(dataset[0]["coord"]) == 25
    assert [dataset.get_split_name(i) for i in range(2)] == ["val", "train"]


def test_what_cannot_be_listed_is_refused(root, tmp_path):
    with pytest.raises(UserError, match=r"data_root .*nowhere does not exist"):
        build(tmp_path / "nowhere")
    with pytest.raises(UserError, match="has no split 'test', only train, val; choose one of them"):
        build(root, split="test")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(UserError, match=r"nothing holds no scene; put scenes at <root>/<split>/<scene>/coord.npy"):
        build(tmp_path / "nothing")


def test_a_scene_that_fails_names_itself(root):
    np.save(root / "train" / "b" / "color.npy", np.zeros((3, 3)))
    with pytest.raises(ValueError, match="train/b: color has 3 rows and coord 20"):
        build(root)[1]


def test_missing_colors_are_not_made_up_and_missing_labels_are_unknown(root):
    (root / "train" / "b" / "segment.npy").unlink()
    sample = build(root)[1]
    assert set(sample) == {"coord", "segment", "instance", "name", "split"}
    assert set(sample["segment"]) == set(sample["instance"]) == {-1}
    assert set(build(root)[0]["segment"]) == {0, 1, 2}


def test_cache_reads_once_and_hands_out_copies(root):
    dataset = build(root, cache=True, transform=[dict(type="CenterShift")])
    raw = dataset.get_data(0)["coord"]
    dataset[0]
    (root / "train" / "a" / "coord.npy").unlink()
    assert np.array_equal(dataset.get_data(5)["coord"], raw)


def test_small_scenes_are_left_out(root):
    assert build(root, min_points=23).names == ["d", "e"]
    with pytest.raises(UserError, match="no scene of train has 99 points; lower min_points"):
        build(root, min_points=99)


def test_points_are_counted_without_reading_the_scene(root):
    assert [count_points(path) for path in list_scenes(root, "train")] == [21, 20, 22, 23, 24]


@pytest.mark.parametrize("folder", ["", "train"])
def test_a_share_of_the_scenes_is_held_out(tmp_path, folder):
    """Train and val share no scene, whether the scenes lie in the root or in train/."""
    for i in range(10):
        save_scene(tmp_path / folder / f"room{i}", scene())
    train, val = (set(build(tmp_path, split=split, held_out=0.2).names) for split in ("train", "val"))
    assert len(train) == 8 and len(val) == 2 and not train & val
    assert val == set(build(tmp_path, split="val", held_out=0.2).names)
    for wrong in (dict(held_out=1.0), dict(held_out=0.2, split="test")):
        with pytest.raises(UserError, match=r"cannot hold out .* of 10 scenes"):
            build(tmp_path, **wrong)


def test_a_split_that_is_laid_out_is_taken(root):
    assert build(root, split="val", held_out=0.5).names == ["a"] and len(build(root, held_out=0.5).names) == 5


def test_labels_that_mean_unknown_and_labels_that_are_none(root):
    assert set(build(root, ignore_label=0)[0]["segment"]) == {-1, 1, 2}
    assert set(build(root, num_classes=3)[0]["segment"]) == {0, 1, 2}
    with pytest.raises(UserError, match=r"train/a: segment has the label 2, num_classes is 2"):
        build(root, num_classes=2)[0]


def test_hidden_files_are_no_scenes(root):
    (root / "train" / "._a.ply").write_bytes(b"resource fork")
    (root / "train" / ".cache").mkdir()
    (root / "train" / ".cache" / "coord.npy").touch()
    assert not [name for name in build(root).names if name.startswith(".")]


def test_folders_from_home_and_from_where_the_caller_stands(root, monkeypatch):
    monkeypatch.setenv("HOME", str(root.parent))
    monkeypatch.chdir(root.parent)
    for written in (f"~/{root.name}", root.name):
        assert build(written, split="val").names == ["a"]
    with pytest.raises(UserError, match=f"data_root {root.parent}/nowhere does not exist"):
        build("nowhere")


def test_what_the_files_lack_is_filled_when_asked(tmp_path):
    save_scene(tmp_path / "train" / "bare", {"coord": scene()["coord"]})
    assert not {"color", "normal"} & set(build(tmp_path).get_data(0))
    filled = build(tmp_path, fill={"color": 127.5, "normal": "estimate"}, cache=True).get_data(0)
    assert (filled["color"] == 127.5).all() and np.allclose(np.linalg.norm(filled["normal"], axis=1), 1, atol=1e-5)
