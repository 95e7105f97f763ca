"""The same seeds give the same samples and batches in both hosts, bit for bit."""

from pathlib import Path

import numpy as np
import pytest

from tests.host import host_recipes

RECIPES = Path(__file__).with_name("host_recipes.py")


@pytest.fixture(scope="module")
def both_hosts(tmp_path_factory, run_in_pointcept):
    """Results in this process (embedded host) and in a real Pointcept."""
    folder, out = tmp_path_factory.mktemp("scenes"), tmp_path_factory.mktemp("results") / "pointcept.npz"
    host_recipes.write_scenes(folder)
    run_in_pointcept(str(RECIPES), str(folder), str(out))
    with np.load(out) as archive:
        return host_recipes.run_all(str(folder)), dict(archive)


@pytest.mark.pointcept
def test_hosts_give_equal_samples(both_hosts):
    ours, theirs = both_hosts
    assert sorted(ours) == sorted(theirs)
    unequal = [
        key for key in ours if ours[key].dtype != theirs[key].dtype or not np.array_equal(ours[key], theirs[key])
    ]
    assert not unequal, f"{len(unequal)} of {len(ours)} results differ between the hosts: {unequal[:20]}"


@pytest.mark.pointcept
def test_comparison_covers_random_outcomes(both_hosts):
    ours, _ = both_hosts
    assert len(ours) > 200
    assert len({ours[f"/rotations{seed}/result/coord:array"].tobytes() for seed in range(4)}) == 4


@pytest.mark.pointcept
@pytest.mark.slow
def test_three_steps_of_pretraining_are_equal(tmp_path, run_in_pointcept):
    """Same seed, same batches: losses, schedules and weights after three steps of each host's own trainer."""
    from tests.host.three_steps import train_three_steps

    out = tmp_path / "pointcept.npz"
    run_in_pointcept(str(RECIPES.with_name("three_steps.py")), str(tmp_path / "there"), str(out))
    here = train_three_steps(tmp_path / "here")
    with np.load(out) as there:
        assert sorted(here) == sorted(there.files)
        for key, value in here.items():
            if key.startswith("batch"):
                assert np.array_equal(value, there[key]), key
            else:
                assert np.allclose(value, there[key], rtol=0, atol=1e-5), key
    assert len(here["metric/loss"]) == 3 and here["metric/loss"].std() > 0
