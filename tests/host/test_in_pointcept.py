"""Runs the tests of both hosts, and those that only Pointcept can pass (inside/), within a real Pointcept."""

from pathlib import Path

import pytest

from pointcept_msm import host

HERE = Path(__file__).parent
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
    assert "worker 0 built 22 classes" in output and "worker 1 built 22 classes" in output
