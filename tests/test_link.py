"""The link command: what it makes, what it leaves alone."""

from pathlib import Path

import pytest

from pointcept_msm.link import find_configs, link_configs, main

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture
def checkout(tmp_path):
    """A folder that looks like a Pointcept clone."""
    for name in ("pointcept", "configs/scannet"):
        (tmp_path / "clone" / name).mkdir(parents=True)
    return tmp_path / "clone"


def test_configs_of_a_clone_are_found():
    assert find_configs() == REPOSITORY / "configs" / "msm"


def test_configs_of_an_installed_wheel_are_found(tmp_path):
    (tmp_path / "configs" / "msm" / "_base_").mkdir(parents=True)
    (tmp_path / "configs" / "msm" / "_base_" / "runtime.py").touch()
    assert find_configs((tmp_path / "nowhere", tmp_path / "configs" / "msm")) == tmp_path / "configs" / "msm"
    with pytest.raises(FileNotFoundError, match="pip install -e"):
        find_configs((tmp_path / "nowhere",))


def test_link_is_made_once(checkout, capsys):
    assert main([str(checkout)]) == 0
    assert (checkout / "configs" / "msm").is_symlink()
    assert (checkout / "configs" / "msm" / "pretrain-scannet.py").is_file()
    assert main([str(checkout)]) == 0
    assert "already" in capsys.readouterr().out


def test_copy(checkout):
    link_configs(checkout, find_configs(), copy=True)
    target = checkout / "configs" / "msm"
    assert not target.is_symlink() and (target / "_base_" / "runtime.py").is_file()


def test_what_is_there_is_left_alone(checkout):
    (checkout / "configs" / "msm").mkdir()
    (checkout / "configs" / "msm" / "mine.py").write_text("a = 1")
    with pytest.raises(FileExistsError, match="remove or rename it"):
        link_configs(checkout, find_configs())
    assert (checkout / "configs" / "msm" / "mine.py").read_text() == "a = 1"


def test_a_dangling_link_is_named(checkout):
    (checkout / "configs" / "msm").symlink_to(checkout / "gone")
    with pytest.raises(FileExistsError, match="no link to"):
        link_configs(checkout, find_configs())


def test_a_folder_that_is_no_pointcept_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no Pointcept checkout"):
        link_configs(tmp_path, find_configs())
