"""The benchmark of the kNN search at a miniature size: the same neighbours, times scaled, sizes checked."""

import numpy as np
import pytest

from pointcept_msm.probing.knn_benchmark import Search, compare, main, make_rows, report


def test_all_searches_find_the_same():
    query, bank = make_rows(60, 24, 1), make_rows(500, 24, 2)
    searches, peak = compare(query, bank, 5, 20)
    assert [s.queries for s in searches] == [60, 20, 20] and peak > 0
    for search in searches[1:]:
        assert (np.sort(search.rows) == np.sort(searches[0].rows[:20])).mean() > 0.98


def test_report_scales_to_all_queries():
    rows = np.arange(8).reshape(4, 2)
    text = report([Search("ours", 4, 2.0, rows), Search("theirs", 2, 3.0, rows[:2, ::-1] + [[0, 0], [9, 0]])], 1.5)
    assert "| theirs | 2 | 3.0 | 6 | 3.00 | 75.00 % |" in text and "1.50 GiB" in text


@pytest.mark.parametrize("options", [["--bank", "3", "--k", "5"], ["--queries", "0"]])
def test_sizes_are_checked(options, capsys):
    assert main(options) == 2
    assert "allowed 1 or more" in capsys.readouterr().err
