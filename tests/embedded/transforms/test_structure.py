"""Transforms of the sample dictionary."""

import numpy as np
import pytest
import torch

from pointcept_msm.embedded.transforms import Compose


def test_copies_are_separate():
    sample = Compose([dict(type="Copy")])(dict(coord=np.zeros((2, 3)), segment=torch.zeros(2)))
    sample["coord"] += 1
    sample["segment"] += 1
    assert not sample["origin_coord"].any() and not sample["origin_segment"].any()


def test_to_tensor_types():
    data = dict(a=np.zeros(2, np.float64), b=np.zeros(2, np.int16), c=np.zeros(2, bool), d=3, e=0.5, f="x", g=[1, "y"])
    tensors = Compose([dict(type="ToTensor")])(data)
    assert [tensors[key].dtype for key in "abcde"] == [
        torch.float32,
        torch.int64,
        torch.bool,
        torch.int64,
        torch.float32,
    ]
    assert tensors["d"].shape == (1,) and tensors["f"] == "x" and tensors["g"][0].item() == 1 and tensors["g"][1] == "y"
    with pytest.raises(TypeError, match="NoneType"):
        Compose([dict(type="ToTensor")])(dict(a=None))


def test_collect():
    sample = dict(coord=torch.rand(4, 3), color=torch.zeros(4, 3), segment=torch.ones(4), view=torch.zeros(7), name="n")
    steps = [
        dict(type="Collect", keys=("coord", "name"), feat_keys=("color", "coord"), offset_keys_dict=dict(o="view"))
    ]
    collected = Compose(steps)(sample)
    assert set(collected) == {"coord", "name", "feat", "o"} and collected["o"].tolist() == [7]
    assert torch.equal(collected["feat"], torch.cat([sample["color"], sample["coord"]], 1))
    assert Compose([dict(type="Collect", keys="coord")])(sample)["offset"].tolist() == [4]


def test_collect_names_what_is_missing():
    with pytest.raises(KeyError, match="Collect needs 'normal', the sample of 'room' has coord, name"):
        Compose([dict(type="Collect", keys=(), feat_keys=("normal",))])(dict(coord=torch.zeros(2, 3), name="room"))


def test_instance_parser():
    coord = np.arange(18.0).reshape(6, 3)
    segment = np.array([0, 3, 3, 2, 2, -1], np.int32)
    instance = np.array([9, 7, 7, 4, 4, 1], np.int32)
    sample = Compose([dict(type="InstanceParser", segment_ignore_index=(-1, 0))])(
        dict(coord=coord, segment=segment, instance=instance)
    )
    assert sample["instance"].tolist() == [-1, 1, 1, 0, 0, -1]
    assert sample["instance_centroid"][1].tolist() == [4.5, 5.5, 6.5] and (sample["instance_centroid"][0] == -1).all()
    assert sample["bbox"].tolist() == [[10.5, 11.5, 12.5, 3, 3, 3, 0, 1], [4.5, 5.5, 6.5, 3, 3, 3, 0, 2]]
