"""Parameter groups (first keyword wins, frozen parameters stay out), and OneCycleLR for runs of any length."""

import math

import pytest
import torch
from torch import nn

from pointcept_msm.embedded.optimizer import OneCycleLR, build_optimizer


def build_model():
    model = nn.ModuleDict(dict(encoder=nn.Linear(2, 3), head=nn.Linear(3, 1), frozen=nn.Linear(1, 1)))
    model["frozen"].requires_grad_(False)
    return model


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


def test_nothing_to_train_is_refused():
    with pytest.raises(ValueError, match="no trainable parameter"):
        build_optimizer(dict(type="Adam", lr=0.1), build_model().requires_grad_(False))


def run(steps, **cycle):
    """(rates, momenta) of every step."""
    optimizer, seen = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9), []
    scheduler = OneCycleLR(optimizer, max_lr=2.0, total_steps=steps, **cycle)
    for _ in range(steps):
        seen.append((optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["momentum"]))
        optimizer.step()
        scheduler.step()
    return zip(*seen)


def one_cycle(step, steps, peak=2.0, share=0.05, div=10.0, final_div=100.0):
    """The rate from the definition: half a cosine up over `share` of the steps, half a cosine down over the rest."""
    top = share * steps - 1  # the step of the peak
    if top <= 0:  # less than a step of warm-up: none
        return peak / div / final_div + (peak - peak / div / final_div) * fall(step / max(steps - 1, 1))
    if step <= top:
        return peak / div + (peak - peak / div) * (1 - fall(step / top))
    return peak / div / final_div + (peak - peak / div / final_div) * fall((step - top) / (steps - 1 - top))


def fall(share):
    return (1 + math.cos(math.pi * share)) / 2


@pytest.mark.parametrize("steps", [1, 2, 5, 19, 20, 21, 60])
def test_one_cycle_of_any_length(steps):
    """A warm-up of a step or less (up to 20 steps here) is none: from the peak, and only down."""
    rates, momenta = run(steps, pct_start=0.05, div_factor=10.0, final_div_factor=100.0)
    assert rates == pytest.approx([one_cycle(step, steps) for step in range(steps)])
    if steps <= 20:
        assert list(rates) == sorted(rates, reverse=True) and rates[0] == pytest.approx(2.0)
        assert momenta[0] == pytest.approx(0.85), "the momentum's cycle starts where the rate's does"


@pytest.mark.parametrize("steps", [1, 2, 20])
def test_one_cycle_may_warm_up_to_the_end(steps):
    """The step of the schedule after the last one of the run must not fail."""
    rates, _ = run(steps, pct_start=1.0)
    assert rates[-1] == pytest.approx(2.0)
