"""A stranger's .pth and config.py: read as data, never run."""

import os
import pickle
import zipfile

import numpy as np
import pytest
import torch

from pointcept_msm.files import torch_files
from pointcept_msm.files.torch_files import SAFE_OLD_FILES, find_state_dict, read_literal_config, read_torch_file

# What becomes of a file that is no zip archive under torch before 2.6, instead of what is expected.
UNREAD = "" if SAFE_OLD_FILES else "|is no zip archive"


class MarksWhenLoaded:
    """Unpickling it writes the file `marker`."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("form", ["torch", "legacy", "bare", "protocol 4"])
def test_code_is_refused_unrun(tmp_path, form):
    path, marker = tmp_path / "x.pth", tmp_path / "marker"
    content = {"a": torch.ones(1), "b": MarksWhenLoaded(marker)}
    if form in ("torch", "legacy"):
        torch.save(content, path, _use_new_zipfile_serialization=form == "torch")
    else:
        path.write_bytes(pickle.dumps(content["b"], protocol=2 if form == "bare" else 4))
    with pytest.raises(ValueError, match=r"holds Python code or objects \(.*nothing of it was run" + UNREAD) as caught:
        read_torch_file(path)
    assert not marker.exists() and "\n" not in str(caught.value) and "weights_only" not in str(caught.value)
    if form == "bare":  # the trap works: a plain unpickling would have sprung it
        pickle.loads(path.read_bytes())
        assert marker.exists()


def test_before_torch_2_6_only_zip_archives_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(torch_files, "SAFE_OLD_FILES", False)
    zipped, old, both = (tmp_path / f"{name}.pth" for name in ("zipped", "old", "both"))
    for path in (zipped, old):
        torch.save({"a": torch.ones(1)}, path, _use_new_zipfile_serialization=path == zipped)
    both.write_bytes(old.read_bytes() + zipped.read_bytes())  # torch goes by the first bytes, zip readers by the last
    assert read_torch_file(zipped)["a"] == 1 and zipfile.is_zipfile(both)
    for path in (old, both):
        with pytest.raises(ValueError, match=r"no zip archive.*torch 2\.6 or newer"):
            read_torch_file(path)


def as_before_torch_2_6():
    """The table of allowed names as torch 2.4 and 2.5 build it."""
    return {f"{f.__module__}.{f.__name__}": f for f in torch.serialization.get_safe_globals()}


@pytest.mark.parametrize("old_torch", [False, True])
@pytest.mark.parametrize("other_numpy", [False, True])
def test_arrays_and_numbers_of_numpy(tmp_path, monkeypatch, old_torch, other_numpy):
    """Arrays are Pointcept's older scenes; a number is the best metric in the checkpoints of its trainer."""
    if old_torch:
        monkeypatch.setattr(torch._weights_only_unpickler, "_get_user_allowed_globals", as_before_torch_2_6)
    path = tmp_path / "own.pth"
    torch.save({"a": np.ones(2), "b": np.arange(3, dtype=np.int16), "best": np.float64(0.5)}, path)
    path = rename_numpy(path, tmp_path / "other.pth") if other_numpy else path
    content = read_torch_file(path)
    assert content["a"].tolist() == [1, 1] and content["b"].dtype == np.int16 and content["best"] == 0.5


def rename_numpy(path, target):
    """The archive as numpy 1 would have written it, where this is numpy 2; else as numpy 2 would have."""
    own, other = b"numpy._core.multiarray", b"numpy.core.multiarray"
    if np.__version__.startswith("1."):
        own, other = other, own
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as archive:
        for name in source.namelist():
            content = source.read(name)
            assert name != "own/data.pkl" or own in content
            archive.writestr(name, content.replace(own, other))
    return target


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "other"])
def test_damage_is_named(tmp_path, damage):
    path = tmp_path / "x.pth"
    torch.save({"a": torch.arange(1000)}, path)
    data = bytearray(path.read_bytes())
    data[data.find(torch.arange(20, 25).numpy().tobytes())] ^= 1
    cut = {"truncated": data[:900], "flipped": data, "empty": b"", "other": b"hello world\n"}[damage]
    path.write_bytes(cut)
    with pytest.raises(ValueError, match=r"x.pth is damaged or not a torch file" + UNREAD) as caught:
        read_torch_file(path)
    assert "\n" not in str(caught.value)


def test_what_is_no_file_or_no_dictionary(tmp_path):
    with pytest.raises(ValueError, match=r"x.pth does not exist"):
        read_torch_file(tmp_path / "x.pth")
    os.mkfifo(tmp_path / "pipe.pth")
    with pytest.raises(ValueError, match="is no regular file"):
        read_torch_file(tmp_path / "pipe.pth")
    torch.save([1], tmp_path / "x.pth")
    with pytest.raises(ValueError, match="holds a list"):
        read_torch_file(tmp_path / "x.pth")


def test_the_state_dict_of_every_layout():
    one = torch.ones(1)
    both = ("state_dict", "model")
    for content in ({"state_dict": {"module.a": one}, "epoch": 1}, {"model": {"a": one}}, {"module.a": one}):
        assert find_state_dict(content, containers=both) == {"a": one}
    with pytest.raises(ValueError, match="x has no 'state_dict' with tensors, only model"):
        find_state_dict({"model": {"a": one}}, "x")


def test_a_config_is_read_as_literals(tmp_path):
    path = tmp_path / "config.py"
    path.write_text('"""Says."""\na = -1\nb = dict(c=[1, dict(d=(2.5, None))], e={"f": True})\n')
    assert read_literal_config(path) == {"a": -1, "b": {"c": [1, {"d": (2.5, None)}], "e": {"f": True}}}


@pytest.mark.parametrize(
    "text, words",
    [
        ("a = 1\nimport os", r"more than plain values \(line 2\) and is not run"),
        ("a = open('x')", "line 1"),
        ("a = dict(**{})", "line 1"),
        ("a = b = 1", "line 1"),
        ("a.b = 1", "line 1"),
        ("a = {[]: 1}", "line 1"),
        ("a = (", "is not a Python config"),
    ],
)
def test_more_than_values_is_refused(tmp_path, text, words):
    (tmp_path / "config.py").write_text(text)
    with pytest.raises(ValueError, match=words) as caught:
        read_literal_config(tmp_path / "config.py")
    assert "\n" not in str(caught.value)
