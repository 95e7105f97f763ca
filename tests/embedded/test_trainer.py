"""The embedded trainer on a toy problem: steps, accumulation, skipped steps, early end."""

import json

import pytest
import torch

from tests import toy


def weights(trainer):
    return {name: value.clone() for name, value in trainer.model.state_dict().items()}


def find_hook(trainer, name):
    return next(hook for hook in trainer.hooks if type(hook).__name__ == name)


def assert_same(left, right, **tolerance):
    assert left.keys() == right.keys()
    for name in left:
        torch.testing.assert_close(left[name], right[name], **tolerance or dict(rtol=0, atol=0))


def subfolder(folder, name):
    (folder / name).mkdir()
    return folder / name


def still(**model):
    """A model without dropout, so that only the data decides."""
    return dict(type="ToyModel", dropout=0.0, **model)


def test_life_cycle_and_attributes(tmp_path):
    trainer = toy.build_trainer(tmp_path)
    assert (trainer.max_epoch, len(trainer.train_loader), trainer.total_steps) == (2, 8, 16)
    assert trainer.cfg.scheduler.total_steps == 16 and trainer.scaler is None
    before = weights(trainer)
    trainer.train()
    assert trainer.global_step == find_hook(trainer, "ToyTeacherHook").ticks == 16
    assert (trainer.epoch, trainer._gradient_accumulation_counter) == (1, 0)
    assert any(not torch.equal(before[name], value) for name, value in weights(trainer).items())
    assert trainer.scheduler.last_epoch == 16
    log = (tmp_path / "run" / "train.log").read_text()
    assert log.count("Train: [") == 16 and "Val result: mIoU" in log
    assert not trainer.logger.handlers, "the logger is given back"


def test_log_every_thins_the_log(tmp_path):
    toy.build_trainer(tmp_path, ["log_every=4"]).train()
    assert (tmp_path / "run" / "train.log").read_text().count("Train: [") == 5  # the first, and 4, 8, 12, 16


def test_accumulated_steps_equal_a_larger_batch(tmp_path):
    small = toy.build_trainer(subfolder(tmp_path, "a"), ["gradient_accumulation_steps=2"], model=still())
    large = toy.build_trainer(subfolder(tmp_path, "b"), ["batch_size=4"], model=still())
    large.model.load_state_dict(small.model.state_dict())
    small.train()
    large.train()
    assert small.global_step == large.global_step == find_hook(small, "ToyTeacherHook").ticks == 8
    assert_same(weights(small), weights(large), rtol=1e-4, atol=1e-6)


def test_a_nan_scene_is_skipped_and_named(tmp_path):
    train = dict(type="ToyDataset", scenes=8, broken=(3,))
    trainer = toy.build_trainer(tmp_path, data={**toy.BASE["data"], "train": train})
    trainer.train()
    # scene 3 stands in two of the four data passes' batches of an epoch, so four of sixteen steps fall out, less
    # when two of its repeats share a batch
    assert 2 <= trainer.skipped_steps <= 4
    assert trainer.global_step == 16 - trainer.skipped_steps == find_hook(trainer, "ToyTeacherHook").ticks
    assert trainer.scheduler.last_epoch == trainer.global_step
    assert all(value.isfinite().all() for value in weights(trainer).values())
    lines = [line for line in (tmp_path / "run" / "train.log").read_text().splitlines() if "Skipped" in line]
    assert len(lines) == trainer.skipped_steps and all("scene3" in line for line in lines)


def test_a_skipped_step_lowers_the_loss_scale(tmp_path):
    """Half precision scales the loss; here with the CPU's scaler."""
    train = dict(type="ToyDataset", scenes=8, broken=(3,))
    trainer = toy.build_trainer(tmp_path, data={**toy.BASE["data"], "train": train})
    trainer.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    trainer.train()
    assert trainer.skipped_steps > 0 and trainer.global_step == 16 - trainer.skipped_steps
    assert trainer.scaler.get_scale() == 1024.0 / 2**trainer.skipped_steps
    assert all(value.isfinite().all() for value in weights(trainer).values())


def test_resume_needs_a_loader(tmp_path):
    toy.build_trainer(tmp_path, ["max_steps=1"], hooks=[dict(type="MSMCheckpointer")]).train()
    with pytest.raises(ValueError, match="no hook loads it"):
        toy.build_trainer(tmp_path, ["resume=true"])


def test_too_many_skipped_steps_end_the_run_with_advice(tmp_path):
    train = dict(type="ToyDataset", scenes=8, broken=tuple(range(8)))
    trainer = toy.build_trainer(tmp_path, ["max_skipped=3"], data={**toy.BASE["data"], "train": train})
    with pytest.raises(ValueError, match=r"4 times in a row .*lower the learning rate"):
        trainer.train()
    log = (tmp_path / "run" / "train.log").read_text()
    assert "Traceback" in log and trainer.global_step == 0


def test_max_steps_ends_the_run_and_shortens_the_schedule(tmp_path):
    trainer = toy.build_trainer(tmp_path, ["max_steps=5"])
    trainer.train()
    assert trainer.global_step == trainer.cfg.scheduler.total_steps == trainer.scheduler.last_epoch == 5
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["lr"] < 1e-3  # the end of the cycle, not its middle
    assert trainer.epoch == 0 and (tmp_path / "run" / "student.safetensors").is_file()
