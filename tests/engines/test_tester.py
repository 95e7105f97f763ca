"""The probe tester on a tiny network and made-up scenes whose answer is known."""

import hashlib
import json
import socket
from contextlib import contextmanager

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from pointcept_msm.engines.tester import MSMProbeTester, build_options, load_networks
from pointcept_msm.files.weights import digest_file
from pointcept_msm.host import Config
from tests.probe_toy import NETWORK, make_weights

DATA = dict(num_classes=3)


def make_config(folder, weight, **options):
    data = dict(num_classes=3)
    for part, split in (("train", "train"), ("test", "val")):
        data[part] = dict(type="ProbeToyDataset", split=split, **options.pop(part, {}))
    test = dict(type="MSMProbeTester", points_per_scene=100, l2_grid=(1e-1, 1e-3), max_iter=50, **options)
    return Config(dict(save_path=str(folder), weight=str(weight), data=data, test=test))


def run(folder, weight=None, **options):
    if weight is None:
        make_weights(folder)
    return MSMProbeTester(make_config(folder, weight or folder, **options)).test()


def by_method(results):
    return {(row["method"], row["network"]): row for row in results["rows"]}


def test_full_run(tmp_path, capsys):
    probes = ("knn", "linear", "instance", "budgets", "layers")
    results = run(tmp_path, probes=probes, things=(0, 1, 2), min_points=10, seeds=(0, 1))
    rows = by_method(results)
    assert set(rows) == {("MSM", "student"), ("MSM", "teacher"), ("random initialisation", "-"), ("raw input", "-")}
    student = rows["MSM", "student"]
    assert (student["fit_scenes"], student["test_scenes"], student["width"], student["seeds"]) == (4, 4, 24, 2)
    assert student["voxel_size"] == 0.1 and len(student["checkpoint"]) == 16
    assert student["checkpoint"] != rows["MSM", "teacher"]["checkpoint"]
    for metric in (
        "knn_mIoU",
        "knn1_mIoU",
        "linear_mIoU",
        "AP50",
        "linear_points_20",
        "level1_alone",
    ):
        assert len(student["metrics"][metric]["values"]) == 2
    for metric in ("linear_mIoU", "knn_mIoU", "knn1_mIoU"):  # colour tells the class
        assert rows["raw input", "-"]["metrics"][metric]["mean"] == 100
    assert student["metrics"]["linear_mIoU"]["mean"] > 90
    saved = json.loads((tmp_path / "results.json").read_text())
    assert saved["rows"] == results["rows"] and saved["git_revision"] and saved["settings"]["probes"] == list(probes)
    assert "| MSM student " in (tmp_path / "results.md").read_text()
    assert "raw input" in capsys.readouterr().out


def test_twice_is_the_same_and_scene_order_does_not_matter(tmp_path):
    shared = dict(baselines=("random",), networks=("student",))
    first = run(tmp_path, train=dict(shuffled=True), **shared)  # figures that hang on every neighbour
    state = torch.random.get_rng_state()
    assert run(tmp_path, tmp_path, train=dict(shuffled=True), **shared)["rows"] == first["rows"]
    again = run(tmp_path, tmp_path, train=dict(shuffled=True, reverse=True), test=dict(reverse=True), **shared)
    assert again["rows"] == first["rows"] and first["rows"][0]["metrics"]["knn1_mIoU"]["mean"] < 50
    assert torch.equal(torch.random.get_rng_state(), state)


def test_generators_of_every_gpu_are_put_back(tmp_path, monkeypatch):
    """Seeding reaches them all, so that all must be among the forked ones."""
    forked = []

    @contextmanager
    def fork_rng(devices):
        forked.append(list(devices))
        yield

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.random, "fork_rng", fork_rng)
    run(tmp_path, networks=("student",), baselines=("random",))
    assert [0, 1] in forked and all(devices == [0, 1] for devices in forked if devices)


def test_shuffled_labels_give_chance(tmp_path):
    """Chance: predicting the commonest class, half of all points, always is right there and nowhere else, 50 / 3."""
    train = dict(shuffled=True, scenes=24)
    (row,) = run(tmp_path, networks=("student",), baselines=(), train=train)["rows"]
    assert row["metrics"]["linear_mIoU"]["mean"] < 25 and row["metrics"]["knn_mIoU"]["mean"] < 30
    assert row["metrics"]["knn1_mIoU"]["mean"] < 30
    (row,) = run(tmp_path, tmp_path, networks=("student",), baselines=(), train=train | dict(shuffled=False))["rows"]
    assert row["metrics"]["linear_mIoU"]["mean"] > 95


def test_baselines_alone_need_no_weights(tmp_path):
    rows = by_method(run(tmp_path, networks=("student",), train=dict(shuffled=True)))
    cfg = make_config(tmp_path, "", networks=(), train=dict(shuffled=True))
    cfg.backbone, cfg.grid_size = NETWORK, 0.1
    alone = by_method(MSMProbeTester(cfg).test())
    assert set(alone) == {("random initialisation", "-"), ("raw input", "-")}
    assert all(alone[key] == rows[key] for key in alone)
    cfg.backbone = None
    with pytest.raises(ValueError, match="needs the config's `backbone`"):
        MSMProbeTester(cfg).test()
    with pytest.raises(ValueError, match="nothing to judge"):
        build_options(dict(networks=(), baselines=()), DATA)


def test_training_checkpoint(tmp_path):
    """model_last.pth, with and without DDP's prefix, gives the rows of the exported files."""
    exported = run(tmp_path, baselines=())
    state = {"student.predictor.0.weight": torch.zeros(1)}
    for name in ("student", "teacher"):
        network = load_networks(tmp_path / f"{name}.safetensors")[0]
        state |= {f"{name}.backbone.{key}": value for key, value in network.state_dict.items()}
    said = dict(network=dict(config=NETWORK, meta=dict(grid_size=0.1)))
    for prefix in ("", "module."):
        path = tmp_path / "model_last.pth"
        torch.save(dict(state_dict={prefix + key: value for key, value in state.items()}, msm=said), path)
        rows = run(tmp_path, path, baselines=())["rows"]
        assert {row["checkpoint"] for row in rows} == {digest_file(path)[:16]}
        for row, other in zip(rows, exported["rows"], strict=True):
            assert row | {"checkpoint": ""} == other | {"checkpoint": ""}


def test_a_supervised_runs_checkpoint_has_a_row_of_its_own(tmp_path):
    make_weights(tmp_path)
    (network,) = load_networks(tmp_path / "student.safetensors")
    state = {f"backbone.{key}": value for key, value in network.state_dict.items()}
    said = dict(config=NETWORK, meta=dict(grid_size=0.1, method="supervised"))
    torch.save(dict(state_dict=state, msm=dict(network=said)), tmp_path / "model_best.pth")
    shared = dict(networks=("student",), baselines=())
    rows = by_method(run(tmp_path, tmp_path, supervised=str(tmp_path / "model_best.pth"), **shared))
    assert set(rows) == {("MSM", "student"), ("supervised", "backbone")}
    assert rows["supervised", "backbone"]["metrics"] == rows["MSM", "student"]["metrics"]


def test_options_and_splits_are_checked(tmp_path):
    with pytest.raises(ValueError, match=r"unknown key.*pionts"):
        build_options(dict(type="MSMProbeTester", pionts=3), DATA)
    with pytest.raises(ValueError, match="baselines is"):
        build_options(dict(baselines=["supervised"]), DATA)
    with pytest.raises(ValueError, match="test scenes are train scenes too"):
        cfg = make_config(tmp_path, tmp_path, networks=())
        cfg.backbone, cfg.grid_size, cfg.feat_keys = NETWORK, 0.1, ("coord", "color")
        cfg.data.test.split = "train"
        MSMProbeTester(cfg).test()


def test_missing_weights_are_refused_before_data_are_made(tmp_path):
    config = make_config(tmp_path, tmp_path / "nothing.safetensors")
    for part in ("train", "test"):
        config.data[part] = dict(type="MSMRoomsDataset", split="val", data_root=str(tmp_path / "rooms"), rooms=1)
    with pytest.raises(ValueError, match=r"nothing\.safetensors"):
        MSMProbeTester(config).test()
    assert not (tmp_path / "rooms").exists()


def run_in_process(rank, port, folder):
    """One of two processes over the same weights and folder."""
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    torch.set_num_threads(1)
    results = run(folder, folder, baselines=("random",), networks=("student",), train=dict(shuffled=True))
    torch.save(results and results["rows"], folder / f"{rank}.pth")
    dist.destroy_process_group()


def test_two_processes_equal_one(tmp_path):
    alone = run(tmp_path, baselines=("random",), networks=("student",), train=dict(shuffled=True))
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    mp.spawn(run_in_process, args=(port, tmp_path), nprocs=2)
    assert torch.load(tmp_path / "0.pth") == alone["rows"] and torch.load(tmp_path / "1.pth") is None


def test_networks_of_a_folder_and_a_file(tmp_path):
    make_weights(tmp_path)
    both = load_networks(tmp_path)
    assert [n.name for n in both] == ["student", "teacher"] and both[0].meta["grid_size"] == 0.1
    assert both[0].checkpoint == hashlib.sha256((tmp_path / "student.safetensors").read_bytes()).hexdigest()
    assert [n.name for n in load_networks(tmp_path, ("teacher",))] == ["teacher"]
    (single,) = load_networks(tmp_path / "teacher.safetensors")
    assert single.name == "teacher" and single.meta["grid_size"] == 0.1 and single.config["dec_channels"] == [8, 16]


def test_config_of_the_run(tmp_path):
    """A checkpoint in a run's folder needs no config: the run keeps its own."""
    make_weights(tmp_path, ("student",))
    (exported,) = load_networks(tmp_path)
    (tmp_path / "model").mkdir()
    state = {f"student.backbone.{key}": value for key, value in exported.state_dict.items()}
    torch.save(dict(state_dict=state), tmp_path / "model" / "model_last.pth")
    (tmp_path / "config.py").write_text(
        f"grid_size = 0.3\nfeat_keys = ('color', 'normal')\nmodel = dict(backbone={NETWORK!r})\n"
    )
    (found,) = load_networks(tmp_path / "model" / "model_last.pth")
    assert found.config == NETWORK and found.meta["grid_size"] == 0.3 and found.meta["network"] == "student"


def test_the_config_beside_a_strangers_checkpoint_is_never_run(tmp_path):
    torch.save(dict(state_dict={"student.backbone.x": torch.zeros(1)}), tmp_path / "model_last.pth")
    marker = tmp_path / "marker"
    text = f"grid_size = 0.3\nmodel = dict(backbone={NETWORK!r})\nimport os\nos.system('touch {marker}')\n"
    (tmp_path / "config.py").write_text(text)
    with pytest.raises(ValueError, match=r"config.py holds more than plain values \(line 3\) and is not run"):
        load_networks(tmp_path / "model_last.pth")
    assert not marker.exists()


def test_weights_that_are_not_there(tmp_path):
    with pytest.raises(ValueError, match=r"holds none of student\.safetensors"):
        load_networks(tmp_path)
    with pytest.raises(ValueError, match="no weights"):
        load_networks(tmp_path / "x.safetensors")
    torch.save(dict(state_dict={"backbone.conv.weight": torch.zeros(1)}), tmp_path / "a.pth")
    with pytest.raises(ValueError, match=r"holds weights only, and no config.py beside it"):
        load_networks(tmp_path / "a.pth")
    (tmp_path / "config.py").write_text(f"model = dict(backbone={NETWORK!r})\n")
    with pytest.raises(ValueError, match=r"only backbone\.conv"):
        load_networks(tmp_path / "a.pth")
