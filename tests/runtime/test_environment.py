"""Seeds of ranks, the log, and the revision that is the package's own."""

import logging
import random
import subprocess

import numpy as np
import torch

from pointcept_msm.runtime.environment import close_log, git_revision, mix_seed, open_log, set_seed


def draw(seed, rank):
    set_seed(seed, rank)
    return random.random(), float(np.random.rand()), float(torch.rand(1))


def test_every_rank_of_every_seed_has_a_stream_of_its_own():
    """Rank 0's is that of the seed alone; no other rank's is that of a neighbouring seed."""
    drawn = [draw(seed, rank) for seed in range(6) for rank in range(6)]
    for stream in zip(*drawn):
        assert len(set(stream)) == 36
    torch.manual_seed(3)
    assert float(torch.rand(1)) == draw(3, 0)[2]


def test_mixed_seeds_differ_by_every_number():
    assert len({mix_seed(0, 1), mix_seed(1, 0), mix_seed(0, 0, 1), mix_seed(0, 1, 1)}) == 4


def test_the_log_goes_to_console_and_file_and_is_given_back(tmp_path, capsys):
    for append in (False, True):
        logger = open_log(tmp_path / "run/train.log", append)
        logger.info("a line")
        logger.info("for the file", extra={"file_only": True})
        close_log()
    text = (tmp_path / "run/train.log").read_text()
    assert text.count("a line") == text.count("for the file") == 2
    said = capsys.readouterr().out
    assert said.count("a line") == 2 and "for the file" not in said
    assert logging.getLogger("msm").propagate and not logging.getLogger("msm").handlers


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
