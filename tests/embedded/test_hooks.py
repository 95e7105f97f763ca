"""Hooks of the embedded host: names that are not there, key mapping, honest loading."""

import logging

import pytest
import torch
from torch import nn

from pointcept_msm.embedded.hooks import load_weights, rename_keys
from pointcept_msm.embedded.registry import HOOKS
from pointcept_msm.files.weights import save_checkpoint
from pointcept_msm.runtime.errors import UserError
from tests import toy


def test_a_name_that_is_not_there_gets_the_nearest():
    with pytest.raises(UserError, match=r"'IterationTime' is not .*did you mean 'IterationTimer'"):
        HOOKS.build(dict(type="IterationTime"))


def test_loading_says_what_did_not_match(caplog):
    model, state = nn.Linear(2, 1), {"weight": torch.ones(1, 2), "extra": torch.zeros(1)}
    with caplog.at_level(logging.INFO, logger="msm"):
        load_weights(model, state, "the file")
    assert "Loaded 1 of 2 tensors" in caplog.text
    assert "Missing keys (1): bias" in caplog.text and "Unexpected keys (1): extra" in caplog.text
    assert torch.equal(model.weight, torch.ones(1, 2))
    for wrong, strict in ((state, True), ({"other": torch.ones(1)}, False), ({"weight": torch.ones(1, 3)}, False)):
        with pytest.raises(UserError, match="the file does not fit the network"):
            load_weights(model, wrong, "the file", strict)


@pytest.mark.parametrize(
    ("key", "keywords", "replacement", "expected"),
    [
        ("student.backbone.w", "module.student.backbone", "module.backbone", "backbone.w"),
        ("a.student.student.w", "student", "x", "a.x.student.w"),  # the first occurrence only
        ("teacher.w", "student", "x", "teacher.w"),
        ("w", "", None, "w"),
    ],
)
def test_rename_keys_is_pointcepts_mapping(key, keywords, replacement, expected):
    assert list(rename_keys({key: 0}, keywords, replacement)) == [expected]


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
