"""What a run says it was made with."""

import subprocess

from pointcept_msm.runtime.environment import git_revision


def test_the_revision_is_that_of_the_packages_own_sources(tmp_path):
    """A clone that tracks them, against a virtual environment inside somebody's repository, which does not."""

    def git(*command):
        name = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        return subprocess.run(["git", "-C", tmp_path, *name, *command], check=True, capture_output=True, text=True)

    source = tmp_path / "venv/site-packages/pointcept_msm/__init__.py"
    source.parent.mkdir(parents=True)
    source.write_text("")
    (tmp_path / "mine.txt").write_text("")
    git("init")
    git("add", "mine.txt")
    git("commit", "-m", "x")
    assert git_revision(source.parents[1]) == "unknown"
    git("add", source)
    git("commit", "-m", "y")
    assert git_revision(source.parents[1]) == git("rev-parse", "--short", "HEAD").stdout.strip()
    source.write_text("changed = 1")
    assert git_revision(source.parents[1]).endswith("+")
