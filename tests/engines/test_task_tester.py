"""Detection and grounding from a config to the table, on rooms and on miniatures of ScanNet's and ScanRefer's files."""

import json

import numpy as np
import pytest

from pointcept_msm.engines import task_tester
from pointcept_msm.engines.task_tester import MSMTaskTester, TaskOptions
from pointcept_msm.host import Config, build_dataset
from pointcept_msm.probing.boxes import find_boxes
from pointcept_msm.probing.features import RawInput, SceneList
from pointcept_msm.runtime.errors import UserError
from tests.datasets.votenet_folder import write_votenet_folder
from tests.probe_toy import make_weights
from tests.tools.scene_tools import call

FAST = ["test.training.epochs=2", "test.training.batch_size=2", "test.training.warmup=1"]
DETECT = ["test.points=128", "test.head.queries=16", "test.head.layers=2", "test.head.width=32", "test.head.hidden=32"]
GROUND = ["test.points_per_scene=1000", "test.min_points=3", "test.l2_grid=[0.1]", "test.head.width=32"]
ACCURACIES = [f"{p}_{k}{t}" for p in ("true", "found") for t in (25, 50) for k in ("unique", "multiple", "overall")]


def run(capsys, folder, config, *options):
    """Metrics of each row, name -> value, and what was printed."""
    make_weights(folder)
    options = [*FAST, f"save_path={folder / 'run'}", f"weight={folder / 'student.safetensors'}", *options]
    code, said, errors = call(capsys, "test", "--config-file", config, "--options", *options)
    assert code == 0, errors
    rows = json.loads((folder / "run" / "results.json").read_text())["rows"]
    return {row["method"]: {k: v["values"] for k, v in row["metrics"].items()} for row in rows}, said


def room_options(folder, train=2, val=1):
    roots = [f"data.{part}.data_root={folder / 'rooms'}" for part in ("train", "test")]
    counts = [f"data.train.rooms={train}", f"data.test.rooms={val}"]
    return [*roots, *counts, "data.train.points=6000", "data.test.points=6000", "test.box_points=15"]


def test_detection_on_rooms(tmp_path, capsys):
    options = [*DETECT, *room_options(tmp_path), "test.seeds=[0,1]"]
    rows, said = run(capsys, tmp_path, "detect-rooms-tiny", *options)
    assert set(rows) == {"MSM", "random initialisation", "raw input"}
    for metrics in rows.values():
        assert set(metrics) == {"box_AP25", "box_AP50"} and len(metrics["box_AP25"]) == 2
        assert all(0 <= value <= 100 for values in metrics.values() for value in values)
    assert "| boxes" in said and "AP25" in said
    again, _ = run(capsys, tmp_path, "detect-rooms-tiny", *options)
    assert again == rows


def test_fine_tuning_runs_from_the_same_config(tmp_path, capsys):
    options = [*DETECT, *room_options(tmp_path), "test.frozen=False", "test.baselines=[]"]
    rows, _ = run(capsys, tmp_path, "detect-rooms-tiny", *options)
    assert set(rows) == {"MSM"}


def test_grounding_on_rooms(tmp_path, capsys):
    options = [*room_options(tmp_path, 3, 2), *GROUND, "test.baselines=[raw]"]
    rows, said = run(capsys, tmp_path, "ground-rooms-tiny", *options)
    assert set(rows) == {"MSM", "raw input"} and set(rows["MSM"]) == set(ACCURACIES)
    for kind in ("true", "found"):
        for name in ("unique", "multiple", "overall"):
            low, high = (rows["MSM"][f"{kind}_{name}{t}"][0] for t in (50, 25))
            assert 0 <= low <= high <= 100
    assert all(f"{words}, IoU 0.{t} " in said for words in ("true boxes", "boxes found") for t in ("25", "5"))


@pytest.mark.parametrize("scanrefer", [False, True])
def test_scannet_configs_on_a_miniature(tmp_path, capsys, scanrefer):
    root = tmp_path / "scannet"
    write_votenet_folder(root, scanrefer=scanrefer)
    roots = [f"data.{part}.data_root={root}" for part in ("train", "test")]
    rows, _ = run(capsys, tmp_path, "detect-scannet", *roots, *DETECT, "test.voxels=0.1", "test.baselines=[raw]")
    assert set(rows["MSM"]) == {"box_AP25", "box_AP50"}
    sentences = f"test.sentences={root}/ScanRefer_filtered_{{split}}.json"
    rows, _ = run(capsys, tmp_path, "ground-scannet", *roots, *GROUND, sentences, "test.baselines=[raw]")
    assert set(rows["MSM"]) == set(ACCURACIES)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("detect-scannet", ("scannetv2_train.txt", "scan-net.org", "facebookresearch/votenet")),
        ("ground-scannet", ("nothing/train.json", "form at", "daveredrum/ScanRefer")),
    ],
)
def test_missing_data_get_one_sentence(tmp_path, capsys, config, words):
    make_weights(tmp_path)
    if config == "ground-scannet":
        write_votenet_folder(tmp_path / "scannet")
    options = [f"data.{part}.data_root={tmp_path / 'scannet'}" for part in ("train", "test")]
    options += [f"save_path={tmp_path / 'run'}", f"weight={tmp_path / 'student.safetensors'}"]
    options.append(f"test.sentences={tmp_path}/nothing/{{split}}.json")
    code, _, errors = call(capsys, "test", "--config-file", config, "--options", *options)
    assert code and "Traceback" not in "".join(errors) and all(word in errors[-1] for word in words), errors


def test_options_are_checked():
    with pytest.raises(UserError, match=r"task is 'segmentation'; allowed: detection, grounding"):
        TaskOptions(num_classes=3, things=(1,), task="segmentation")
    with pytest.raises(UserError, match="under the detection head"):
        TaskOptions(num_classes=3, things=(1,), task="grounding", frozen=False)
    with pytest.raises(UserError, match="things"):
        TaskOptions(num_classes=3)


def test_unique_is_counted_among_the_objects_that_are_described(tmp_path, monkeypatch):
    """ScanRefer's rule: of two objects of a class, one is unique while the other is not described."""
    write_votenet_folder(tmp_path / "scannet", train=1, scanrefer=True)
    train = dict(type="MSMVoteNetDataset", split="train", data_root=str(tmp_path / "scannet"))
    test = dict(task="grounding", things=tuple(range(2, 20)), sentences=str(tmp_path / "{split}.json"), device="cpu")
    tester = MSMTaskTester(Config(dict(save_path=str(tmp_path), data=dict(num_classes=20, train=train), test=test)))
    monkeypatch.setattr(task_tester, "propose", lambda *args: None)
    scenes = SceneList(build_dataset(train))
    objects = find_boxes(scenes[0], (*range(2, 20), -1))
    pairs = [objects.id[objects.category == c][:2].tolist() for c in np.unique(objects.category)]
    (a, b), (c, d) = [pair for pair in pairs if len(pair) == 2][:2]  # the first: objects of none of the 20 classes
    assert objects.category[objects.id == a] == -1
    for described, unique in (([a, c], [True, True]), ([a, b, c], [False, False, True]), ([c, d], [False, False])):
        entries = [dict(scene_id="scene0000_00", object_id=str(i), description="it") for i in (*described, 9999)]
        (tmp_path / "train.json").write_text(json.dumps(entries))
        _, queries = tester.build_queries(RawInput(), scenes, "train", None, {})
        assert [q.unique for q in queries] == unique
