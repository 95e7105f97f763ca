"""metrics.jsonl: what a line holds, how a resumed run goes on in it."""

import json
import math

import pytest
import torch

from pointcept_msm.engines.metrics_writer import count_scenes, keep_until, to_json_number
from tests import toy


def read(folder):
    return [json.loads(line) for line in (folder / "run/metrics.jsonl").read_text().splitlines()]


HOOKS = [dict(type="InformationWriter"), dict(type="MSMMetricsWriter")]


def test_a_line_a_step(tmp_path):
    trainer = toy.build_trainer(tmp_path, hooks=HOOKS)
    trainer.train()
    lines = read(tmp_path)
    assert [line["step"] for line in lines] == list(range(1, 17))
    assert [line["epoch"] for line in lines] == [1] * 8 + [2] * 8
    last = lines[-1]
    assert last["loss_level0"] == pytest.approx(2 * last["loss"])
    assert last["loss"] == pytest.approx(trainer.comm_info["model_output_dict"]["loss"].item())
    assert (last["momentum"], last["mask_ratio"], last["skipped"]) == (0.9, 0.4, 0)
    assert lines[0]["lr"] == pytest.approx(0.05 / 25)  # the rate the step was taken with
    assert last["scenes_per_second"] > 0 and last["seconds_per_step"] > 0 and last["peak_memory_mib"] > 1


def test_lines_follow_optimizer_steps_and_average_micro_steps(tmp_path):
    seen = []

    class Spy(toy.HookBase):
        def after_step(self):
            seen.append(self.trainer.comm_info["model_output_dict"]["loss"].item())

    options = ["gradient_accumulation_steps=2"]
    trainer = toy.build_trainer(tmp_path, options, hooks=HOOKS)
    spy = Spy()
    spy.trainer = trainer
    trainer.hooks.append(spy)
    trainer.train()
    lines = read(tmp_path)
    assert [line["step"] for line in lines] == list(range(1, 9)) and len(seen) == 16
    for index, line in enumerate(lines):
        assert line["loss"] == pytest.approx(sum(seen[index * 2 : index * 2 + 2]) / 2)


def test_skipped_steps_write_no_line(tmp_path):
    train = dict(type="ToyDataset", scenes=8, broken=(0,))
    trainer = toy.build_trainer(tmp_path, hooks=HOOKS, data={**toy.BASE["data"], "train": train})
    trainer.train()
    lines = read(tmp_path)
    assert [line["step"] for line in lines] == list(range(1, trainer.global_step + 1))
    assert all(math.isfinite(line["loss"]) for line in lines)
    assert lines[-1]["skipped"] <= trainer.skipped_steps > 0


def test_keep_until_drops_later_and_torn_lines(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps({"step": step}) + "\n" for step in range(1, 6)) + '{"step": 6, "lo')
    keep_until(path, 5)
    assert path.read_text().splitlines()[-1] == '{"step": 5}'
    path.write_text(path.read_text().replace('{"step": 2}', '{"st\0\0\0\0'))
    keep_until(path, 3)
    assert path.read_text() == '{"step": 1}\n{"step": 3}\n', "a torn line in the middle costs no other"


def test_a_line_that_lacks_its_end_is_whole(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}')
    keep_until(path, 3)
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n{"step": 3}\n'


@pytest.mark.parametrize(
    ("value", "expected"), [(torch.tensor(1.5), 1.5), (3, 3), (float("nan"), None), (torch.tensor(math.inf), None)]
)
def test_numbers_that_json_lacks_are_null(value, expected):
    assert to_json_number(value) == expected


def test_count_scenes():
    assert count_scenes(dict(name=["a", "b"], offset=torch.tensor([1, 2, 3]))) == 2
    assert count_scenes(dict(msm_offset=torch.tensor([1, 2, 3, 4]), offset=torch.tensor([2, 4]))) == 2
    assert count_scenes({}) == 0
