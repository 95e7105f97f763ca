"""Differences seed by seed against figures worked out by hand."""

import pytest

from pointcept_msm.ablations.comparison import compare, markdown_comparison, show

SCORES = {
    "base": {0: dict(knn=40.0, linear=50.0), 1: dict(knn=42.0, linear=51.0)},
    "lower": {0: dict(knn=30.0, linear=50.5), 1: dict(knn=41.0, linear=50.0), 2: dict(knn=90.0, linear=90.0)},
    "none": {},
}


def test_only_common_seeds_are_compared():
    table = {(entry.variant, entry.metric): entry for entry in compare(SCORES, "base", ("knn", "linear"))}
    assert len(table) == 6
    lower = table["lower", "knn"]
    assert lower.values == {0: 30.0, 1: 41.0, 2: 90.0} and lower.differences == {0: -10.0, 1: -1.0}
    assert lower.sign == "-" and table["lower", "linear"].sign == "mixed"
    assert table["base", "knn"].differences == {} and table["base", "knn"].sign == table["none", "knn"].sign == ""


def test_markdown():
    lines = markdown_comparison(SCORES, "base", ("knn",)).splitlines()
    assert lines[0] == "| variant | seeds | knn | less base | all seeds |"
    assert lines[2] == "| base | 0, 1 | 41.0 (40.0, 42.0) | - |  |"
    assert lines[3] == "| lower | 0, 1, 2 | 53.7 (30.0, 41.0, 90.0) | -5.5 (-10.0, -1.0) | - |"
    assert lines[4] == "| none | none | - | - |  |"


def test_one_value_stands_alone():
    assert show({3: 1.25}, signed=True) == "+1.2" and show({}) == "-"


def test_unknown_base():
    with pytest.raises(KeyError, match=r"'other' is not among.*base, lower, none"):
        compare(SCORES, "other")
