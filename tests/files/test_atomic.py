"""Replacing and copying files so that there is never a moment without a whole one."""

import os

import pytest

from pointcept_msm.files.atomic import copy_file, replace_file


def test_the_old_content_stays_until_the_block_ends(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with replace_file(path, "w") as file:
        file.write("new")
        file.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_an_error_in_the_block_changes_nothing(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replace_file(path, "w") as file:
        file.write("half")
        raise ZeroDivisionError
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["file"]


def test_a_missing_folder_is_named(tmp_path):
    message = r"^cannot write .*nowhere/file: no such file or directory"
    with pytest.raises(OSError, match=message), replace_file(tmp_path / "nowhere" / "file"):
        pass


@pytest.mark.parametrize("links", [True, False])
def test_copy_survives_a_replaced_source(tmp_path, monkeypatch, links):
    def refuse(*_):
        raise OSError("no links here")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    source, target = tmp_path / "last", tmp_path / "best"
    source.write_text("one")
    target.write_text("zero")
    copy_file(source, target)
    with replace_file(source, "w") as file:
        file.write("two")
    assert (source.read_text(), target.read_text()) == ("two", "one")
    assert sorted(os.listdir(tmp_path)) == ["best", "last"]
