"""The link command: what it makes, what it brings up to date, what it leaves alone."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pointcept_msm.link import find_configs, link_configs, main
from pointcept_msm.runtime.errors import UserError

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture
def checkout(tmp_path):
    """A folder that looks like a Pointcept clone."""
    for name in ("pointcept/engines", "configs/scannet"):
        (tmp_path / "clone" / name).mkdir(parents=True)
    return tmp_path / "clone"


@pytest.fixture
def source(tmp_path):
    """Configs that a test may change."""
    return Path(shutil.copytree(find_configs(), tmp_path / "source"))


def test_configs_are_found_in_a_clone_and_in_an_installed_wheel(tmp_path):
    assert find_configs() == REPOSITORY / "configs" / "msm"
    (tmp_path / "configs" / "msm" / "_base_").mkdir(parents=True)
    (tmp_path / "configs" / "msm" / "_base_" / "runtime.py").touch()
    assert find_configs((tmp_path / "nowhere", tmp_path / "configs" / "msm")) == tmp_path / "configs" / "msm"
    with pytest.raises(UserError, match="pip install -e"):
        find_configs((tmp_path / "nowhere",))


def test_link_is_made_once(checkout, capsys):
    assert main([str(checkout)]) == 0
    assert (checkout / "configs" / "msm").is_symlink()
    assert (checkout / "configs" / "msm" / "pretrain-scannet.py").is_file()
    assert main([str(checkout)]) == 0
    assert "already" in capsys.readouterr().out


def test_it_needs_the_standard_library_alone(checkout):
    """Without site-packages neither torch nor numpy nor mmengine can be imported."""
    command = [sys.executable, "-S", "-m", "pointcept_msm.link", str(checkout)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "linked" in done.stdout, done.stderr


def test_a_copy_is_brought_up_to_date(checkout, source):
    target = checkout / "configs" / "msm"
    link_configs(checkout, source, copy=True)
    assert not target.is_symlink() and (target / "_base_" / "runtime.py").is_file()
    (target / "mine.py").write_text("a = 1")
    (source / "pretrain-scannet.py").write_text("new = 1")
    (source / "pretrain-rooms.py").unlink()
    (source / "added.py").write_text("b = 2")
    assert "brought up to date" in link_configs(checkout, source, copy=True)
    assert (target / "pretrain-scannet.py").read_text() == "new = 1" and (target / "added.py").is_file()
    assert not (target / "pretrain-rooms.py").exists() and (target / "mine.py").read_text() == "a = 1"


def test_what_the_user_changed_in_a_copy_is_refused_and_nothing_is_touched(checkout, source):
    target = checkout / "configs" / "msm"
    link_configs(checkout, source, copy=True)
    (target / "pretrain-scannet.py").write_text("epoch = 3")
    (source / "pretrain-rooms.py").write_text("new = 1")
    with pytest.raises(UserError, match=r"pretrain-scannet.py is not as this command copied it \(1 such files\)"):
        link_configs(checkout, source, copy=True)
    assert (target / "pretrain-scannet.py").read_text() == "epoch = 3"
    assert (target / "pretrain-rooms.py").read_text() != "new = 1"
    with pytest.raises(UserError, match="bring it up to date with --copy"):
        link_configs(checkout, source)


def test_copy_replaces_our_link_and_says_so(checkout, source):
    link_configs(checkout, source)
    assert "in place of the link" in link_configs(checkout, source, copy=True)
    assert not (checkout / "configs" / "msm").is_symlink() and (source / "pretrain-scannet.py").is_file()


@pytest.mark.parametrize("copy", [False, True])
def test_what_is_there_is_left_alone(checkout, copy):
    (checkout / "configs" / "msm").mkdir()
    (checkout / "configs" / "msm" / "pretrain-scannet.py").write_text("a = 1")
    with pytest.raises(UserError):
        link_configs(checkout, find_configs(), copy)
    assert [path.name for path in (checkout / "configs" / "msm").iterdir()] == ["pretrain-scannet.py"]
    assert (checkout / "configs" / "msm" / "pretrain-scannet.py").read_text() == "a = 1"


@pytest.mark.parametrize("copy", [False, True])
def test_a_link_elsewhere_is_named(checkout, copy):
    (checkout / "configs" / "msm").symlink_to(checkout / "gone")
    with pytest.raises(UserError, match="links elsewhere"):
        link_configs(checkout, find_configs(), copy)


def test_a_folder_that_is_no_pointcept_is_refused(checkout, tmp_path):
    (tmp_path / "named" / "pointcept").mkdir(parents=True)
    (tmp_path / "named" / "configs").mkdir()
    with pytest.raises(UserError, match=r"no Pointcept checkout.*give the root"):
        link_configs(tmp_path / "named", find_configs())
    with pytest.raises(UserError, match=r"did you mean .*clone\?"):
        link_configs(tmp_path, find_configs())
    with pytest.raises(UserError, match=r"did you mean .*clone\?"):
        link_configs(checkout / "pointcept", find_configs())
