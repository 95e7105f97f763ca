"""The package installs light, says one version, ships every subpackage, and the README names files that exist."""

import ast
import re
import runpy
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import setuptools

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "pointcept_msm"
COMPILED = {"spconv", "spconv-cu120", "torch-scatter", "torch-cluster", "flash-attn", "open3d"}
IMPORTED_AS = {"mmengine": "mmengine-lite", "sklearn": "scikit-learn", "PIL": "pillow", "yaml": "pyyaml"}


@pytest.fixture
def metadata(monkeypatch):
    """What setup.py hands to setuptools, with torch made unimportable."""
    caught = {}
    monkeypatch.setattr(setuptools, "setup", lambda **kwargs: caught.update(kwargs))
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.chdir(ROOT)
    runpy.run_path(str(ROOT / "setup.py"))
    return caught


def names_of(requirements: list[str]) -> set[str]:
    """Project names of requirement strings, lower case, dashes."""
    return {re.match(r"[\w.-]+", text).group().lower().replace("_", "-") for text in requirements}


def imports_on_loading(path: Path) -> set[str]:
    """Top-level modules a file imports unconditionally: not in a function, a `try` or an `if`."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module.split(".")[0])
    return found


def test_extras(metadata):
    extras = {name: names_of(requirements) for name, requirements in metadata["extras_require"].items()}
    assert {"pytest", "ruff", "hypothesis"} <= extras["dev"]
    assert {"huggingface-hub"} <= extras["hub"]
    assert extras["formats"] == {"laspy", "pye57", "trimesh"}
    assert {"spconv-cu120", "torch-scatter", "addict", "tensorboard", "sharedarray"} <= extras["pointcept"]


def test_default_install_is_light(metadata):
    required = names_of(metadata["install_requires"])
    assert not required & COMPILED
    assert "torch>=2.4" in metadata["install_requires"]
    assert metadata["python_requires"] == ">=3.10"


def test_default_install_covers_what_the_package_imports(metadata):
    own = {"pointcept_msm", "pointcept", "triton"} | sys.stdlib_module_names
    # Triton comes with torch where there are kernels to compile, and nothing imports it elsewhere.
    imported = {m for p in PACKAGE.rglob("*.py") for m in imports_on_loading(p)} - own
    assert {"torch", "numpy"} <= imported
    assert {IMPORTED_AS.get(m, m).replace("_", "-") for m in imported} <= names_of(metadata["install_requires"])


def test_version_is_in_the_changelog(metadata):
    headings = re.findall(r"^## \[([^\]]+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert headings[1] == metadata["version"]


def test_every_folder_of_code_is_a_package(metadata):
    folders = {p.parent for p in PACKAGE.rglob("*.py")}
    assert {".".join(f.relative_to(ROOT).parts) for f in folders} == set(metadata["packages"])


def test_readme_names_files_that_exist():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"(?:sh|python|torchrun) (tools/[\w./-]+\.(?:sh|py))", readme)
    configs = re.findall(r"configs/[\w./-]+\.py", readme)
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", readme) + re.findall(r'src="(?!https?:)([^"]+)"', readme)
    assert {"tools/demo.sh", "tools/run_tests.sh"} <= set(commands)
    assert [name for name in {*commands, *configs, *links} if not (ROOT / name).exists()] == []


def test_the_file_map_names_files_that_exist():
    """Each name in a row of a folder is in that folder, every folder of the package has a row, every tool is there."""
    lines = (ROOT / "README.md").read_text(encoding="utf-8").split("## File map")[1].splitlines()
    rows = [re.findall(r"`([^`]+)`", line) for line in lines if line.startswith("| `")]
    folders = {ROOT / row[0]: row[1:] for row in rows if row[0].startswith("pointcept_msm/") and row[0].endswith("/")}
    assert [name for path, names in folders.items() for name in names if not (path / name).exists()] == []
    assert {path.parent for path in PACKAGE.glob("*/__init__.py")} == set(folders)
    tools = [name for row in rows for name in row if name.startswith("tools/")]
    assert len(tools) > 10 and all((ROOT / name).is_file() for name in tools)


def test_ci_runs_the_command_of_the_readme():
    command = "sh tools/run_tests.sh"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"\n    {command}" in readme
    assert command in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="module")
def source_copy(tmp_path_factory):
    """The tree as git would ship it, so that building leaves nothing behind in the real one."""
    folder = tmp_path_factory.mktemp("tree") / "repository"
    ignore = shutil.ignore_patterns(".git", ".venv", "exp", "data", "build", "dist", "*.egg-info", "__pycache__")
    return Path(shutil.copytree(ROOT, folder, ignore=ignore))


def build(kind: str, source: Path, out: Path) -> Path:
    """Runs the build backend as pip would, and returns the one file it made."""
    code = f"import setuptools.build_meta as b; b.build_{kind}({str(out)!r})"
    done = subprocess.run([sys.executable, "-c", code], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return next(p for p in out.iterdir() if p.suffix in (".whl", ".gz"))


def files_of_package() -> set[str]:
    """What an installed package must hold: every module, shipped weights, the page of the viewer."""
    kinds = ("*.py", "weights/*.safetensors", "pictures/page.html", "py.typed")
    return {str(p.relative_to(ROOT)) for kind in kinds for p in PACKAGE.rglob(kind)}


def test_wheel_holds_the_package_its_configs_cards_and_nothing_else(source_copy, tmp_path):
    with zipfile.ZipFile(build("wheel", source_copy, tmp_path)) as wheel:
        held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    configs = {f"pointcept_msm/{p.relative_to(ROOT)}" for p in (ROOT / "configs" / "msm").rglob("*.py")}
    assert len(configs) > 40
    cards = {f"pointcept_msm/weights/{p.name}" for p in (ROOT / "docs" / "models").glob("*.md")}
    assert held == files_of_package() | configs | cards


def test_sdist_holds_configs_tools_and_tests(source_copy, tmp_path):
    with tarfile.open(build("sdist", source_copy, tmp_path)) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    folders = ("configs", "tools", "tests")
    wanted = {str(p.relative_to(ROOT)) for f in folders for p in (ROOT / f).rglob("*.py")} | files_of_package()
    assert wanted | {"LICENSE", "CHANGELOG.md", "README.md", "tools/env.sh"} <= names
