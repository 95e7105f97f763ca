"""Teacher, masking and collapse hooks on a stand-in trainer."""

import logging
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pointcept_msm.engines.method_hooks import (
    MSMCollapseMonitor,
    MSMMaskingHook,
    MSMTeacherHook,
    cosine_momentum,
    effective_rank,
    feature_spread,
)
from pointcept_msm.models.msm_v1m1_base import MSM
from tests.models.sparse_scenes import TINY

STEPS = 10


@pytest.fixture
def trainer():
    torch.manual_seed(0)
    model = MSM(dict(type="MSM-HUNet-v1m1", **TINY), mask_patch=0.4)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    scheduler = SimpleNamespace(last_epoch=0)
    cfg = SimpleNamespace(scheduler=SimpleNamespace(total_steps=STEPS))
    return SimpleNamespace(model=model, optimizer=optimizer, scheduler=scheduler, cfg=cfg, comm_info={})


def attach(hook, trainer):
    hook.trainer = trainer
    hook.before_train()
    return hook


def step(trainer):
    for parameter in trainer.model.student.parameters():
        parameter.grad = torch.ones_like(parameter)
    trainer.optimizer.step()


def test_momentum_is_a_half_cosine():
    values = [cosine_momentum(i, STEPS, 0.996, 1.0) for i in range(STEPS)]
    expected = [1 - 0.004 * (math.cos(math.pi * i / (STEPS - 1)) + 1) / 2 for i in range(STEPS)]
    np.testing.assert_allclose(values, expected)
    assert values[0] == 0.996 and values[-1] == 1.0 == cosine_momentum(STEPS + 5, STEPS, 0.996, 1.0)


def test_teacher_is_the_average_of_the_students_that_were(trainer):
    hook = attach(MSMTeacherHook(momentum=0.5, final=0.9), trainer)
    name = "init_transform.0.bias"
    student, teacher = (net["backbone"].get_parameter(name) for net in (trainer.model.student, trainer.model.teacher))
    expected = teacher.clone()
    for i in range(3):
        step(trainer)
        momentum = cosine_momentum(i, STEPS, 0.5, 0.9)
        expected = momentum * expected + (1 - momentum) * student
        torch.testing.assert_close(teacher, expected)
        assert trainer.model.momentum == momentum and trainer.model.train_step == i + 1
    hook.after_train()
    step(trainer)
    assert trainer.model.train_step == 3


def test_a_step_that_the_scaler_skips_leaves_the_teacher(trainer):
    attach(MSMTeacherHook(momentum=0.5), trainer)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    for value, ticks in ((math.inf, 0), (1.0, 1)):
        loss = sum(p.sum() for p in trainer.model.student.parameters()) * value
        scaler.scale(loss).backward()
        scaler.step(trainer.optimizer)
        scaler.update()
        trainer.optimizer.zero_grad()
        assert trainer.model.train_step == ticks


def test_a_resumed_run_goes_on_with_the_momentum(trainer):
    trainer.model.train_step.fill_(7)
    attach(MSMTeacherHook(momentum=0.5), trainer)
    assert trainer.model.momentum == cosine_momentum(7, STEPS, 0.5, 1.0)


def test_masking_ramps_over_the_warm_up_and_leaves_what_it_is_not_given(trainer):
    hook = attach(MSMMaskingHook(ratio=(0.2, 0.6), patch=None, warmup=0.5), trainer)
    seen = []
    for trainer.scheduler.last_epoch in range(STEPS):
        hook.before_step()
        seen.append(trainer.model.mask_ratio)
        assert trainer.model.mask_patch == 0.4
    np.testing.assert_allclose(seen, [0.2, 0.28, 0.36, 0.44, 0.52] + [0.6] * 5)


def test_spread_and_rank_know_collapse_from_health():
    generator = torch.Generator().manual_seed(0)
    healthy = torch.randn(4000, 16, generator=generator)
    assert feature_spread(healthy) == pytest.approx(1, abs=0.02) and effective_rank(healthy) > 15.5
    direction = torch.randn(1, 16, generator=generator)
    assert feature_spread(direction + 1e-3 * healthy) < 0.01
    line = torch.randn(4000, 1, generator=generator) * direction
    assert effective_rank(line) == pytest.approx(1, abs=0.01)
    two = torch.zeros(4, 16)
    two[[0, 1], 0], two[[2, 3], 1] = torch.tensor([1.0, -1.0]), torch.tensor([1.0, -1.0])
    assert effective_rank(two) == pytest.approx(2, abs=1e-6)


def test_monitor_reports_every_level_and_warns_once(trainer, caplog):
    hook = attach(MSMCollapseMonitor(interval=2), trainer)
    healthy, collapsed = torch.randn(500, 8), torch.ones(500, 8) + 1e-4 * torch.randn(500, 8)
    logging.getLogger("msm").propagate = True
    with caplog.at_level(logging.WARNING, logger="msm"):
        for _ in range(3):
            trainer.model.observed = [healthy, collapsed]
            for _ in range(2):
                trainer.comm_info["model_output_dict"] = {}
                hook.after_step()
            assert set(trainer.comm_info["model_output_dict"]) == {
                f"{name}_level{level}" for name in ("spread", "rank") for level in (0, 1)
            }
    warnings = [record.message for record in caplog.records]
    assert len(warnings) == 1 and warnings[0].startswith("Level 1 may be collapsing")
    again = MSMCollapseMonitor(interval=2)
    again.load_state_dict(hook.state_dict())
    assert again.state_dict() == hook.state_dict()


@pytest.mark.parametrize("hook", [MSMTeacherHook(), MSMMaskingHook(ratio=0.5), MSMCollapseMonitor()])
def test_another_model_is_refused(trainer, hook):
    trainer.model = torch.nn.Linear(2, 2)
    with pytest.raises(ValueError, match=f"{type(hook).__name__} works on a model with .* Linear has none"):
        attach(hook, trainer)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="0 <= momentum <= final <= 1"):
        MSMTeacherHook(momentum=1.2)
