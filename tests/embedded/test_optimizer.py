"""Parameter groups: first keyword wins, frozen parameters stay out, mistakes are named."""

import pytest
import torch
from torch import nn

from pointcept_msm.embedded.optimizer import build_optimizer


def build_model():
    model = nn.ModuleDict(dict(encoder=nn.Linear(2, 3), head=nn.Linear(3, 1), frozen=nn.Linear(1, 1)))
    model["frozen"].requires_grad_(False)
    return model


def test_one_group_holds_every_trainable_parameter():
    optimizer = build_optimizer(dict(type="SGD", lr=0.1, momentum=0.9), build_model())
    assert isinstance(optimizer, torch.optim.SGD) and len(optimizer.param_groups) == 1
    assert [tuple(p.shape) for p in optimizer.param_groups[0]["params"]] == [(3, 2), (3,), (1, 3), (1,)]


def test_the_first_matching_keyword_takes_the_parameter():
    model = build_model()
    groups = [dict(keyword="bias", weight_decay=0.0), dict(keyword="encoder", lr=0.01), dict(keyword="nothing")]
    optimizer = build_optimizer(dict(type="AdamW", lr=0.1, weight_decay=0.05), model, groups)
    found = [{id(p) for p in group["params"]} for group in optimizer.param_groups]
    assert found == [
        {id(model["head"].weight)},
        {id(model["encoder"].bias), id(model["head"].bias)},
        {id(model["encoder"].weight)},
        set(),
    ]
    assert [(g["lr"], g["weight_decay"]) for g in optimizer.param_groups] == [
        (0.1, 0.05), (0.1, 0.0), (0.01, 0.05), (0.1, 0.05)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("groups", "message"),
    [([dict(keyword="a", lr_scale=1)], "'lr_scale' is unknown .*use 'lr'"), ([dict(lr=1)], "has no 'keyword'")],
)
def test_a_wrong_entry_is_refused(groups, message):
    with pytest.raises(ValueError, match=message):
        build_optimizer(dict(type="Adam", lr=0.1), build_model(), groups)


def test_nothing_to_train_is_refused():
    with pytest.raises(ValueError, match="no trainable parameter"):
        build_optimizer(dict(type="Adam", lr=0.1), build_model().requires_grad_(False))
