"""Options that are given when a run is resumed: harmless, said in the log, or refused."""

import pytest

from pointcept_msm.embedded.resume_changes import check_changes, list_changes
from tests import toy
from tests.engines.hooks.test_checkpointer import assert_same_run, resume, train


def test_changes_are_listed_by_their_dotted_names():
    before = dict(a=1, b=dict(c=(1, 2), d="x"), e=[dict(f=1), dict(f=2)], g=[1])
    after = dict(a=1.0, b=dict(c=[1, 3], d="x"), e=[dict(f=1), dict(f=5)], g=[1, 2], h=None, i=0)
    assert list_changes(before, after) == [("b.c.1", 2, 3), ("e.1.f", 2, 5), ("g", [1], [1, 2]), ("i", None, 0)]
    assert list_changes(before, before) == []


@pytest.mark.parametrize("key", ["optimizer", "scheduler", "param_dicts"])
def test_what_the_checkpoint_brings_back_cannot_be_changed(key):
    before, after = {"epoch": 4, key: dict(lr=0.1, type="A")}, {"epoch": 4, key: dict(lr=0.2, type="A")}
    with pytest.raises(ValueError, match=rf"^{key}\.lr cannot be changed from 0\.1 to 0\.2 .*new run .*-w"):
        check_changes(before, after)


def test_how_a_run_is_carried_out_is_nobodys_business_and_the_rest_is_said():
    before = dict(num_worker=0, log_every=1, evaluate=True, clip_grad=1.0, model=dict(dropout=0.1))
    after = dict(num_worker=4, log_every=9, evaluate=False, clip_grad=2.0, model=dict(dropout=0.0), resume=True)
    assert check_changes(before, before) == []
    said = check_changes(before, after)
    assert [sentence.split(" is ")[0] for sentence in said] == ["clip_grad", "model.dropout"]
    assert "2.0 from here on, it was 1.0" in said[0]


def test_a_resumed_run_says_what_changed_and_keeps_its_config(tmp_path):
    hooks = toy.BASE["hooks"]
    train(tmp_path, ["max_steps=3"], hooks=hooks)
    written = (tmp_path / "run/config.py").read_text()
    resume(tmp_path, ["num_worker=1", "clip_grad=0.5"], hooks=hooks)
    log = (tmp_path / "run/train.log").read_text()
    assert "WARNING] clip_grad is 0.5 from here on, it was 1.0" in log and "num_worker is 1 from" not in log
    assert (tmp_path / "run/config.py").read_text() == written


def test_a_refused_change_leaves_the_run_as_it_was(tmp_path):
    """Refused before anything is written; without the option the run goes on to the same end as one never cut."""
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    train(tmp_path / "whole")
    train(tmp_path / "cut", ["max_steps=16"])
    before = {path: path.read_bytes() for path in (tmp_path / "cut/run").rglob("*") if path.is_file()}
    for option in ("optimizer.lr=0.3", "scheduler.pct_start=0.5", "scheduler.type=PolyLR"):
        with pytest.raises(ValueError, match=f"^{option.split('=')[0]} cannot be changed"):
            resume(tmp_path / "cut", [option])
    assert {path: path.read_bytes() for path in (tmp_path / "cut/run").rglob("*") if path.is_file()} == before
    resume(tmp_path / "cut")
    assert_same_run(tmp_path / "cut", tmp_path / "whole")
