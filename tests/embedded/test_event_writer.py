"""Tensorboard events: whole records with right checksums, through a kill, a resume and a full disk."""

import signal

import numpy as np
import pytest

from pointcept_msm.embedded.event_writer import EventWriter, build_event_writer
from tests.embedded.event_files import checksum, read_records, read_scalars
from tests.engines.hooks.test_checkpointer import read_metrics, resume, run_and_crash

pytest.importorskip("tensorboard")


def list_files(folder):
    return sorted(folder.glob("events.out.tfevents.*"))


def test_the_reader_of_these_tests_knows_the_checksum():
    assert checksum(b"123456789") == 0xE3069283  # the check value of CRC-32C's definition


def test_events_are_whole_records_with_their_checksums(tmp_path):
    writer = build_event_writer(tmp_path)
    for step in range(3):
        writer.add_scalar("loss", step / 2, step)
    writer.flush()
    (path,) = list_files(tmp_path)
    assert read_scalars(path) == [("loss", step, step / 2) for step in range(3)]
    records, torn = read_records(path.read_bytes())
    assert torn == b"" and b"brain.Event:2" in records[0], "the first record states the version"
    writer.close()
    writer.add_scalar("loss", 9.0, 9)  # after the end: dropped, no error, no new file
    assert len(list_files(tmp_path)) == 1 and len(read_scalars(path)) == 3


@pytest.mark.parametrize("read", [0, 1])
def test_a_killed_and_resumed_run_has_every_step(tmp_path, read):
    """Killed two steps after its last checkpoint: what lies before it was on the disk by then."""
    assert run_and_crash(tmp_path, 1, 3, signal.SIGKILL) == -signal.SIGKILL
    resume(tmp_path)
    files = list_files(tmp_path / "run")
    assert len(files) == 2
    if read:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        loaded = EventAccumulator(str(tmp_path / "run"), size_guidance={"scalars": 0}).Reload()
        found = [("train_batch/loss", e.step, e.value) for e in loaded.Scalars("train_batch/loss")]
    else:
        found = [entry for path in files for entry in read_scalars(path)]
    losses = {}
    for tag, step, value in found:
        if tag == "train_batch/loss":
            assert losses.setdefault(step, value) == value, "a step that was taken twice has the same loss"
    wanted = [np.float32(line["loss"]) for line in read_metrics(tmp_path)]
    assert [losses[step] for step in sorted(losses)] == wanted and len(wanted) == 16


class FullDisk:
    """A writer that fails while `full`, as tensorboard's does."""

    def __init__(self):
        self.full, self.opened, self.kept, self.all_writers = False, 0, [], {}

    def open(self):
        self.opened += 1
        return self

    def flush(self):
        if self.full:
            raise OSError("No space left on device")

    def add_scalar(self, tag, value, step):
        self.flush()
        self.kept.append(step)


def test_a_full_disk_costs_events_for_a_while_but_never_the_run(caplog):
    disk = FullDisk()
    writer = EventWriter(disk.open, pause=0.0)
    disk.full = True
    writer.add_scalar("loss", 1.0, 1)
    assert caplog.text.count("tensorboard events are not written for now") == 1
    disk.full = False
    writer.add_scalar("loss", 1.0, 2)
    assert disk.kept == [2] and disk.opened == 2, "a new file, as the old one may end in half a record"
    patient = EventWriter(disk.open, pause=60.0)
    disk.full = True
    patient.add_scalar("loss", 1.0, 3)
    disk.full = False
    patient.add_scalar("loss", 1.0, 4)
    assert disk.kept == [2] and disk.opened == 3, "no new attempt at every step"
    with pytest.raises(AttributeError):
        writer.no_such_method  # noqa: B018
