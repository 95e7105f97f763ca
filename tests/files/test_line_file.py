"""A file of whole lines: what a full disk refuses waits, nothing is written by halves."""

import errno
import os

import pytest

from pointcept_msm.files.line_file import LineFile


class Disk:
    """Takes `room` bytes in pieces of at most `piece`, as a file system may, then refuses; stands in for os.write."""

    def __init__(self, monkeypatch, room, piece=4):
        self.room, self.piece, self.write = room, piece, os.write
        monkeypatch.setattr(os, "write", self)

    def __call__(self, handle, data):
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        size = self.write(handle, data[: min(self.room, self.piece)])
        self.room -= size
        return size


def test_lines_reach_the_disk_at_once(tmp_path):
    path = tmp_path / "lines"
    path.write_text("old\n")
    file = LineFile(path)
    file.write("one")
    file.write("zwei \udcff ü")
    assert path.read_bytes() == "one\nzwei \\udcff ü\n".encode(), "without closing: a killed run has lost no line"
    file.close()
    file.close()
    again = LineFile(path, append=True)
    again.write("three")
    again.close()
    assert path.read_text().splitlines()[::2] == ["one", "three"]


def test_a_full_disk_gets_no_half_line_and_all_lines_later(tmp_path, monkeypatch, caplog):
    path, disk = tmp_path / "lines", Disk(monkeypatch, room=15)
    file = LineFile(path)
    for name in ("first", "second", "third"):
        file.write(name)
    assert path.read_text() == "first\nsecond\n", "the third found room for two bytes"
    disk.room = 3
    file.write("fourth")
    assert path.read_text() == "first\nsecond\n"
    assert caplog.text.count("No space left on device") == 1, "said once, not at every line"
    disk.room = 10_000
    file.write("fifth")
    file.close()
    assert path.read_text() == "first\nsecond\nthird\nfourth\nfifth\n"
    assert "are lost" not in caplog.text


def test_lines_that_never_found_room_are_counted(tmp_path, monkeypatch, caplog):
    Disk(monkeypatch, room=0)
    file = LineFile(tmp_path / "lines")
    for name in ("first", "second"):
        file.write(name)
    file.close()
    assert "the last 2 lines found no room and are lost" in caplog.text


@pytest.mark.parametrize("append", [True, False])
def test_a_missing_folder_is_an_error(tmp_path, append):
    with pytest.raises(FileNotFoundError):
        LineFile(tmp_path / "nowhere" / "lines", append=append)
