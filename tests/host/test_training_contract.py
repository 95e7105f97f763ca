"""What training relies on in either host: order of events, scalars, what counts as a step, decay, resume, best model.

Run here in the embedded host, and in a real Pointcept by test_in_pointcept.py.
"""

import json
import logging
import shutil

import pytest
import torch

from pointcept_msm.files.torch_files import read_torch_file
from pointcept_msm.host import HOOKS, HOST, TRAINERS, HookBase, register
from pointcept_msm.host.run_config import read_config
from pointcept_msm.runtime.errors import UserError
from tests.host.miniature import GRID, MODEL, build, make_batches, make_config, make_trainer, write_scenes
from tests.host.miniature import HOOKS as TRAINING_HOOKS

EVENTS = ("before_train", "before_epoch", "before_step", "after_step", "after_epoch", "after_train")


class Recorder(HookBase):
    """Writes down (number, event); stops the run, as a crash would, at the end of trainer epoch `crash`."""

    calls: list = []

    def __init__(self, number=0, crash=None):
        self.number, self.crash = number, crash

    def after_epoch(self):
        self.calls.append((self.number, "after_epoch"))
        if self.crash == self.trainer.epoch + 1:
            raise RuntimeError("the power went")


for event in EVENTS[:4] + EVENTS[5:]:
    setattr(Recorder, event, lambda self, event=event: self.calls.append((self.number, event)))


@pytest.fixture(autouse=True)
def recorder():
    Recorder.calls.clear()
    register(HOOKS, "MSMRecorder")(Recorder)
    yield Recorder.calls
    HOOKS.module_dict.pop("MSMRecorder")


def hooks_with(*extra):
    return [*TRAINING_HOOKS[:-1], *extra, TRAINING_HOOKS[-1]]


def read_metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_events_come_in_order_and_hooks_in_the_order_of_the_list(tmp_path, recorder):
    hooks = [*TRAINING_HOOKS, dict(type="MSMRecorder", number=1), dict(type="MSMRecorder", number=2)]
    make_trainer(make_config(tmp_path, hooks=hooks, epoch=2, eval_epoch=2), make_batches(2)).train()
    step, epoch = ["before_step", "after_step"] * 2, []
    for _ in range(2):
        epoch += ["before_epoch", *step, "after_epoch"]
    wanted = ["before_train", *epoch, "after_train"]
    assert recorder == [(number, event) for event in wanted for number in (1, 2)]


def test_a_training_forward_gives_scalars_only():
    output = build(MODEL).train()(make_batches(1)[0])
    assert "loss" in output and all(value.numel() == 1 for value in output.values())


def test_a_batch_is_flat_and_its_offset_cumulative():
    batch = make_batches(1, scenes=3)[0]
    assert not [key for key, value in batch.items() if isinstance(value, dict)]
    assert len(batch["offset"]) == 6 and batch["offset"].diff().min() > 0
    assert batch["offset"][-1] == len(batch["feat"]) == len(batch["match"])
    assert batch["name"] == ["scene0", "scene1", "scene2"]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_teacher_and_schedule_move_once_an_optimizer_step(tmp_path, accumulate):
    cfg = make_config(tmp_path, gradient_accumulation_steps=accumulate, epoch=2, eval_epoch=2)
    trainer = make_trainer(cfg, make_batches(4))
    trainer.train()
    steps = 8 // accumulate
    assert int(trainer.model.train_step) == trainer.scheduler.last_epoch == steps
    lines = read_metrics(tmp_path)
    assert [line["step"] for line in lines] == list(range(1, steps + 1))
    assert lines[0]["momentum"] == pytest.approx(0.9) and lines[-1]["momentum"] == pytest.approx(1.0)


@pytest.mark.parametrize("share", [0.25, 0.1], ids=["one step", "less than a step"])
def test_a_warm_up_of_a_step_or_less_is_none(tmp_path, share):
    """Four steps: from the peak down, where torch fails for one step and starts below the peak for less."""
    cycle = dict(type="OneCycleLR", max_lr=0.01, pct_start=share)
    make_trainer(make_config(tmp_path, scheduler=cycle), make_batches(4)).train()
    lowest = 0.01 / 25 / 1e4
    wanted = [lowest + (0.01 - lowest) * part for part in (1, 0.75, 0.25, 0)]
    assert [line["lr"] for line in read_metrics(tmp_path)] == pytest.approx(wanted)


def test_a_step_that_the_scaler_skips_moves_nothing(tmp_path):
    """One infinite gradient under loss scaling: that step leaves teacher, schedule and weights where they were."""
    trainer = make_trainer(make_config(tmp_path, hooks=[dict(type="MSMTeacherHook")]), make_batches(3))
    trainer.scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    trainer.cfg.enable_amp = True
    weight, seen = next(trainer.model.student["backbone"].parameters()), []

    def spoil(gradient):
        seen.append(weight.detach().clone())
        return gradient * (float("inf") if len(seen) == 2 else 1.0)

    weight.register_hook(spoil)
    with torch.autocast("cuda", enabled=False):
        trainer.train()
    assert len(seen) == 3 and int(trainer.model.train_step) == trainer.scheduler.last_epoch == 2
    assert not torch.equal(seen[0], seen[1]) and torch.equal(seen[1], seen[2])


def test_resume_in_the_middle_goes_on_where_the_run_stopped(tmp_path):
    options = dict(epoch=4, eval_epoch=4)
    crash = dict(type="MSMRecorder", crash=3)
    trainer = make_trainer(make_config(tmp_path, hooks=[*TRAINING_HOOKS, crash], **options), make_batches(2))
    with pytest.raises((SystemExit, RuntimeError)):  # Pointcept turns every error into SystemExit
        trainer.train()
    last = str(tmp_path / "model" / "model_last.pth")
    saved = read_torch_file(last)
    assert int(saved["state_dict"]["train_step"]) in (4, 6)  # before or after the saver of that epoch
    done = int(saved["state_dict"]["train_step"])
    again = make_trainer(make_config(tmp_path, resume=True, weight=last, **options), make_batches(2))
    again.train()
    assert int(again.model.train_step) == again.scheduler.last_epoch == 8
    lines = read_metrics(tmp_path)
    assert [line["step"] for line in lines] == list(range(1, 9))
    momentum = [line["momentum"] for line in lines]
    assert momentum == sorted(momentum) and momentum[done] > momentum[0]


def test_the_probe_chooses_the_best_checkpoint_and_its_lines_reach_the_log(tmp_path):
    write_scenes(tmp_path / "data")
    dataset = dict(type="MSMScenesDataset", split="train", data_root=str(tmp_path / "data"))
    probe = dict(
        type="MSMProbeEvaluator", scenes=4, points_per_scene=100, num_classes=3, dataset=dataset, grid_size=GRID
    )
    cfg = make_config(tmp_path / "run", hooks=hooks_with(probe), evaluate=True, epoch=2, eval_epoch=2)
    cfg.feat_keys = ("color", "normal")
    trainer, lines = make_trainer(cfg, make_batches(2)), []
    listener = logging.Handler()
    listener.emit = lambda record: lines.append(record.getMessage())
    trainer.logger.addHandler(listener)  # the host's own: what it hears is in train.log
    trainer.train()
    trainer.logger.removeHandler(listener)
    assert 0 < trainer.best_metric_value <= 100
    best = read_torch_file(tmp_path / "run" / "model" / "model_best.pth")
    assert best["best_metric_value"] == pytest.approx(trainer.best_metric_value)
    assert any("probe after epoch 2" in line for line in lines)


def build_real_trainer(folder, **changes):
    """With the host's own loader."""
    return TRAINERS.get("MSMTrainer")(make_config(folder / "run", **changes))


@pytest.mark.parametrize("missing", ["folder", "split", "everything"])
def test_a_data_set_of_a_joint_training_that_is_not_there_is_refused(tmp_path, missing):
    """By its name and the place; the others alone would be another training."""
    write_scenes(tmp_path / "data", count=2)
    view = dict(type="MSMViews", grid_size=GRID, max_voxels=900, feat_keys=("color", "normal"))
    parts = [
        dict(type="DefaultDataset", split="train", data_root=str(tmp_path / "data"), transform=[view]),
        dict(type="ScanNetDataset", split=["train", "val"], data_root=str(tmp_path / "scannet"), transform=[view]),
    ]
    if missing == "split":
        write_scenes(tmp_path / "scannet", count=1)
        shutil.rmtree(tmp_path / "scannet/val")
    train = dict(type="ConcatDataset", datasets=parts[1:] if missing == "everything" else parts)
    place = tmp_path / "scannet" / ("val" if missing == "split" else "train")
    with pytest.raises(UserError, match=rf"^ScanNetDataset: {place} does not exist; .*scan-net.org"):
        build_real_trainer(tmp_path, data=dict(train=train))


def test_a_weight_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.pth"):
        make_trainer(make_config(tmp_path, weight="nowhere.pth"), make_batches(1)).train()


def test_a_weight_of_which_nothing_is_the_models_is_refused(tmp_path):
    torch.save(dict(state_dict={"module.old.weight": torch.ones(1)}), tmp_path / "old.pth")
    for hooks, weight, said in (
        (TRAINING_HOOKS, "old.pth", r"old\.pth.*keywords and replacement"),
        (TRAINING_HOOKS[1:], "old.pth", r"CheckpointLoader"),
    ):
        assert TRAINING_HOOKS[0]["type"] == "CheckpointLoader"
        config = make_config(tmp_path / "run", weight=str(tmp_path / weight), hooks=hooks)
        with pytest.raises(UserError, match=said):
            make_trainer(config, make_batches(1)).train()


def test_mixing_scenes_of_voxels_is_refused_by_its_name(tmp_path):
    with pytest.raises(UserError, match=r"mix_prob is 0\.8: .*set mix_prob=0"):
        build_real_trainer(tmp_path, mix_prob=0.8, data=dict(train=dict(type="MSMRoomsDataset")))


def test_a_key_that_is_nearly_a_runs_is_said(tmp_path, caplog):
    """Pointcept's own scripts take any option; the embedded host's refuse it, and say it of a config's."""
    write_scenes(tmp_path / "data", count=2)
    view = dict(type="MSMViews", grid_size=GRID, max_voxels=900, feat_keys=("color", "normal"))
    train = dict(type="MSMScenesDataset", split="train", data_root=str(tmp_path / "data"), transform=[view])
    logging.getLogger("msm").addHandler(caplog.handler)
    try:
        if HOST == "pointcept":
            build_real_trainer(tmp_path, batchsize=4, data=dict(train=train))
        else:
            (tmp_path / "own.py").write_text("batchsize = 4\nscenes = {}\n")
            read_config(tmp_path / "own.py")
    finally:
        logging.getLogger("msm").removeHandler(caplog.handler)
    said = {record.getMessage() for record in caplog.records if "nothing reads" in record.getMessage()}
    assert said == {"the config has 'batchsize', which nothing reads; did you mean 'batch_size'?"}


def test_a_checkpoint_says_which_network_it_holds(tmp_path):
    make_trainer(make_config(tmp_path), make_batches(1)).train()
    network = read_torch_file(tmp_path / "model" / "model_last.pth")["msm"]["network"]
    assert network["config"]["type"] == "MSM-HUNet-v1m1"
    from pointcept_msm.engines.tester import load_networks

    (tmp_path / "config.py").write_text("weight = 'something else'\n")
    found = load_networks(tmp_path / "model" / "model_last.pth")
    assert [n.name for n in found] == ["student", "teacher"]
    build(dict(found[0].config)).load_state_dict(found[0].state_dict)
