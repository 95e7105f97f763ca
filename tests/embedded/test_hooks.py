"""Hooks of the embedded host: key mapping, honest loading, mIoU, forwarded events, storage."""

import logging

import numpy as np
import pytest
import torch
from torch import nn

from pointcept_msm.embedded.hooks import HookBase, build_hooks
from pointcept_msm.embedded.hooks.checkpoint_loader import load_pth, load_weights, rename_keys
from pointcept_msm.embedded.storage import EventStorage
from pointcept_msm.files.weights import save_checkpoint
from tests import toy

EVENTS = ("before_train", "before_epoch", "before_step", "after_step", "after_epoch", "after_train")


def test_build_hooks_keeps_the_order_and_names_a_mistake():
    hooks = build_hooks([dict(type="IterationTimer", warmup_iter=2), dict(type="ModelHook")])
    assert [type(hook).__name__ for hook in hooks] == ["IterationTimer", "ModelHook"]
    with pytest.raises(KeyError, match="CheckpointSaver"):
        build_hooks([dict(type="ChekpointSaver")])


@pytest.mark.parametrize(
    ("key", "keywords", "replacement", "expected"),
    [
        ("module.student.backbone.w", "module.student.backbone", "module.backbone", "backbone.w"),
        ("student.backbone.w", "module.student.backbone", "module.backbone", "backbone.w"),
        ("a.student.student.w", "student", "x", "a.x.student.w"),  # the first occurrence only
        ("teacher.w", "student", "x", "teacher.w"),
        ("w", "", None, "w"),
    ],
)
def test_rename_keys_is_pointcepts_mapping(key, keywords, replacement, expected):
    assert list(rename_keys({key: 0}, keywords, replacement)) == [expected]


def test_loading_reports_what_did_not_match(caplog):
    model, state = nn.Linear(2, 1), {"weight": torch.ones(1, 2), "extra": torch.zeros(1)}
    with caplog.at_level(logging.INFO, logger="msm"):
        load_weights(model, state)
    assert "Loaded 1 of 2 tensors (50.0%)" in caplog.text
    assert "Missing keys (1): bias" in caplog.text and "Unexpected keys (1): extra" in caplog.text
    assert torch.equal(model.weight, torch.ones(1, 2))
    with pytest.raises(ValueError, match="missing bias; unexpected extra"):
        load_weights(model, state, strict=True)
    with pytest.raises(ValueError, match="0 of 2 tensors match"):
        load_weights(model, {"other.weight": torch.ones(1, 2)})
    with pytest.raises(ValueError, match=r"weight with \(1, 3\) for \(1, 2\)"):
        load_weights(model, {"weight": torch.ones(1, 3)})


def test_a_file_with_more_than_tensors_is_refused(tmp_path):
    torch.save({"state_dict": {}, "odd": np.float64(1.0), "code": toy.ToyDataset()}, tmp_path / "odd.pth")
    with pytest.raises(ValueError, match="holds Python code or objects"):
        load_pth(tmp_path / "odd.pth")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_of_a_network_into_a_trainer(tmp_path, suffix):
    state, path = {"weight": torch.full((2, 4), 7.0), "bias": torch.zeros(2)}, tmp_path / f"network{suffix}"
    if suffix == ".pth":
        torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, path)
    else:
        save_checkpoint(path, state, {}, {})
    loader = dict(type="CheckpointLoader", keywords="module.", replacement="module.student.backbone.")
    trainer = toy.build_trainer(tmp_path, [f"weight={path}"], hooks=[loader])
    trainer.before_train()
    assert torch.equal(trainer.model.student["backbone"].weight, torch.full((2, 4), 7.0))
    trainer.close()


def test_a_missing_weight_file_is_refused(tmp_path):
    trainer = toy.build_trainer(tmp_path, ["weight=nowhere.pth"])
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at nowhere\.pth"):
        trainer.train()


def test_model_hook_forwards_every_event(tmp_path):
    heard = []

    class Listener(toy.ToyModel, HookBase):
        pass

    for event in EVENTS:
        setattr(Listener, event, lambda self, event=event: heard.append(event))
    trainer = toy.build_trainer(tmp_path, hooks=[dict(type="ModelHook")])
    trainer.model = Listener()
    for event in EVENTS:
        getattr(trainer.hooks[0], event)()
    assert heard == list(EVENTS) and trainer.model.trainer.max_epoch == 2
    trainer.close()


def test_storage_averages_numbers_tensors_and_arrays():
    with EventStorage() as storage:
        for value in (1.0, 3.0):
            storage.put_scalar("number", value)
            storage.put_scalar("tensor", torch.tensor(value))
            storage.put_scalar("array", np.array([value, 0.0]), n=2)
        assert storage.history("number").avg == storage.history("tensor").avg == 2.0
        assert storage.history("tensor").val == 3.0 and storage.history("tensor").count == 2
        np.testing.assert_array_equal(storage.history("array").total, [8.0, 0.0])
        storage.reset_histories()
        assert storage.history("number").avg == 0.0
