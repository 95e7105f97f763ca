"""The host is chosen by what is importable, forced by MSM_HOST, and a broken Pointcept is an error."""

import os
import subprocess
import sys

import pytest

from pointcept_msm.host import selection
from pointcept_msm.host.selection import broken_pointcept, select_host
from pointcept_msm.runtime.errors import UserError


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A folder that looks like a Pointcept clone, sys.path to be restored."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    for package in ("pointcept", "pointcept/engines"):
        (tmp_path / "clone" / package).mkdir(parents=True)
        (tmp_path / "clone" / package / "__init__.py").write_text("")
    return tmp_path / "clone"


def test_no_pointcept_means_embedded(monkeypatch):
    monkeypatch.setattr(selection.importlib.util, "find_spec", lambda name: None)
    assert select_host({}) == "embedded"
    with pytest.raises(UserError, match="POINTCEPT_ROOT"):
        select_host({"MSM_HOST": "pointcept"})


@pytest.mark.parametrize("package", [True, False])
def test_a_folder_that_only_has_the_name_is_passed_over(tmp_path, monkeypatch, package):
    """A package called pointcept without engines, or an empty folder, which Python takes for a namespace."""
    (tmp_path / "pointcept").mkdir()
    if package:
        (tmp_path / "pointcept" / "__init__.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    assert select_host({}) == "embedded"
    done = run_import({"PYTHONPATH": os.pathsep.join([str(tmp_path), os.getcwd()])})
    assert (done.returncode, done.stdout) == (0, "embedded\n"), done.stderr


def test_root_goes_first_on_the_path(clone):
    assert select_host({"POINTCEPT_ROOT": str(clone)}) == "pointcept"
    assert sys.path[0] == str(clone)


def test_forced_embedded_leaves_the_path_alone(clone):
    before = list(sys.path)
    assert select_host({"POINTCEPT_ROOT": str(clone), "MSM_HOST": "embedded"}) == "embedded"
    assert sys.path == before


def test_unknown_host_is_refused():
    with pytest.raises(UserError, match="MSM_HOST is 'mmdet3d', allowed are 'pointcept' and 'embedded'"):
        select_host({"MSM_HOST": "mmdet3d"})


@pytest.mark.parametrize("wrong", ["..", "pointcept"])
def test_a_root_one_level_too_high_or_low_is_said(clone, wrong):
    with pytest.raises(UserError, match=rf"has no folder pointcept/engines: did you mean {clone}\?"):
        select_host({"POINTCEPT_ROOT": str((clone / wrong).resolve())})


def test_a_root_without_pointcept_is_refused(tmp_path):
    with pytest.raises(UserError, match="has no folder pointcept/engines: set it to a Pointcept clone"):
        select_host({"POINTCEPT_ROOT": str(tmp_path)})


def run_import(variables):
    environment = {key: value for key, value in os.environ.items() if key not in ("MSM_HOST", "POINTCEPT_ROOT")}
    command = [sys.executable, "-c", "from pointcept_msm.host import HOST; print(HOST)"]
    return subprocess.run(command, env=environment | variables, capture_output=True, text=True)


def test_broken_pointcept_is_an_error_on_import_and_names_what_is_missing(clone):
    assert "OSError: libcudart.so" in str(broken_pointcept(OSError("libcudart.so")))
    (clone / "pointcept" / "datasets").mkdir()
    (clone / "pointcept" / "datasets" / "__init__.py").write_text("import a_library_nobody_has")
    done = run_import({"POINTCEPT_ROOT": str(clone)})
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1 and "MSM_HOST=embedded" in last
    assert last.startswith("ImportError: Pointcept is present but cannot be imported: it needs 'a_library_nobody_has'")
