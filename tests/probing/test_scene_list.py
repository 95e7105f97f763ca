"""Lists of scenes: order, limits, loops and overlap."""

from types import SimpleNamespace

import pytest

from pointcept_msm.probing.scene_list import SceneList, check_disjoint
from tests.probe_toy import ProbeToyDataset


def test_order_and_limit_go_by_name():
    one, other = SceneList(ProbeToyDataset(scenes=12)), SceneList(ProbeToyDataset(scenes=12, reverse=True))
    assert len(one) == 12 and one.names == other.names and one[3]["name"] == one.names[3]
    assert (one[3]["coord"] == other[3]["coord"]).all()
    wrapped = SceneList(SimpleNamespace(dataset=ProbeToyDataset(scenes=12)))
    assert wrapped.names == one.names
    few = SceneList(ProbeToyDataset(scenes=12), limit=5)
    assert few.names == SceneList(ProbeToyDataset(scenes=12, reverse=True), limit=5).names
    assert [s["name"] for s in few] == few.names and len(set(few.names)) == 5


def test_overlap_and_wrong_dataset():
    train, test = SceneList(ProbeToyDataset("train")), SceneList(ProbeToyDataset("val"))
    check_disjoint(train, test)
    with pytest.raises(ValueError, match="4 of 4 test scenes are train scenes too"):
        check_disjoint(train, train)
    with pytest.raises(TypeError, match="list has no get_data"):
        SceneList([1, 2])
