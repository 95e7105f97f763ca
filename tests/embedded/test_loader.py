"""Batches as a function of (seed, epoch, position) alone, how samples are joined, and data that fails."""

import os
import signal
from pathlib import Path

import pytest
import torch

from pointcept_msm.embedded.loader import EpochSampler, SceneError, SeededDataset, collate_fn
from pointcept_msm.host import DATASETS, register
from pointcept_msm.runtime.errors import UserError
from tests import toy
from tests.robustness.msm_run import LAST, find_differences, read


def sample(points, **entries):
    coord = torch.arange(points * 3).reshape(points, 3).float()
    return dict(coord=coord, offset=torch.tensor([points]), name=f"s{points}", **entries)


def test_points_are_joined_and_offsets_run_on():
    batch = collate_fn([sample(2), sample(3), sample(1)])
    assert batch["offset"].tolist() == [2, 5, 6] and batch["offset"].dtype == torch.int64
    assert torch.equal(batch["coord"], torch.cat([sample(n)["coord"] for n in (2, 3, 1)]))
    assert batch["name"] == ["s2", "s3", "s1"]
    views = [dict(offset=torch.tensor(ends), x=torch.zeros(ends[-1])) for ends in ([2, 5], [1, 2])]
    assert collate_fn(views)["offset"].tolist() == [2, 5, 6, 7]


@pytest.mark.parametrize("odd", [0, 1])
def test_scenes_with_different_fields_are_named(odd):
    """Whichever comes first: a field that only some have must not be dropped without a word."""
    items = [sample(2), sample(3)]
    items[odd]["segment"] = torch.zeros(2)
    failed = collate_fn(items)
    assert isinstance(failed, SceneError) and "s2, s3 only some have segment" in str(failed)


def test_sampler_is_a_function_of_seed_and_epoch():
    sampler = EpochSampler(10, seed=1)
    sampler.set_epoch(0)
    first = list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    assert sorted(i for _, i in first) == list(range(10)) and {e for e, _ in second} == {1}
    assert [i for _, i in first] != [i for _, i in second]
    sampler.set_epoch(0, skip=4)
    assert list(sampler) == first[4:] and len(sampler) == 10


@pytest.mark.parametrize(("length", "world"), [(8, 2), (7, 2), (3, 8)])
def test_shares_cover_the_epoch_in_the_order_of_one_process(length, world):
    shares = [list(EpochSampler(length, 5, rank, world)) for rank in range(world)]
    assert len({len(share) for share in shares}) == 1
    interleaved = [key for group in zip(*shares) for key in group]
    assert interleaved[:length] == list(EpochSampler(length, 5))


def test_items_do_not_depend_on_what_was_drawn_before():
    data = SeededDataset(toy.ToyDataset(), seed=2)
    first = data[(0, 3)]["feat"]
    state = torch.get_rng_state()
    assert torch.equal(data[(0, 3)]["feat"], first)
    assert torch.equal(torch.get_rng_state(), state), "drawing an item must leave the model's generator alone"
    assert not torch.equal(data[(1, 3)]["feat"], first)


@register(DATASETS, "FragileDataset")
class FragileDataset(toy.ToyDataset):
    """A toy set of which one scene kills its worker once (a file says so) or is refused."""

    def __init__(self, scene=5, killer="", refused=False, **toys):
        super().__init__(**toys)
        self.scene, self.killer, self.refused = scene, killer, refused

    def get_data_name(self, index):
        return f"scene{index % self.scenes}"

    def __getitem__(self, index):
        if index % self.scenes == self.scene:
            if self.killer and not Path(self.killer).exists():
                Path(self.killer).touch()
                os.kill(os.getpid(), signal.SIGKILL)
            if self.refused:
                raise UserError("three\nlines of\ntext")
        return super().__getitem__(index)


def build(folder, options=(), **dataset):
    folder.mkdir(exist_ok=True)
    train = dict(type="FragileDataset", scenes=8, **dataset)
    imports = dict(imports=["tests.toy", __name__], allow_failed_imports=False)
    return toy.build_trainer(folder, options, data={**toy.BASE["data"], "train": train}, custom_imports=imports)


def assert_same_weights(folder, whole):
    assert find_differences(*(read(place / LAST)["state_dict"] for place in (folder, whole))) == []


def test_a_lost_worker_ends_the_run_in_one_sentence_and_the_resumed_run_is_the_same(tmp_path):
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    with pytest.raises(UserError, match=r"^a data worker ended .*lower num_worker, then go on with -r true"):
        build(cut, ["num_worker=1"], killer=f"{tmp_path}/killed").train()
    build(cut, ["num_worker=1", "resume=true"], killer=f"{tmp_path}/killed").train()
    build(whole).train()
    assert_same_weights(cut, whole)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_refused_scene_is_named_and_mended_the_run_goes_on(tmp_path, workers):
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    trainer = build(cut, [f"num_worker={workers}"], refused=True)
    with pytest.raises(SceneError, match=r"^scene scene5 cannot be used: three lines of text$"):
        trainer.train()
    build(cut, ["resume=true", "data.train.refused=false"], refused=True).train()
    build(whole).train()
    assert_same_weights(cut, whole)
