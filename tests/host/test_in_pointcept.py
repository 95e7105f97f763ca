"""Runs the tests of both hosts, and those that only Pointcept can pass (inside/), within a real Pointcept."""

import shutil
from pathlib import Path

import pytest

from pointcept_msm import host

HERE = Path(__file__).parent
CONFIGS = HERE.parents[1] / "configs" / "msm"
BOTH_HOSTS = ("test_host_contract.py", "test_training_contract.py")


def run_tests(run_in_pointcept, *files):
    if host.HOST == "pointcept":
        pytest.skip("this is the run in Pointcept")
    options = ("-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "-m", "not pointcept")
    return run_in_pointcept(*options, *[str(HERE / file) for file in files], timeout=900)


@pytest.mark.pointcept
@pytest.mark.slow
@pytest.mark.parametrize("file", BOTH_HOSTS)
def test_what_both_hosts_promise_holds_in_pointcept(run_in_pointcept, file):
    output = run_tests(run_in_pointcept, file)
    assert "passed" in output and "failed" not in output and "skipped" not in output


@pytest.mark.pointcept
@pytest.mark.slow
@pytest.mark.parametrize("file", sorted(path.name for path in (HERE / "inside").glob("test_*.py")))
def test_inside_pointcept(run_in_pointcept, file):
    output = run_tests(run_in_pointcept, f"inside/{file}")
    assert "passed" in output and "failed" not in output and "skipped" not in output


@pytest.mark.pointcept
@pytest.mark.slow
def test_spawned_workers_build_every_class(run_in_pointcept, tmp_path):
    """As with several GPUs: Pointcept's config goes to spawned processes, which have imported nothing of ours."""
    config = tmp_path / "config.py"
    config.write_text('custom_imports = dict(imports=["pointcept_msm"], allow_failed_imports=False)\n')
    output = run_in_pointcept(str(HERE / "every_class.py"), str(config), str(tmp_path / "data"))
    assert "worker 0 built 29 classes" in output and "worker 1 built 29 classes" in output


@pytest.mark.pointcept
@pytest.mark.slow
def test_two_processes_train_the_same_networks(run_in_pointcept, tmp_path):
    output = run_in_pointcept(str(HERE / "two_processes.py"), str(tmp_path))
    assert "process 0: 4 steps" in output and "process 1: 4 steps" in output
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 4
    assert "sparse convolution by rank: torch, torch" in (tmp_path / "run" / "train.log").read_text()


@pytest.mark.pointcept
@pytest.mark.slow
def test_every_config_builds(run_in_pointcept, pointcept_root, tmp_path):
    """Linked as docs/pointcept.md says, in a folder with Pointcept's own configs beside them."""
    configs = tmp_path / "configs"
    shutil.copytree(pointcept_root / "configs", configs, ignore=shutil.ignore_patterns("msm"))
    (configs / "msm").symlink_to(CONFIGS, target_is_directory=True)
    output = run_in_pointcept(str(HERE / "build_configs.py"), str(configs / "msm"), str(tmp_path), timeout=900)
    count = len([path for path in CONFIGS.rglob("*.py") if "_base_" not in path.parts])
    assert count > 35 and f"{count} configs" in output
