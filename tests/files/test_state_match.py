"""Names and shapes: every tensor accounted for."""

import pytest
import torch

from pointcept_msm.files.state_match import list_names, match_state

EXPECTED = {"stem.weight": torch.zeros(2, 3), "stem.bias": torch.zeros(2)}
OURS = {name: value + 1 for name, value in EXPECTED.items()}


def test_a_match_is_in_the_networks_order_and_says_what_was_left():
    given = {"stem.bias": torch.ones(2), "head.0": torch.ones(1)}
    match = match_state(given, EXPECTED, ignore=["head.*", "q?eue", "*.weight"], strangers=["queue"])
    assert [*match.state] == ["stem.bias"]
    assert match.unknown == ["head.0", "queue"] and match.missing == ["stem.weight"]
    assert [*match_state(dict(reversed(OURS.items())), EXPECTED).state] == [*EXPECTED]


def test_all_faults_are_named_at_once():
    given = {"stem.weight": torch.ones(3, 2), "extra": torch.ones(1)}
    words = r"x.pth does not fit the network \(2 tensors\): 1 unknown \(extra\), 1 missing \(stem.bias\), 1 of another "
    with pytest.raises(ValueError, match=words + r"shape \(stem.weight is \(3, 2\), expected \(2, 3\)\); give"):
        match_state(given, EXPECTED, "x.pth")


@pytest.mark.parametrize(
    "value, words",
    [
        (torch.ones(2, dtype=torch.int64), "torch.int64"),
        ([1.0, 2.0], "is a list"),
        (torch.tensor([1.0, torch.inf]), "1 not finite .stem.bias"),
        (torch.ones(3), "1 of another shape"),
    ],
)
def test_what_is_no_weight_cannot_be_ignored(value, words):
    with pytest.raises(ValueError, match=words):
        match_state({**OURS, "stem.bias": value}, EXPECTED, ignore=["*"])


def test_a_file_of_which_nothing_matches_is_refused_whatever_is_ignored():
    with pytest.raises(ValueError, match=r"2 missing .*; set the prefix"):
        match_state({"net." + k: v for k, v in OURS.items()}, EXPECTED, ignore=["*"], next_step="set the prefix")


def test_lists_are_cut():
    assert list_names("abc") == "a, b, c" and list_names([]) == "nothing"
    assert list_names("abcdefg") == "a, b, c, d and 3 more"
