"""Data that fails while a run trains: lost workers are replaced, scenes are named, what was done is saved."""

import os
import signal
from pathlib import Path

import pytest
import torch

from pointcept_msm.embedded.batches import WorkerDied
from pointcept_msm.embedded.collate import collate_fn
from pointcept_msm.embedded.loader import SceneError, collate_seeded
from pointcept_msm.host import DATASETS, register
from pointcept_msm.runtime.command_line import describe_error
from tests import toy

LAST = "run/model/model_last.pth"


@register(DATASETS, "FragileDataset")
class FragileDataset(toy.ToyDataset):
    """A toy set of which one scene kills its worker (`deaths` times, counted in a file) or raises an error."""

    def __init__(self, scene=5, deaths=0, error=None, counter="", **toys):
        super().__init__(**toys)
        self.scene, self.deaths, self.error, self.counter = scene, deaths, error, counter

    def get_data_name(self, index):
        return f"scene{index % self.scenes}"

    def __getitem__(self, index):
        if index % self.scenes == self.scene:
            path = Path(self.counter)
            if self.deaths and len(path.read_text() if path.exists() else "") < self.deaths:
                with open(path, "a") as file:
                    file.write("x")
                os.kill(os.getpid(), signal.SIGKILL)
            if self.error:
                raise {"value": ValueError, "index": IndexError}[self.error]("three\nlines of\ntext")
        return super().__getitem__(index)


def build(folder, options=(), **dataset):
    train = dict(type="FragileDataset", scenes=8, counter=f"{folder}/deaths", **dataset)
    imports = dict(imports=["tests.toy", __name__], allow_failed_imports=False)
    return toy.build_trainer(folder, options, data={**toy.BASE["data"], "train": train}, custom_imports=imports)


def read(folder):
    return torch.load(folder / LAST, weights_only=True)


def test_a_lost_worker_is_replaced_and_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.utils.data._utils, "MP_STATUS_CHECK_INTERVAL", 0.5)  # seconds; torch looks every 5
    for name, deaths in (("lost", 1), ("whole", 0)):
        (tmp_path / name).mkdir()
        trainer = build(tmp_path / name, ["num_worker=1"], deaths=deaths)
        trainer.train()
        assert trainer.global_step == 16
    log = (tmp_path / "lost/run/train.log").read_text()
    assert (tmp_path / "lost/deaths").read_text() == "x"
    assert log.count("A data worker ended (signal 9, as when memory runs out); new ones go on") == 1
    left, right = (read(tmp_path / name)["state_dict"] for name in ("lost", "whole"))
    assert all(torch.equal(left[key], right[key]) for key in right)


@pytest.mark.slow
def test_a_worker_that_dies_again_and_again_ends_the_run(tmp_path):
    trainer = build(tmp_path, ["num_worker=2"], deaths=9)
    with pytest.raises(WorkerDied, match=r"3 times while the batch of epoch 1, iteration \d was made: .*num_worker=0"):
        trainer.train()
    assert read(tmp_path)["msm"]["step"] == trainer.global_step, "what was done before is saved"


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(("error", "said"), [("value", "three lines of text"), ("index", "IndexError: three lines")])
def test_a_scene_that_fails_is_named_in_one_line(tmp_path, workers, error, said):
    trainer = build(tmp_path, [f"num_worker={workers}"], error=error)
    with pytest.raises(SceneError, match=rf"^scene scene5 cannot be used: {said}") as caught:
        trainer.train()
    assert "\n" not in describe_error(caught.value) and "Traceback" not in str(caught.value)
    log = (tmp_path / "run/train.log").read_text()
    assert "in __getitem__" in log and "go on with -r true" in log
    assert read(tmp_path)["msm"]["step"] == trainer.global_step > 0


def test_after_the_scene_is_mended_the_run_goes_on_as_if_nothing_had_been(tmp_path):
    (tmp_path / "cut").mkdir()
    (tmp_path / "whole").mkdir()
    with pytest.raises(SceneError):
        build(tmp_path / "cut", error="value").train()
    build(tmp_path / "cut", ["resume=true", "data.train.error=none"], error="value").train()
    build(tmp_path / "whole").train()
    left, right = (read(tmp_path / name)["state_dict"] for name in ("cut", "whole"))
    assert all(torch.equal(left[key], right[key]) for key in right)


@pytest.mark.parametrize("odd", [0, 1])
def test_scenes_with_different_fields_are_named(odd):
    """Whichever comes first: a field that only some have must not be dropped without a word."""
    items = [dict(feat=torch.zeros(2, 4), name=f"scene{i}", offset=torch.tensor([2])) for i in range(2)]
    items[odd]["segment"] = torch.zeros(2)
    failed = collate_seeded((items, (0, 1, 0, 0)), collate_fn)
    assert isinstance(failed, SceneError)
    assert "scenes scene0, scene1 cannot be put into one batch" in str(failed) and "segment" in str(failed)
