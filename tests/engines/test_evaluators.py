"""The training-time probe on a tiny network: what it measures, what it leaves alone, and that processes agree."""

import json
import logging
import re
import socket
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from pointcept_msm.engines.evaluators import MSMProbeEvaluator, MSMSemSegEvaluator, quick_scores
from pointcept_msm.host import Config, build_model
from pointcept_msm.host.run_config import load_run_config
from pointcept_msm.host.runner import run_training
from pointcept_msm.probing.features import SceneFeatures
from tests.configs.test_configs import MINI_NETWORK
from tests.probe_toy import NETWORK, ProbeToyDataset


def make_trainer(folder, epoch=0, **dataset):
    torch.manual_seed(0)
    model = torch.nn.Module()
    model.student = torch.nn.ModuleDict(dict(backbone=build_model(dict(NETWORK))))
    model.teacher = torch.nn.ModuleDict(dict(backbone=build_model(dict(NETWORK))))
    model.teacher.eval()
    loader = SimpleNamespace(dataset=ProbeToyDataset(scenes=6, **dataset))
    cfg = Config(dict(grid_size=0.1, data=dict(num_classes=3), save_path=str(folder)))
    facts = dict(comm_info={}, writer=None, epoch=epoch, max_epoch=4, global_step=7)
    return SimpleNamespace(model=model, train_loader=loader, cfg=cfg, **facts)


def test_hook_measures_and_leaves_the_trainer_alone(tmp_path):
    hook = MSMProbeEvaluator(every=2, scenes=6, points_per_scene=60, metric="teacher_knn")
    trainer = make_trainer(tmp_path)
    hook.trainer = trainer
    hook.before_train()
    hook.after_epoch()
    assert trainer.comm_info["current_metric_value"] == float("-inf")  # epoch 1 of every 2
    trainer.epoch, state, numpy_state = 1, torch.random.get_rng_state(), np.random.get_state()[1].copy()
    hook.after_epoch()
    assert trainer.comm_info["current_metric_name"] == "teacher_knn_mIoU"
    assert 60 < trainer.comm_info["current_metric_value"] <= 100
    assert trainer.model.student.training and not trainer.model.teacher.training
    assert torch.equal(torch.random.get_rng_state(), state) and np.array_equal(np.random.get_state()[1], numpy_state)
    first = hook.evaluate()
    assert set(first) == {"student_knn", "student_linear", "teacher_knn", "teacher_linear"} and hook.evaluate() == first
    lines = [json.loads(line) for line in (tmp_path / "evaluations.jsonl").read_text().splitlines()]
    assert len(lines) == 3 and lines[-1]["probe/teacher_knn_mIoU"] == first["teacher_knn"]
    assert (lines[-1]["step"], lines[-1]["epoch"]) == (7, 2)


def test_hook_needs_labels_and_a_known_metric(tmp_path):
    hook, trainer = MSMProbeEvaluator(scenes=4), make_trainer(tmp_path)
    hook.trainer = trainer
    scene = trainer.train_loader.dataset.get_data
    trainer.train_loader.dataset.get_data = lambda i: scene(i) | dict(segment=np.full(240, -1))
    with pytest.raises(ValueError, match="no labelled points"):
        hook.evaluate()
    with pytest.raises(ValueError, match="metric is 'mIoU'"):
        MSMProbeEvaluator(metric="mIoU")
    del trainer.model.student
    with pytest.raises(ValueError, match="was not measured"):
        trainer.train_loader.dataset.get_data = scene
        hook.evaluate()


def test_quick_scores_do_not_depend_on_order():
    rng = np.random.default_rng(0)
    scenes = []
    for i in range(6):
        label = rng.integers(-1, 3, 50)
        feat = (np.eye(4)[label] + 0.3 * rng.standard_normal((50, 4))).astype(np.float32)
        scenes.append(SceneFeatures(f"s{i}", feat, label, label, feat[:, :3], np.arange(50)))
    levels = [("a", 0.1, slice(0, 4))]
    scores = quick_scores(scenes, levels, 3)
    assert quick_scores(scenes[::-1], levels, 3) == scores and scores["linear"] > 90


def test_in_a_run_it_chooses_the_checkpoint_and_leaves_the_test_rooms_alone(tmp_path):
    """Rooms are made when a data set is built: those of the test split must not be there after the run."""
    options = [f"model.backbone.{key}={value}" for key, value in MINI_NETWORK.items()]
    options += [f"save_path={tmp_path / 'run'}", f"data_root={tmp_path / 'rooms'}", "num_worker=0", "batch_size=2"]
    options += ["data.train.rooms=4", "data.train.points=3000", "epoch=4", "eval_epoch=4", "grid_size=0.16"]
    place = [h.type for h in load_run_config("pretrain-rooms-small").hooks].index("MSMProbeEvaluator")
    options += [f"hooks.{place}.{text}" for text in ("every=2", "scenes=4", "points_per_scene=100")]
    run_training("pretrain-rooms-small", options)
    assert [p.name for p in (tmp_path / "rooms").iterdir() if p.is_dir()] == ["train"]
    lines = [x for x in (tmp_path / "run" / "train.log").read_text().splitlines() if "probe after epoch" in x]
    metric = [float(re.search(r"student_linear ([\d.]+)", line)[1]) for line in lines]
    assert ["epoch 2 " in lines[0], "epoch 4 " in lines[1], len(lines)] == [True, True, 2]
    kept = torch.load(tmp_path / "run" / "model" / "model_best.pth", weights_only=True, map_location="cpu")
    assert kept["epoch"] == (2 if metric[0] >= metric[1] else 4)
    assert kept["best_metric_value"] == pytest.approx(max(metric), abs=0.06)


def evaluate_in_process(rank, port, folder):
    """One of two processes; the second has fewer scenes to do."""
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    torch.set_num_threads(1)
    hook = MSMProbeEvaluator(scenes=5, points_per_scene=60)
    hook.trainer = make_trainer(folder)
    torch.save(hook.evaluate(), folder / f"{rank}.pth")
    dist.destroy_process_group()


def test_two_processes_equal_one(tmp_path):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    mp.spawn(evaluate_in_process, args=(port, tmp_path), nprocs=2)
    hook = MSMProbeEvaluator(scenes=5, points_per_scene=60)
    hook.trainer = make_trainer(tmp_path)
    alone = hook.evaluate()
    assert torch.load(tmp_path / "0.pth") == torch.load(tmp_path / "1.pth") == pytest.approx(alone)


class OnDevice(torch.Tensor):
    """A stand-in for a tensor on another device: it mixes with its like alone, until `cpu` brings it over."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        flat = [x for arg in args for x in (arg if isinstance(arg, (tuple, list)) else (arg,))]
        if any(isinstance(x, torch.Tensor) and not isinstance(x, OnDevice) for x in flat):
            raise RuntimeError("indices should be either on cpu or on the same device as the indexed tensor")
        out = super().__torch_function__(function, types, args, kwargs or {})
        return out.as_subclass(torch.Tensor) if function is torch.Tensor.cpu else out


class VoxelModel(torch.nn.Linear):
    """Voxels say 0, 1, 0 by logits that `wrap` puts somewhere."""

    def __init__(self, wrap=lambda x: x):
        super().__init__(1, 1)
        self.wrap = wrap

    def forward(self, batch):
        device = batch["segment"].device
        return dict(seg_logits=self.wrap(torch.eye(2, device=device)[[0, 1, 0]]), loss=torch.tensor(0.5))


BATCH = dict(
    segment=torch.zeros(3, dtype=torch.long),
    offset=torch.tensor([3]),
    inverse=torch.tensor([0, 0, 1, 2]),
    origin_segment=torch.tensor([0, 1, 1, -1]),
)


def make_segmentation(model, batches, folder):
    cfg = Config(dict(evaluate=True, save_path=str(folder), data=dict(num_classes=3, names=["low", "high", "none"])))
    facts = dict(comm_info={}, writer=None, epoch=0, logger=logging.getLogger("msm"), global_step=3)
    hook = MSMSemSegEvaluator()
    hook.trainer = SimpleNamespace(model=model, val_loader=batches, cfg=cfg, **facts)
    return hook


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: x.as_subclass(OnDevice)], ids=["here", "on a device"])
def test_voxels_are_expanded_to_points_wherever_they_are(wrap, caplog, tmp_path):
    hook = make_segmentation(VoxelModel(wrap), [BATCH, BATCH], tmp_path)
    hook.before_train()
    with caplog.at_level("INFO", logger="msm"):
        hook.after_epoch()
        scores = hook.evaluate()
    # Points are seen as 0, 0, 1 and are 0, 1, 1; the third class does not occur.
    assert scores["mIoU"] == pytest.approx(0.5) and scores["mIoU_all"] == pytest.approx(1 / 3)
    assert scores["allAcc"] == pytest.approx(2 / 3) and scores["loss"] == 0.5
    assert hook.trainer.comm_info == dict(current_metric_value=scores["mIoU"], current_metric_name="mIoU")
    assert "0.5000/0.7500/0.6667 over the 2 of 3 classes that occur" in caplog.text and "0.3333/0.5000" in caplog.text
    assert hook.trainer.model.training
    line = json.loads((tmp_path / "evaluations.jsonl").read_text().splitlines()[-1])
    assert line["step"] == 3 and line["val/mIoU_all"] == scores["mIoU_all"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_segmentation_is_evaluated_on_a_gpu(tmp_path):
    scores = make_segmentation(VoxelModel().cuda(), [BATCH], tmp_path).evaluate()
    assert scores["mIoU"] == pytest.approx(0.5)


def test_what_the_evaluator_refuses(tmp_path):
    hook = make_segmentation(VoxelModel(), [BATCH | dict(offset=torch.tensor([1, 3]))], tmp_path)
    with pytest.raises(ValueError, match="several scenes"):
        hook.evaluate()
    hook = make_segmentation(VoxelModel(), [BATCH | dict(origin_segment=torch.tensor([0, 1, 255, -1]))], tmp_path)
    with pytest.raises(ValueError, match="255"):
        hook.evaluate()
    hook.trainer.cfg.data.num_classes = None
    with pytest.raises(ValueError, match="MSMSemSegEvaluator does not know the number of classes"):
        hook.before_train()
