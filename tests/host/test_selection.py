"""The host is chosen by what is importable, forced by MSM_HOST, and a broken Pointcept is an error."""

import os
import subprocess
import sys

import pytest

from pointcept_msm.host import selection
from pointcept_msm.host.selection import broken_pointcept, select_host


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A folder that looks like a Pointcept clone, sys.path to be restored."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "clone" / "pointcept").mkdir(parents=True)
    (tmp_path / "clone" / "pointcept" / "__init__.py").write_text("")
    return tmp_path / "clone"


def test_no_pointcept_means_embedded(monkeypatch):
    monkeypatch.setattr(selection.importlib.util, "find_spec", lambda name: None)
    assert select_host({}) == "embedded"


def test_root_goes_first_on_the_path(clone):
    assert select_host({"POINTCEPT_ROOT": str(clone)}) == "pointcept"
    assert sys.path[0] == str(clone)


def test_forced_embedded_leaves_the_path_alone(clone):
    before = list(sys.path)
    assert select_host({"POINTCEPT_ROOT": str(clone), "MSM_HOST": "embedded"}) == "embedded"
    assert sys.path == before


def test_unknown_host_is_refused():
    with pytest.raises(ValueError, match="MSM_HOST is 'mmdet3d', allowed are 'pointcept' and 'embedded'"):
        select_host({"MSM_HOST": "mmdet3d"})


def test_demanded_pointcept_must_exist(monkeypatch):
    monkeypatch.setattr(selection.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="POINTCEPT_ROOT"):
        select_host({"MSM_HOST": "pointcept"})


def test_root_without_pointcept_is_refused(tmp_path):
    with pytest.raises(ImportError, match="has no folder 'pointcept'"):
        select_host({"POINTCEPT_ROOT": str(tmp_path)})


def test_broken_pointcept_names_what_is_missing():
    message = str(broken_pointcept(ModuleNotFoundError("No module named 'wandb'", name="wandb")))
    assert "'wandb'" in message and "MSM_HOST=embedded" in message
    assert "OSError: libcudart.so" in str(broken_pointcept(OSError("libcudart.so")))


def test_broken_pointcept_is_an_error_on_import(clone):
    (clone / "pointcept" / "datasets").mkdir()
    (clone / "pointcept" / "datasets" / "__init__.py").write_text("import a_library_nobody_has")
    environment = {key: value for key, value in os.environ.items() if key != "MSM_HOST"}
    done = subprocess.run(
        [sys.executable, "-c", "import pointcept_msm"],
        env={**environment, "POINTCEPT_ROOT": str(clone)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: Pointcept is present but cannot be imported: it needs 'a_library_nobody_has'")
    assert "MSM_HOST=embedded" in last
