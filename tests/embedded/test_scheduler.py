"""Schedules against closed forms, and OneCycleLR against torch's own."""

import math

import pytest
import torch

from pointcept_msm.embedded.scheduler import CosineScheduler, build_scheduler

TOTAL = 20


def optimizer():
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)


def rates(**cfg):
    """Learning rate of every step, and the one after the last."""
    engine = optimizer()
    scheduler = build_scheduler(dict(total_steps=TOTAL, **cfg), engine)
    values = []
    for _ in range(TOTAL + 1):
        values.append(engine.param_groups[0]["lr"])
        if len(values) <= TOTAL:
            engine.step()
            scheduler.step()
    return values


def warmed(step):
    ramp = 1 - (1 - step / 5) * (1 - 1e-3) if step <= 5 else 1
    return ramp * 0.1 ** (step >= 10)


@pytest.mark.parametrize(
    ("cfg", "expected"),
    [
        (dict(type="MultiStepLR", milestones=[0.5, 0.75], gamma=0.1), lambda s: 0.1 ** ((s >= 10) + (s >= 15))),
        (dict(type="MultiStepWithWarmupLR", milestones=[0.5], warmup_rate=0.25, warmup_scale=1e-3), warmed),
        (dict(type="PolyLR", power=0.9), lambda s: (1 - s / 21) ** 0.9),
        (dict(type="ExpLR", gamma=0.5), lambda s: 0.5 ** (s / 20)),
        (dict(type="CosineAnnealingLR", eta_min=0.1), lambda s: 0.1 + 0.45 * (1 + math.cos(math.pi * s / 20))),
    ],
    ids=lambda value: value.get("type") if isinstance(value, dict) else "",
)
def test_closed_form(cfg, expected):
    assert rates(**cfg) == pytest.approx([expected(step) for step in range(TOTAL + 1)])


def test_one_cycle_is_torchs():
    arguments = dict(max_lr=2.0, pct_start=0.25, anneal_strategy="cos", div_factor=10.0, final_div_factor=100.0)
    engine = optimizer()
    reference = torch.optim.lr_scheduler.OneCycleLR(engine, total_steps=TOTAL, **arguments)
    expected = [reference.get_last_lr()[0]]
    for _ in range(TOTAL - 1):
        engine.step()
        reference.step()
        expected.append(reference.get_last_lr()[0])
    assert rates(type="OneCycleLR", **arguments)[:TOTAL] == pytest.approx(expected)


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


@pytest.mark.parametrize(
    ("steps", "three_phase"),
    [*((steps, False) for steps in (1, 2, 5, 19, 20, 21, 60)), *((steps, True) for steps in (1, 2, 20))],
)
def test_one_cycle_of_any_length(steps, three_phase):
    """A warm-up of a step or less (up to 20 steps here) is none: from the peak, and only down."""
    cfg = dict(type="OneCycleLR", max_lr=2.0, pct_start=0.05, div_factor=10.0, final_div_factor=100.0)
    engine = optimizer()
    scheduler = build_scheduler(dict(cfg, total_steps=steps, three_phase=three_phase), engine)
    values, momenta = [], []
    for _ in range(steps):
        values.append(engine.param_groups[0]["lr"])
        momenta.append(engine.param_groups[0]["momentum"])
        engine.step()
        scheduler.step()
    assert values == pytest.approx([one_cycle(step, steps) for step in range(steps)])
    if steps <= 20:
        assert values == sorted(values, reverse=True) and values[0] == pytest.approx(2.0)
        assert momenta[0] == pytest.approx(0.85), "the momentum's cycle starts where the rate's does"


@pytest.mark.parametrize("steps", [1, 2, 20])
def test_one_cycle_may_warm_up_to_the_end(steps):
    """The step of the schedule after the last one of the run must not fail."""
    engine = optimizer()
    scheduler = build_scheduler(dict(type="OneCycleLR", max_lr=2.0, pct_start=1.0, total_steps=steps), engine)
    for _ in range(steps):
        last = engine.param_groups[0]["lr"]
        engine.step()
        scheduler.step()
    assert last == pytest.approx(2.0)


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan"), "0.1", None, True])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ValueError, match=r"pct_start is .*from 0 to 1"):
        build_scheduler(dict(type="OneCycleLR", max_lr=1.0, pct_start=share, total_steps=9), optimizer())


def test_every_state_survives_a_safe_load(tmp_path):
    from pointcept_msm.runtime.training_state import to_plain

    for cfg in (dict(type="MultiStepLR", milestones=[0.5]), dict(type="PolyLR"), dict(type="OneCycleLR", max_lr=1.0)):
        engine = optimizer()
        scheduler = build_scheduler(dict(total_steps=TOTAL, **cfg), engine)
        for _ in range(12):
            engine.step()
            scheduler.step()
        torch.save(to_plain([engine.state_dict(), scheduler.state_dict()]), tmp_path / "state")
        other = optimizer()
        again = build_scheduler(dict(total_steps=TOTAL, **cfg), other)
        states = torch.load(tmp_path / "state", weights_only=True)
        other.load_state_dict(states[0])
        again.load_state_dict(states[1])
        for pair in ((engine, scheduler), (other, again)):
            pair[0].step()
            pair[1].step()
        assert other.param_groups[0]["lr"] == engine.param_groups[0]["lr"]


def test_cosine_scheduler():
    schedule = CosineScheduler(1.0, 0.0, total_iters=10, start_value=0.5, warmup_iters=3, freeze_iters=2)
    cosine = [0.5 * (1 + math.cos(math.pi * i / 5)) for i in range(5)]
    expected = [0.5, 0.75, 1.0, *cosine, 0.0, 0.0]
    assert [schedule.step() for _ in range(10)] == pytest.approx(expected)
    assert schedule[3] == pytest.approx(1.0) and schedule.get(99) == 0.0
    schedule.reset()
    assert schedule.step() == 0.5
