"""Names and shapes: every tensor accounted for."""

import pytest
import torch

from pointcept_msm.conversion.match import find_state, list_names, match_state, select_network
from pointcept_msm.conversion.sources import SOURCES

EXPECTED = {"stem.weight": torch.zeros(2, 3), "stem.bias": torch.zeros(2)}


def test_a_match_is_in_the_networks_order_and_says_what_was_left():
    given = {"stem.bias": torch.ones(2), "head.0": torch.ones(1), "stem.weight": torch.ones(2, 3)}
    match = match_state(given, EXPECTED, strangers=["queue"], ignore=["head.*", "q?eue"])
    assert [*match.state] == [*EXPECTED] and match.dropped == ["head.0", "queue"] and match.missing == []


def test_all_faults_are_named_at_once():
    given = {"stem.weight": torch.ones(3, 2), "extra": torch.ones(1)}
    with pytest.raises(ValueError, match=r"1 unknown: extra; 1 missing: stem.bias; 1 of another shape: stem.weight is"):
        match_state(given, EXPECTED)


@pytest.mark.parametrize("value, words", [(torch.ones(2, dtype=torch.int64), "torch.int64"), ([1.0, 2.0], "is a list")])
def test_what_is_no_weight_is_refused(value, words):
    with pytest.raises(ValueError, match=words):
        match_state({"stem.weight": torch.ones(2, 3), "stem.bias": value}, EXPECTED)


def test_a_shape_cannot_be_ignored():
    with pytest.raises(ValueError, match="another shape"):
        match_state({"stem.weight": torch.ones(1), "stem.bias": torch.ones(2)}, EXPECTED, ignore=["*"])


def test_networks_of_a_training_checkpoint():
    state = {
        "student.backbone.a": 1, "teacher.backbone.a": 2, "student.predictor.0.b": 3, "train_step": 4, "other": 5
    }  # fmt: skip
    assert select_network(state, SOURCES["pointcept"], "student") == ({"a": 1}, ["other"])
    assert select_network(state, SOURCES["pointcept"], "teacher") == ({"a": 2}, ["other"])


def test_the_ddp_prefix_and_both_containers():
    for container in ("state_dict", "model"):
        assert find_state({container: {"module.student.a": 1}, "epoch": 2}, SOURCES["released"]) == {"student.a": 1}
    with pytest.raises(ValueError, match="no 'state_dict' with tensors, only model"):
        find_state({"model": {}}, SOURCES["pointcept"])


def test_lists_are_cut():
    assert (
        list_names("abc") == "a, b, c"
        and list_names("abcdefg") == "a, b, c, d and 3 more"
        and list_names([]) == "nothing"
    )
