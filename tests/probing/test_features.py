"""Scenes and their features: lists, what is refused before anything runs, whose labels are whose."""

from types import SimpleNamespace

import numpy as np
import pytest

from pointcept_msm.engines.tester import MSMProbeTester
from pointcept_msm.features.extractor import load
from pointcept_msm.host import Config
from pointcept_msm.probing.features import (
    RawInput,
    SceneList,
    WithoutInputs,
    check_scenes,
    choose_points,
    extract_scene,
)
from tests.probe_toy import ProbeToyDataset, make_weights
from tests.tools.scene_tools import make_scene as toy_scene


def make_scene(name="train/a", seed=0, points=500):
    rng = np.random.default_rng(seed)
    scene = {key: rng.uniform(0, 1, (points, 3)).astype(np.float32) for key in ("coord", "color", "normal")}
    return scene | dict(segment=rng.integers(-1, 4, points).astype(np.int32), name=name)


def test_order_and_limit_go_by_name():
    one, other = SceneList(ProbeToyDataset(scenes=12)), SceneList(ProbeToyDataset(scenes=12, reverse=True))
    assert len(one) == 12 and one.names == other.names and one[3]["name"] == one.names[3]
    assert (one[3]["coord"] == other[3]["coord"]).all()
    wrapped = SceneList(SimpleNamespace(dataset=ProbeToyDataset(scenes=12)))
    assert wrapped.names == one.names
    few = SceneList(ProbeToyDataset(scenes=12), limit=5)
    assert few.names == SceneList(ProbeToyDataset(scenes=12, reverse=True), limit=5).names
    assert [s["name"] for s in few] == few.names and len(set(few.names)) == 5
    with pytest.raises(ValueError, match="list has no get_data"):
        SceneList([1, 2])


def relabelled(split, scene, change):
    """The toy scenes of a split, the labels of one of them changed."""
    dataset = ProbeToyDataset(split)
    get_data = dataset.get_data

    def changed(index):
        data = get_data(index)
        return data | dict(segment=change(data["segment"])) if index == scene else data

    dataset.get_data = changed
    return dataset


def test_scenes_on_both_sides_are_refused():
    train, test = SceneList(ProbeToyDataset("train")), SceneList(ProbeToyDataset("val"))
    check_scenes(train, test, 3)
    with pytest.raises(ValueError, match="4 of 4 test scenes are train scenes too"):
        check_scenes(train, train, 3)
    with pytest.raises(ValueError, match="0 train and 4 test scenes"):
        check_scenes(SceneList(ProbeToyDataset(scenes=0)), test, 3)


@pytest.mark.parametrize("value", [255, 3, -100])
def test_a_label_that_is_no_class_is_named(value):
    """In the last test scene, so that nothing less than a look at all of them finds it."""
    dataset = relabelled("val", 3, lambda segment: np.where(np.arange(240) < 7, value, segment))
    train = SceneList(ProbeToyDataset("train"))
    message = rf"test scene val/scene3 has the label {value} at 7 points, classes are 0 to 2 .* test.ignore=\[{value}\]"
    with pytest.raises(ValueError, match=message):
        check_scenes(train, SceneList(dataset), 3)
    ignoring = SceneList(dataset, ignore=[value])
    check_scenes(train, ignoring, 3)
    assert (ignoring[3]["segment"][:7] == -1).all() and (ignoring[3]["segment"][7:] >= 0).all()


@pytest.mark.parametrize("side", ["train", "test"])
def test_a_side_without_labels_is_refused(side):
    dataset = ProbeToyDataset("val")
    get_data = dataset.get_data
    dataset.get_data = lambda i: get_data(i) | dict(segment=np.full(240, -1))
    labelled, bare = SceneList(ProbeToyDataset("train")), SceneList(dataset)
    pair = (bare, labelled) if side == "train" else (labelled, bare)
    with pytest.raises(ValueError, match=rf"no point of the 4 {side} scene\(s\) has a class .* in data.{side}"):
        check_scenes(*pair, 3)


def test_labels_belong_to_the_features():
    scene = make_scene()
    chosen = extract_scene(RawInput(), scene, points=100)
    assert np.array_equal(chosen.feat, RawInput().extract(scene)[chosen.row])
    assert np.array_equal(chosen.segment, scene["segment"][chosen.row])
    assert np.array_equal(chosen.coord, scene["coord"][chosen.row]) and (chosen.instance == -1).all()


def test_points_follow_name_and_seed():
    rows = choose_points(500, 100, "a", 0)
    assert len(np.unique(rows)) == 100 and np.array_equal(rows, choose_points(500, 100, "a", 0))
    assert not np.array_equal(rows, choose_points(500, 100, "b", 0))
    assert not np.array_equal(rows, choose_points(500, 100, "a", 1))
    assert np.array_equal(choose_points(50, 100, "a", 0), choose_points(50, None, "a", 0))


RAW = dict(
    coord=np.array([[0, 0, 1.0], [5, 5, 4.0]]),
    color=np.array([[0, 127.5, 255]] * 2),
    normal=np.array([[0, 0, 1.0]] * 2),
)


def test_raw_input():
    feat = RawInput().extract(RAW)
    assert feat.dtype == np.float32 and RawInput().channels == 7 and RawInput().levels[0][2] == slice(0, 7)
    assert np.allclose(feat, [[-1, -1, 0, 1, 0, 0, 1], [1, -1, 0, 1, 0, 0, 1]])
    assert np.allclose(RawInput(("height",)).extract(RAW, rows=np.array([1])), [[1]])
    with pytest.raises(ValueError, match=r"has no normal: .* test.without=\[normal\]"):
        RawInput().extract({k: v for k, v in RAW.items() if k != "normal"})


def test_the_network_sees_its_fill_and_never_the_colour(tmp_path):
    make_weights(tmp_path, ("student",), dict(grid_size=0.1, fill=dict(color=127.5)))
    extractor, scene = load(tmp_path), toy_scene()
    source = WithoutInputs(extractor, ["color"])
    grey = dict(scene, color=np.full_like(scene["color"], 127.5))
    np.testing.assert_array_equal(source.extract(scene), extractor.extract(grey))
    rows = np.array([7, 3])
    np.testing.assert_array_equal(source.extract(scene, rows=rows), source.extract(scene)[rows])
    assert "color" in scene and source.channels == extractor.channels and source.levels == extractor.levels
    with pytest.raises(ValueError, match="has no normal"):
        WithoutInputs(extractor, ["normal"]).extract(scene)
    with pytest.raises(ValueError, match=r"without is \['coord'\]; allowed are color and normal"):
        WithoutInputs(extractor, ["coord"])


def test_the_tester_reports_what_is_left(tmp_path):
    """In the toy scenes the class is the colour: without it every probe falls to chance, with it none does."""
    make_weights(tmp_path, ("student",), dict(grid_size=0.1, fill=dict(color=127.5, normal=0.0)))
    values = {}
    for without in ((), ("color",), ("color", "normal")):
        data = dict(num_classes=3, train=dict(type="ProbeToyDataset"), test=dict(type="ProbeToyDataset", split="val"))
        cfg = Config(dict(weight=str(tmp_path), save_path=str(tmp_path / "out"), data=data))
        options = dict(probes=("knn",), networks=("student",), baselines=("raw",), without=without)
        results = MSMProbeTester(cfg, **options).test()
        assert list(results["settings"]["without"]) == list(without)
        values[without] = [row["metrics"]["knn_mIoU"]["mean"] for row in results["rows"]]
        assert [row["width"] for row in results["rows"]] == [24, 7 - 3 * len(without)]
    assert min(values[()]) > 90 and max(values[("color",)] + values[("color", "normal")]) < 60
